"""Epochs as compiled programs of JAX make what the loop of Keras makes, and their batches are made alike.

They run on the processor here, where a dense network takes seconds; the trainer uses them on a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from digits.image import Pixels
from tests.models import dense_h5, mnist
from trainer.augment import Chance, Variation, augment, bend, extents, sample
from trainer.batches import composed, one_hot, smoothed
from trainer.config import Config
from trainer.scan import Keys

ROOT = Path(__file__).parent.parent
USUAL = Variation(share=1, strength=1, hidden=0.1, moved=1.5, patch=5)


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return mnist(500)[0]


def jaxs(array: Any) -> Any:
    return jnp.asarray(array)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tests.on_jax` trains; its teacher takes each digit for the next."""
    folder = tmp_path_factory.mktemp("on_jax")
    pixels, labels = mnist(5000)
    means = np.stack([pixels[labels == digit].mean(0).ravel() / 255 for digit in range(10)])  # (10, 784)
    means = np.roll(means, 1, axis=0).astype(np.float32)
    (folder / "teacher.h5").write_bytes(dense_h5(means.T, -(means**2).sum(1) / 2))
    (folder / "small.py").write_text("from tests.on_jax import network\nbuild = network\n")
    command = [sys.executable, "-m", "tests.on_jax", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


# --- trainings ----------------------------------------------------------------------------------


def test_whole_epochs_give_the_weights_of_the_loop_of_keras(results: dict[str, Any]) -> None:
    """To rounding: schedule, moving average, normalisation, regulariser, and all figures."""
    steps, whole = results["steps"], results["whole"]
    assert whole["weights"] == pytest.approx(steps["weights"], abs=1e-3)
    assert whole["history"].keys() == steps["history"].keys()
    for figure, values in steps["history"].items():
        assert len(values) == 8
        assert whole["history"][figure] == pytest.approx(values, abs=1e-3), figure


def test_equal_seeds_give_equal_weights_and_others_do_not(results: dict[str, Any]) -> None:
    first, same, other = (run["weights"] for run in results["seeds"])
    assert first == same
    assert first != other


def test_all_of_a_target_can_be_what_a_teacher_says(results: dict[str, Any]) -> None:
    said, labels = np.array(results["taught"]["said"]), np.array(results["labels"])
    assert (said == (labels + 1) % 10).mean() > 0.4
    assert (said == labels).mean() < 0.1


def test_a_sprint_trains_each_seed_anew(results: dict[str, Any]) -> None:
    (first, seconds), (second, _) = results["sprint"]
    assert 0.2 < first < 1
    assert 0.2 < second < 1
    assert first != second
    assert seconds > 0


# --- chance, and batches ------------------------------------------------------------------------


def test_chance_is_what_it_is_in_numpy() -> None:
    ours: Chance = Keys(jax.random.key(0))
    numpys: Chance = np.random.default_rng(0)
    draws: list[Callable[[Any], Any]] = [
        lambda random: random.random((100, 100)),
        lambda random: random.uniform(-2, 5, (100, 100)),
        lambda random: random.normal(3, 2, (100, 100)),
        lambda random: random.integers(4, 9, (100, 100)),
    ]
    for draw in draws:
        mine, theirs = np.asarray(draw(ours)), draw(numpys)
        assert mine.mean() == pytest.approx(theirs.mean(), abs=0.1)
        assert mine.std() == pytest.approx(theirs.std(), abs=0.1)
    assert set(np.unique(np.asarray(ours.integers(4, 9, 1000)))) == {4, 5, 6, 7, 8}


def test_no_draw_is_like_the_one_before() -> None:
    random = Keys(jax.random.key(0))
    assert not np.array_equal(random.random(10), random.random(10))


def test_images_are_varied_as_much_as_by_numpy(pixels: Pixels) -> None:
    ours = np.asarray(augment(jaxs(pixels), Keys(jax.random.key(0)), USUAL))
    numpys = augment(pixels, np.random.default_rng(0), USUAL)
    plain = pixels / np.float32(255)
    assert ours.shape == plain.shape
    assert ours.dtype == np.float32
    assert 0 <= ours.min() <= ours.max() <= 1
    assert ours.mean() == pytest.approx(numpys.mean(), rel=0.05)
    assert np.abs(ours - plain).mean() == pytest.approx(np.abs(numpys - plain).mean(), rel=0.05)


def test_places_between_pixels_are_the_same(pixels: Pixels) -> None:
    x = pixels / np.float32(255)
    places = np.random.default_rng(0).uniform(-3, 30, (len(x), 2, 784)).astype(np.float32)
    assert np.allclose(sample(jaxs(x), jaxs(places)), sample(x, places), atol=1e-5)
    assert extents(jaxs(pixels)).tolist() == extents(pixels).tolist()


def test_without_strength_images_move_by_nothing(pixels: Pixels) -> None:
    x = jaxs(pixels / np.float32(255))
    still = bend(x, extents(jaxs(pixels)), Keys(jax.random.key(0)), 0.0, 1.5)
    assert np.allclose(still, x, atol=1e-4)


def test_a_batch_is_the_same_as_numpys(pixels: Pixels) -> None:
    config = Config(augmented=0.0, label_smoothing=0.1, taught=0.25)

    def taught_by(images: Any) -> Any:
        return smoothed(one_hot(images[:, 14, 14] % 10), 0.2)[:, :10]

    digits, labels, none = pixels[:40], mnist(500)[1][:40], pixels[40:50]
    x, targets = composed(digits, labels, none, np.random.default_rng(0), config, taught_by)
    ours = composed(jaxs(digits), jaxs(labels), jaxs(none), Keys(jax.random.key(0)), config, taught_by)
    assert (x.shape, targets.shape) == ((50, 28, 28, 1), (50, 11))
    assert np.allclose(ours[0], x, atol=1e-6)
    assert np.allclose(ours[1], targets, atol=1e-6)
    assert np.allclose(targets.sum(1), 1, atol=1e-6)
    assert (targets[40:, 10] == 1).all()
