"""What is served gives way unless it is better; what cannot be compared, or not fairly, is said to be so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from digits import bundle, network
from tests import models
from trainer import report, takeover
from trainer.config import Config
from trainer.dataset import Dataset, Part

PIXELS, LABELS = models.mnist(400)
WHOLE = Part(PIXELS, LABELS)
DATA = Dataset(WHOLE, WHOLE, WHOLE, "own.npz", "ab")
SAME = {"data": {"sha256": "ab"}, "training": {"validation": Config().validation}}


def compared(folder: Path, h5: bytes) -> dict[str, Any]:
    return takeover.compare_with_served(network.load(h5), SAME, DATA, Config(output=folder))


def test_what_is_better_by_more_than_chance_stays(tmp_path: Path, h5: bytes) -> None:
    better = models.features(count=300, images=3000)
    made = models.publish(tmp_path, better, golden=False, **SAME)
    facts = compared(tmp_path, h5)
    assert (facts["with"], facts["images"], facts["caveats"]) == (made.version, 400, [])
    assert "what is served is better: of 400 validation images" in str(takeover.why_worse(facts))
    assert takeover.sentence(facts).startswith(
        "takes over, by --force or --quick, though what was served is better: of 400"
    )
    models.publish(tmp_path, h5, golden=False, **SAME)
    assert takeover.why_worse(compared(tmp_path, better)) is None
    facts = compared(tmp_path, h5)
    assert (facts["only_this_right"], facts["only_that_right"], takeover.why_worse(facts)) == (0, 0, None)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "nothing says what"),
        ({"data": {"sha256": "cd", "source": "else.npz"}}, "on other data (else.npz)"),
        (SAME | {"training": {"validation": 0.05}}, "--validation 0.05"),
        (SAME | {"training": {"validation": 10**400}}, "nothing says which images"),
    ],
)
def test_a_rival_that_may_know_the_images_is_said_to(
    facts: dict[str, Any], said: str, tmp_path: Path, h5: bytes
) -> None:
    models.publish(tmp_path, h5, golden=False, **facts)
    found = compared(tmp_path, h5)
    (caveat,) = found["caveats"]
    assert said in caveat
    assert takeover.sentence(found).endswith(f"; but {caveat}")
    assert caveat.split(" (")[0] in report.proof({"version": "v", "checks": {"parity": parity()}, "compared": found})


def parity() -> dict[str, Any]:
    return {"max_difference": 0.0, "images": 1}


def test_a_rival_that_cannot_be_read_is_no_hindrance_and_is_told_of(tmp_path: Path, h5: bytes) -> None:
    (tmp_path / bundle.CURRENT).write_text("gone\n")
    gone = compared(tmp_path, h5)
    assert gone == {
        "not_compared": f"{tmp_path / bundle.CURRENT} names gone, but there is no such bundle",
        "caveats": [],
    }
    (tmp_path / bundle.CURRENT).unlink()
    (tmp_path / bundle.H5_NAME).write_bytes(b"no model")
    unreadable = compared(tmp_path, h5)
    assert "not an HDF5 file" in unreadable["not_compared"]
    for facts in (gone, unreadable):
        assert takeover.why_worse(facts) is None
        assert takeover.sentence(facts).startswith("takes over: it was compared with nothing, since")
        assert facts["not_compared"] in takeover.sentence(facts)
