"""A temperature makes a network as sure as it is right, and changes no answer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.calibrate import cool, fit_temperature
from trainer.reliability import calibration_error


def overconfident(by: float, n: int = 20_000) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return labels, and probabilities whose logits are `by` times those that the labels were drawn with."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (n, 10))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) > random.random((n, 1))).argmax(1).astype(np.uint8)
    given = np.exp(by * logits)
    return (given / given.sum(1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("by", [0.5, 1.0, 2.0])
def test_the_temperature_is_found(by: float) -> None:
    probabilities, labels = overconfident(by)
    assert fit_temperature([probabilities], labels) == pytest.approx(by, rel=0.03)


def test_networks_that_each_are_as_sure_as_right_are_to_be_surer_together() -> None:
    """Each sees the same logits through noise of its own, and says what follows from what it sees."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (8_000, 1, 10))
    labels = (logits[:, 0] + random.gumbel(size=(8_000, 10))).argmax(1).astype(np.uint8)  # drawn from their softmax
    seen = np.moveaxis(logits + random.normal(0, 2, (8_000, 3, 10)), 1, 0)
    alone = [softmax(each / fit_temperature([softmax(each)], labels)) for each in seen]
    assert [fit_temperature([each], labels) for each in alone] == pytest.approx([1] * 3, abs=0.02)
    together = fit_temperature(alone, labels)
    assert together < 0.85
    cooled = np.mean([softmax(np.log(each) / together) for each in alone], 0)
    assert calibration_error(cooled, labels) < 0.5 * calibration_error(np.mean(alone, 0), labels)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True), np.float32)


def test_confidence_that_is_right_has_no_error_and_other_has() -> None:
    assert calibration_error(*overconfident(1.0)) < 0.02
    assert calibration_error(*overconfident(3.0)) > 0.1
    sure = np.eye(10, dtype=np.float32)[[1, 1, 1, 1]]
    assert calibration_error(sure, np.array([1, 1, 1, 2], np.uint8)) == pytest.approx(0.25)


def test_cooling_divides_the_logits_and_changes_no_answer() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10, activation="softmax")])
    x = np.random.default_rng(0).normal(0, 1, (50, 4))
    before = model.predict(x, verbose=0)
    cool(model, 0.5)
    after = model.predict(x, verbose=0)
    squared = before**2 / (before**2).sum(1, keepdims=True)
    assert np.abs(after - squared).max() < 1e-6
    assert (after.argmax(1) == before.argmax(1)).all()
