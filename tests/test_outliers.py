"""Images without a digit, and digits drawn by pen, have MNIST's geometry and are alike for equal seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from digits import convert
from digits.image import Pixels, centre_of_mass
from digits.network import Network
from tests.models import features, mnist
from trainer import pen
from trainer.outliers import SHARES, holds_ring, looks_like_1, outlier, outliers, piece, several
from trainer.pen import cropped
from trainer.thresholds import DOUBTED, nearly_all

DIGITS, _ = mnist(300)
EVERY = np.repeat(np.arange(10, dtype=np.uint8), 30)

Made = Callable[[np.random.Generator], Pixels]
MADE: dict[str, Made] = {
    "outliers": lambda random: outliers(DIGITS, 200, random),
    "drawn digits": lambda random: pen.digits(EVERY, random),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_they_have_the_geometry_of_mnist(make: Made) -> None:
    made = make(np.random.default_rng(0))
    assert made.dtype == np.uint8
    for image in made:
        rows, columns = np.nonzero(image)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        assert np.abs(np.array(centre_of_mass(image.astype(np.float32))) - 14).max() < 1.6


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_equal_seeds_make_equal_images_and_others_do_not(make: Made) -> None:
    first, second, other = (make(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_the_shares_of_all_kinds_are_the_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", SHARES)
def test_each_kind_has_ink_and_no_two_are_alike(kind: str) -> None:
    random = np.random.default_rng(0)
    made = [outlier(kind, DIGITS, random) for _ in range(20)]
    assert all(drawing.max() > pen.INKED for drawing in made)
    assert len({drawing.tobytes() for drawing in made}) == 20


@pytest.mark.parametrize("strokes", [*pen.LETTERS.values(), *pen.SIGNS])
def test_all_strokes_of_a_table_lie_on_its_grid(strokes: tuple[str, ...]) -> None:
    for stroke in strokes:
        points = stroke.removeprefix("~").split()
        assert len(points) > 1
        assert all(int(point[0]) <= 6 and int(point[1]) <= 8 and len(point) == 2 for point in points)


def test_a_cut_that_leaves_nothing_makes_another_image() -> None:
    """A steep stroke may lie on one side of a cut, whole."""
    stroke = np.zeros((1, 28, 28), np.uint8)
    stroke[0, np.arange(4, 24), 20 - 8 * np.arange(20) // 20] = 255
    made = outliers(stroke, 2500, np.random.default_rng(0))
    assert made.any((1, 2)).all()


def test_the_pen_is_round_and_lifted_nowhere() -> None:
    """Its width is the first thing that it asks chance for."""
    corner = np.array([[0, 0], [5, 0], [5, 5]], np.float64)
    sheet = pen.drawn([corner], np.random.default_rng(0))
    width = np.random.default_rng(0).uniform(*pen.PEN) * pen.CANVAS
    near, far = width / 2, pen.CANVAS - width / 2 - 2  # the middle of the pen at both ends of each stroke
    rows, columns = np.mgrid[0 : pen.CANVAS, 0 : pen.CANVAS]
    across = np.hypot(columns - np.clip(columns, near, far), rows - near)
    down = np.hypot(columns - far, rows - np.clip(rows, near, far))
    away = np.minimum(across, down)
    assert (sheet[away < width / 2 - 1.5] == 255).all()
    assert (sheet[away > width / 2 + 1.5] == 0).all()


def test_a_network_that_never_saw_them_reads_drawn_digits() -> None:
    """The table has a digit where it says so: a network trained on MNIST alone agrees, where hands do not differ."""
    read = Network(convert.to_onnx(features()))(pen.digits(EVERY, np.random.default_rng(0))).argmax(1)
    right = np.array([(read[digit == EVERY] == digit).mean() for digit in range(10)])
    assert right.mean() > 0.6
    assert right[[0, 2, 3, 4, 5, 6, 8]].min() > 0.6  # but 1, 7 and 9, of which MNIST has other kinds


def test_several_digits_are_more_than_one_and_a_piece_is_less() -> None:
    random = np.random.default_rng(0)
    wider = 0
    for first, second in zip(DIGITS[:50], DIGITS[50:100], strict=True):
        one, other = cropped(first), cropped(second)
        both = several(one, other, random)
        assert both.sum() > one.sum()
        wider += both.shape[1] > one.shape[1]
        assert 0 < piece(one, random).sum() < one.sum()
    assert wider >= 45  # a slim one may stand within the first


def test_a_bar_is_no_piece_for_it_may_be_a_1() -> None:
    assert looks_like_1(np.ones((20, 4), np.float32))
    assert not looks_like_1(np.ones((20, 12), np.float32))


def test_a_ring_is_no_piece_for_it_may_be_a_0() -> None:
    ring = np.full((20, 16), 255, np.float32)
    ring[5:15, 5:11] = 0
    assert holds_ring(ring)
    assert not holds_ring(ring[:, :8])
    assert not holds_ring(ring[:10])


@pytest.mark.parametrize("values", [np.linspace(0.2, 1, 5000), 1 - np.geomspace(1e-6, 4e-4, 5000)])
def test_nearly_all_digits_reach_the_threshold_however_near_to_1_they_are(values: NDArray[np.float64]) -> None:
    least = nearly_all(values.astype(np.float32))
    assert (values < least).mean() <= DOUBTED
    assert values.min() - 1e-3 <= least <= np.quantile(values, DOUBTED)
