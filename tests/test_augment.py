"""Variants of training images stay images, differ, and are alike for equal seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from digits.image import Pixels, centre_of_mass
from tests.models import mnist
from trainer.augment import (
    Chance,
    Floats,
    Variation,
    augment,
    bend,
    blur,
    coarsen,
    downscale,
    extents,
    hide,
    sample,
    vary_strokes,
)

USUAL = Variation(share=0.7, strength=1, hidden=0.1, moved=1.5, patch=5)


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return mnist(500)[0]


def test_variants_are_floats_between_0_and_1(pixels: Pixels) -> None:
    varied = augment(pixels, np.random.default_rng(0), USUAL)
    assert varied.shape == pixels.shape
    assert varied.dtype == np.float32
    assert varied.min() >= 0
    assert varied.max() <= 1


def test_equal_seeds_give_equal_variants_and_others_do_not(pixels: Pixels) -> None:
    first, second, other = (augment(pixels, np.random.default_rng(seed), USUAL) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_share_stays_as_it_is(pixels: Pixels) -> None:
    varied = augment(pixels, np.random.default_rng(0), USUAL)
    same = (varied == pixels / np.float32(255)).all((1, 2)).mean()
    assert abs(same - 0.3) < 0.07  # three standard deviations of 500 images


def test_half_the_strength_changes_less(pixels: Pixels) -> None:
    plain = pixels / np.float32(255)
    whole, half, none = (
        np.abs(
            augment(pixels, np.random.default_rng(0), Variation(1, strength, hidden=0, moved=1.5, patch=5)) - plain
        ).mean()
        for strength in (1, 0.5, 0)
    )
    assert 0 == none < half < 0.8 * whole


def test_hidden_parts_are_paper(pixels: Pixels) -> None:
    plain = pixels / np.float32(255)
    varied = augment(pixels, np.random.default_rng(0), Variation(1, strength=0, hidden=1, moved=1.5, patch=5))
    hidden = varied != plain
    assert (varied[hidden] == 0).all()
    assert (hidden.sum((1, 2)) <= 25).all()
    assert hidden.any((1, 2)).mean() > 0.5


def test_every_pixel_of_a_digit_may_be_hidden() -> None:
    full = np.zeros((2000, 28, 28), np.float32)
    full[:, 4:24, 4:24] = 1
    hidden = (hide(full, np.random.default_rng(0), 1, side=5) < full).any(0)
    assert hidden[4:24, 4:24].all()


@pytest.mark.parametrize("vary", [vary_strokes, blur, downscale, coarsen])
def test_strokes_and_dots_change_where_they_are(
    pixels: Pixels, vary: Callable[[Floats, Chance, float], Floats]
) -> None:
    x = pixels.astype(np.float32) / np.float32(255)
    before, after = x.mean(0), vary(x, np.random.default_rng(0), 1).mean(0)
    assert centre_of_mass(after) == pytest.approx(centre_of_mass(before), abs=0.05)


@pytest.mark.parametrize("vary", [vary_strokes, blur, downscale, coarsen])
def test_ink_at_one_border_is_not_seen_at_the_other(vary: Callable[[Floats, Chance, float], Floats]) -> None:
    x = np.zeros((200, 28, 28), np.float32)
    x[:, -2:] = 1
    assert (vary(x, np.random.default_rng(0), 1)[:, :14] == 0).all()


def test_a_digit_stays_in_its_picture(pixels: Pixels) -> None:
    """Ink may be thinned or spread by a half, but nothing falls over the border."""
    varied = augment(pixels, np.random.default_rng(0), USUAL)
    assert np.median(varied.sum((1, 2)) / (pixels.sum((1, 2)) / 255)) == pytest.approx(1, abs=0.2)
    assert varied[:, [0, -1]].mean() < 0.01 * varied.mean() * 28


def test_extents_count_rows_and_columns() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 10:15] = 255
    assert extents(image).tolist() == [[20, 5]]


def test_sampling_at_the_pixels_themselves_changes_nothing(pixels: Pixels) -> None:
    x = pixels.astype(np.float32)
    here = np.broadcast_to(np.mgrid[0:28, 0:28].reshape(2, -1).astype(float), (len(x), 2, 784))
    below = here + np.array([[1], [0]])
    assert np.array_equal(sample(x, here), x)
    assert np.array_equal(sample(x, below)[:, :-1], x[:, 1:])
    assert (sample(x, below)[:, -1] == 0).all()  # beyond the border is paper


def test_bending_moves_ink_and_keeps_its_amount(pixels: Pixels) -> None:
    x = pixels.astype(np.float32) / np.float32(255)
    bent = bend(x, extents(pixels), np.random.default_rng(0), 1, 1.5)
    assert (np.abs(bent - x).mean((1, 2)) > 0.01).mean() > 0.9
    assert 0.7 < np.median(bent.sum((1, 2)) / x.sum((1, 2))) < 1.3


def test_images_are_moved_as_far_as_told(pixels: Pixels) -> None:
    x = pixels.astype(np.float32) / np.float32(255)
    still, moved = (bend(x, extents(pixels), np.random.default_rng(0), 1, far) for far in (0, 3))
    centres = [np.array([centre_of_mass(image) for image in images]) for images in (still, moved)]
    way = np.abs(centres[1] - centres[0])  # (500, 2); more where the digit is stretched, less where a part falls off
    assert np.median(way) == pytest.approx(1.5, abs=0.2)
    assert 2 < np.quantile(way, 0.9) < 3.5
