"""Targets are what the formulas say, and an epoch holds what it should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from digits.image import Pixels
from digits.judgements import Probabilities
from tests.models import mnist
from trainer.batches import Batches, composed, softened
from trainer.config import Config
from trainer.dataset import Part
from trainer.thresholds import auroc

PART = Part(*mnist(200))
PLAIN = Config(batch_size=64, augmented=0.0, drawn=0.0)


def said(pixels: Pixels) -> Probabilities:
    """A teacher who says the same of each image: 0.64 for a 3, and 0.04 for any other digit."""
    row = np.where(np.arange(10) == 3, 0.64, 0.04)
    return np.tile(row.astype(np.float32), (len(pixels), 1))


# --- targets ------------------------------------------------------------------------------------


def test_what_a_teacher_says_is_softened_by_a_temperature_of_two() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (50, 10))
    sure, unsure = (np.exp(some) / np.exp(some).sum(1, keepdims=True) for some in (logits, logits / 2))
    np.testing.assert_allclose(softened(sure), unsure, rtol=1e-9)


def test_a_target_is_part_label_part_teacher_and_no_digit_has_neither() -> None:
    """Of the label, a part is smoothed: a fifth of it goes to all digits alike."""
    config = Config(augmented=0.0, label_smoothing=0.2, taught=0.25)
    digits, labels, none = PART.pixels[:1], np.array([7], np.uint8), PART.pixels[1:3]
    _, targets = composed(digits, labels, none, np.random.default_rng(0), config, said)
    teacher = np.where(np.arange(10) == 3, 0.8, 0.2) / 2.6  # square roots of 0.64 and 0.04, made to sum to 1
    label = np.where(np.arange(10) == 7, 0.8, 0) + 0.02
    expected = [[*(0.75 * label + 0.25 * teacher), 0], [0] * 10 + [1], [0] * 10 + [1]]
    np.testing.assert_allclose(targets, expected, rtol=1e-6)


def test_a_teacher_is_shown_the_images_as_they_were_varied() -> None:
    seen: list[Pixels] = []

    def teacher(pixels: Pixels) -> Probabilities:
        seen.append(pixels)
        return said(pixels)

    config = Config(batch_size=20, augmented=1.0, drawn=0.0, taught=1.0)
    x, targets = Batches(PART, config, teacher)[0]
    np.testing.assert_allclose(seen[0] / 255, x[:20, ..., 0], atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(targets[:20, :10], softened(said(seen[0])), rtol=1e-6)


# --- epochs -------------------------------------------------------------------------------------


def epoch(batches: Batches) -> tuple[list[bytes], list[int], list[int]]:
    """Return the images with a digit in their order, and how many with and without one each batch holds."""
    order, digits, none = [], [], []
    for index in range(len(batches)):
        x, targets = batches[index]
        holds_none = targets[:, 10] == 1
        order += keys(np.rint(255 * x[~holds_none, ..., 0]).astype(np.uint8))
        digits.append(int((~holds_none).sum()))
        none.append(int(holds_none.sum()))
    batches.on_epoch_end()
    return order, digits, none


def keys(pixels: Iterable[NDArray[np.uint8]]) -> list[bytes]:
    return [image.tobytes() for image in pixels]


def test_an_epoch_has_each_image_once_and_the_next_one_another_order() -> None:
    batches = Batches(PART, PLAIN)
    first, digits, _ = epoch(batches)
    second, _, _ = epoch(batches)
    assert Counter(first) == Counter(second) == Counter(keys(PART.pixels))
    assert first != second
    assert digits == [64, 64, 64, 8]


def test_equal_seeds_give_equal_epochs_and_others_do_not() -> None:
    orders = [epoch(Batches(PART, Config(batch_size=64, augmented=0.0, drawn=0.0, seed=seed)))[0] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(("share", "expected"), [(0.0, [0, 0, 0, 0]), (0.25, [16, 16, 16, 2]), (1.5, [96, 96, 96, 12])])
def test_each_batch_has_its_share_of_images_without_a_digit(share: float, expected: list[int]) -> None:
    batches = Batches(PART, Config(batch_size=64, augmented=0.0, drawn=0.0, outliers=share))
    assert epoch(batches)[2] == expected


def test_drawn_digits_are_so_many_for_each_image() -> None:
    found, _, _ = epoch(Batches(PART, Config(batch_size=64, augmented=0.0, drawn=0.2)))
    assert len(found) == 240
    assert not Counter(keys(PART.pixels)) - Counter(found)


# --- telling digits from what is none -----------------------------------------------------------


@pytest.mark.parametrize("places", [1, 6])
def test_the_area_under_the_curve_is_that_of_mann_and_whitney(places: int) -> None:
    """Rounded to one place, most presences tie."""
    random = np.random.default_rng(0)
    higher, lower = random.beta(5, 1, 400).round(places), random.beta(1, 2, 250).round(places)
    expected = mannwhitneyu(higher, lower).statistic / (400 * 250)
    assert auroc(higher.astype(np.float32), lower.astype(np.float32)) == pytest.approx(expected, abs=1e-9)
