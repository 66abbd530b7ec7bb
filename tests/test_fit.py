"""What a training minimises, what it counts and how fast it learns, beside the formulas in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models import mnist
from trainer import fit
from trainer.batches import network_input, one_hot
from trainer.config import Config
from trainer.dataset import Part
from trainer.errors import Diverged

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's own

RANDOM = np.random.default_rng(0)
PART = Part(*mnist(300))


def logits(count: int) -> NDArray[np.float32]:
    return RANDOM.normal(0, 3, (count, 10)).astype(np.float32)


def targets(digits: int, none: int) -> NDArray[np.float32]:
    """Return soft targets of images with a digit, and then of some without one."""
    soft = RANDOM.dirichlet(np.ones(10), digits).astype(np.float32)
    wanted: NDArray[np.float32] = np.concatenate([np.pad(soft, ((0, 0), (0, 1))), one_hot(np.full(none, 10, np.uint8))])
    return wanted


def test_the_loss_is_the_cross_entropy_of_eleven_outcomes() -> None:
    given, wanted = logits(12), targets(9, 3)
    scores = np.concatenate([given, np.zeros((12, 1))], 1)  # the logit of no digit is 0
    expected = -(wanted * np.log(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))).sum(1)
    np.testing.assert_allclose(fit.open_set_loss(wanted, given), expected, rtol=1e-5)


def test_accuracy_counts_images_with_a_digit_and_all_of_them_alike() -> None:
    """However they come in batches, of which one holds a single image with a digit, and one none."""
    given, wanted = logits(40), targets(25, 15)
    right = given[:25].argmax(1) == wanted[:25, :10].argmax(1)
    assert 0 < right.mean() < 1
    assert float(fit.accuracy(wanted, given)) == pytest.approx(right.mean())
    metric = fit.Accuracy()
    for start, end in ((0, 24), (24, 30), (30, 40)):
        metric.update_state(wanted[start:end], given[start:end])
    assert float(metric.result()) == pytest.approx(right.mean())


def build() -> keras.Model:
    layers = keras.layers
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])


@pytest.mark.parametrize("mixed", [False, True])
def test_accuracy_on_the_validation_set_is_the_share_that_is_read_right(mixed: bool) -> None:
    """Of 300 images, in batches of 32 and a last one of 12."""
    config = Config(epochs=1, batch_size=64, augmented=0.0, drawn=0.0, mixed_precision=mixed)
    model, history = fit.fit(build, PART, PART, config)
    right = (fit.predict(model, PART.pixels).argmax(1) == PART.labels).mean()
    assert history["val_accuracy"] == [pytest.approx(right, abs=0.01 if mixed else 1e-6)]
    if not mixed:
        held_out, wanted = network_input(PART.pixels), one_hot(PART.labels)
        with fit.giving_logits(model):
            loss = np.mean(fit.open_set_loss(wanted, model(held_out)))
        assert history["val_loss"] == [pytest.approx(float(loss), rel=1e-5)]


def test_a_training_that_led_nowhere_says_so_and_what_may_help() -> None:
    config = Config(epochs=1, learning_rate=1e38, augmented=0.0, drawn=0.0)
    with pytest.raises(Diverged, match="no number any more; a lower --learning-rate may help"):
        fit.fit(build, PART, PART, config)


def test_the_rate_rises_for_a_tenth_of_the_steps_and_ends_at_nothing() -> None:
    rates = np.array([float(fit.schedule(0.004, 200)(step)) for step in range(201)])
    assert rates.max() == pytest.approx(0.004)
    assert rates.argmax() == 20
    assert rates[0] == pytest.approx(0.0004)
    assert rates[200] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(np.diff(rates[:21]), (0.004 - 0.0004) / 20, rtol=1e-3)
    falling = 0.002 * (1 + np.cos(np.pi * np.arange(181) / 180))
    np.testing.assert_allclose(rates[20:], falling, atol=1e-8)
