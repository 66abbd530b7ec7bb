"""Specks, black or white, are told from strokes and dots."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from digits import image
from digits.grey import Grey
from digits.network import Network
from digits.specks import without_specks
from evaluation.drawing import number
from tests.models import mnist
from tests.test_reading import texts

COUNT = 100


def speckled(grey: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Make a share of the pixels black or white."""
    random = np.random.default_rng(0).random(grey.shape)
    return np.where(random < share / 2, 0, np.where(random > 1 - share / 2, 255, grey)).astype(np.uint8)


@pytest.mark.parametrize("share", [0.05, 0.12])
@pytest.mark.parametrize("dark", [True, False])
def test_digits_of_28_pixels_are_read_among_specks(dark: bool, share: float, shipped: Network) -> None:
    pixels, labels = mnist(COUNT)
    pictures = speckled(255 - pixels if dark else pixels, share)
    seen = np.stack([image.read(image.as_png(picture)) for picture in pictures])
    assert (shipped(seen).argmax(1) == labels).mean() >= 0.93


def test_a_small_number_is_read_among_specks(shipped: Network) -> None:
    pixels, labels = mnist(5)
    paper = number(list(pixels), np.random.default_rng(0))[::3, ::3, 0].astype(np.uint8)
    assert texts(shipped, Image.fromarray(speckled(paper, 0.1))) == ["".join(map(str, labels))]


@pytest.mark.parametrize(("least", "speck"), [(190, 0), (45, 255)])
@pytest.mark.parametrize("side", [28, 201])
def test_specks_become_the_median_around_them_and_nothing_else_does(side: int, least: int, speck: int) -> None:
    grey = np.random.default_rng(0).integers(least, least + 20, (side, side)).astype(np.float32)
    grey[::5, ::5] = speck
    medians = ndimage.median_filter(grey, 3, mode="mirror")
    assert (without_specks(grey) == np.where(grey == speck, medians, grey)).all()


@pytest.mark.parametrize(
    "grey",
    [
        np.zeros((28, 28), np.float32),
        np.pad(np.full((1, 1), 255, np.float32), 20),  # a dot
        np.tile(np.array([[0, 255], [255, 0]], np.float32), (10, 10)),  # a pattern
        np.eye(40, dtype=np.float32) * 255,  # the finest line
        np.pad(np.tile(np.pad([[255]], (0, 2)), (4, 4)).astype(np.float32), 14),  # dots in the middle alone
        np.random.default_rng(0).normal(128, 20, (60, 60)).astype(np.float32),  # grain
    ],
    ids=["blank", "dot", "pattern", "line", "middle", "grain"],
)
def test_what_are_no_specks_stays(grey: Grey) -> None:
    assert without_specks(grey) is grey


def test_pictures_of_mnist_have_no_specks() -> None:
    for picture in mnist(1000)[0].astype(np.float32):
        for seen in (picture, 255 - picture):
            assert without_specks(seen) is seen


def test_blank_paper_with_specks_is_blank(shipped: Network) -> None:
    paper = speckled(np.full((30, 30), 255, np.uint8), 0.05)
    assert not image.read(image.as_png(paper)).any()
    assert not texts(shipped, Image.fromarray(paper))


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_large_digits_are_read_among_specks_as_well(share: float, shipped: Network) -> None:
    pixels, labels = mnist(COUNT)
    pictures = speckled(255 - np.kron(pixels, np.ones((3, 3), np.uint8)), share)
    seen = np.stack([image.read(image.as_png(picture)) for picture in pictures])
    assert (shipped(seen).argmax(1) == labels).mean() >= 0.93
