"""What is published was compared with what it replaces, whoever else publishes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from digits import bundle
from digits.bundle import Bundle, Manifest
from tests import models
from trainer import averaging, console, fit, parity, publish
from trainer.config import Config
from trainer.dataset import Dataset, Part
from trainer.errors import BadInput, NotServed
from trainer.publish import Offer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's own

PART = Part(*models.mnist(300))
DATA = Dataset(PART, PART, PART, "own.npz", "ab")


def offer(h5: bytes, report: Callable[[Manifest], bytes]) -> Offer:
    model = averaging.as_served(h5)
    return Offer(model, fit.predict(model, PART.pixels), {}, {}, report)


def blind() -> bytes:
    """Return a `.h5` that takes every image for a 7."""
    return models.dense_h5(np.zeros((784, 10), np.float32), np.eye(10, dtype=np.float32)[7])


def test_a_worse_model_does_not_replace_a_better_one_that_is_published_meanwhile(tmp_path: Path, h5: bytes) -> None:
    """The worse one begins while the better one is compared with what is served, which either is better than."""
    models.publish(tmp_path, blind(), golden=False)
    config = Config(output=tmp_path, target_accuracy=0.0)
    worse, later = offer(models.templates(scale=0.5, images=60), lambda _: b""), list[Future[Bundle]]()
    with ThreadPoolExecutor(1) as other:

        def report(_: Manifest) -> bytes:  # is made within the publishing
            later.append(other.submit(publish.publish, worse, DATA, config))
            return b""

        better = publish.publish(offer(h5, report), DATA, config)
    with pytest.raises(NotServed, match=f"what is served is better: .* {better.version} alone"):
        later[0].result()
    assert bundle.read_current(tmp_path).version == better.version


def test_below_the_target_nothing_is_served_and_the_reason_is_said(tmp_path: Path, h5: bytes) -> None:
    with pytest.raises(NotServed, match=r"of the test images are right, less than 99\.99%; the bundle is kept as "):
        publish.publish(offer(h5, lambda _: b""), DATA, Config(output=tmp_path, target_accuracy=0.9999))
    assert not (tmp_path / bundle.CURRENT).exists()
    assert len(bundle.versions(tmp_path)) == 1  # for whoever wants to know why


def test_whether_there_is_room_for_a_bundle_is_seen_while_another_publishes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as other, bundle.draft(tmp_path / "models"):
        other.submit(console.check_output, Config(output=tmp_path / "models")).result(timeout=60)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [".lock"]
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadInput, match="file/models: cannot be written to"):
        console.check_output(Config(output=tmp_path / "file" / "models"))
    (tmp_path / "locked" / ".lock").mkdir(parents=True)  # which nobody can open to write, nor can root
    with pytest.raises(BadInput, match=r"locked: cannot be written to \(.*\.lock: Is a directory\)"):
        console.check_output(Config(output=tmp_path / "locked"))


def test_what_fails_while_it_is_published_is_said_with_the_file_and_no_numbers(tmp_path: Path, h5: bytes) -> None:
    config = Config(output=tmp_path / "file")
    config.output.write_text("no folder")
    with pytest.raises(NotServed) as caught:
        console.publish(lambda: publish.publish(offer(h5, lambda _: b""), DATA, config), started=0.0)
    assert str(caught.value) == f"{config.output}: File exists"


@pytest.mark.parametrize(("away", "holds"), [(0.0, True), (9e-6, True), (2e-5, False), (float("nan"), False)])
def test_the_kernel_answers_as_keras_does_or_not(away: float, holds: bool) -> None:
    answers = np.full((3, 10), 0.1)
    other = answers.copy()
    other[1, 4] -= away
    assert parity.holds(parity.difference(answers.astype(np.float32), other.astype(np.float32))) is holds
