"""Panels are told from what is around them, and what is written on them is ink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from digits.grey import Grey, grey
from digits.image import Pixels
from digits.panels import find_panels, ink_with_panels
from digits.rows import LOOK
from evaluation.drawing import CELL, FORMS, PANELS, PLATE, TABLE, Paper, filled_in, number, on_drums, on_table, picture
from tests.models import mnist

PIXELS, LABELS = mnist(400)
INK = 100  # of 255: strength of what is written, wherever


def digits(seed: int, long: int = 5) -> list[Pixels]:
    return [PIXELS[index] for index in np.random.default_rng(seed).choice(len(PIXELS), long, replace=False)]


def written(seed: int = 0, long: int = 5) -> Paper:
    return filled_in(digits(seed, long), np.random.default_rng(seed))


def on_white(paper: Paper, beyond: int = CELL) -> Paper:
    """Return the paper with more of it on all sides, as many pixels as `on_table` adds."""
    return np.pad(paper, ((beyond, beyond), (beyond, beyond), (0, 0)), constant_values=240)


def turned(paper: Paper, degrees: float) -> Paper:
    fill = tuple(paper[0, 0].astype(int))
    return np.asarray(picture(paper).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=fill), float)


def seen(paper: Paper) -> Grey:
    return grey(picture(paper), side=LOOK)


def is_ink_of(found: Paper, paper: Paper) -> bool:
    """Tell whether all but soft edges of the ink on paper is found, and hardly any other."""
    there, expected = ink_with_panels(seen(found)) > INK, seen(paper) < 140
    return bool(np.count_nonzero(there ^ expected) <= 0.15 * np.count_nonzero(expected))


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
@pytest.mark.parametrize("degrees", [0, 2, -5])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_on_a_panel_is_ink(panel: Callable[[Paper], Paper], degrees: float, seed: int) -> None:
    plain = written(seed)
    shown = panel(plain.copy())
    beyond = (len(shown) - len(plain)) // 2
    assert is_ink_of(turned(shown, degrees), turned(on_white(plain, beyond), degrees))


WITHIN = slice(CELL, -CELL)
CUT_OFF = [np.s_[CELL:], np.s_[:-CELL], np.s_[:, WITHIN], np.s_[WITHIN], np.s_[WITHIN, CELL:], np.s_[CELL:, CELL:]]


@pytest.mark.parametrize("place", CUT_OFF, ids=["top", "bottom", "sides", "top-bottom", "all-but-right", "corner"])
def test_a_sheet_may_be_cut_off_by_the_picture(place: tuple[slice, ...]) -> None:
    assert is_ink_of(on_table(written())[place], on_white(written())[place])


def test_a_digit_may_touch_the_edge_of_its_drum() -> None:
    shown = on_drums(written())
    shown[CELL : CELL + 6, CELL // 2 + 20 : 3 * CELL // 2 - 5] = 230
    assert len(find_panels(seen(shown))) == 5


def test_what_is_written_beside_a_panel_is_ink_as_well() -> None:
    paper = np.concatenate([on_drums(written(0)), np.minimum(written(1), PLATE)])
    assert is_ink_of(paper, np.concatenate([written(0), written(1)]))


@pytest.mark.parametrize("form", [lambda paper: paper, *FORMS.values()], ids=["blank", *FORMS])
@pytest.mark.parametrize("seed", range(3))
def test_printed_lines_are_no_panels(form: Callable[[Paper], Paper], seed: int) -> None:
    assert not find_panels(seen(form(written(seed))))


@pytest.mark.parametrize(("pen", "at_most"), [(1, 1), (3, 2)])
def test_digits_that_touch_are_hardly_ever_a_panel(pen: int, at_most: int) -> None:
    """Of a hundred numbers, all of whose digits touch; few have edges as straight as a window's."""
    numbers = [
        picture(number(digits(seed), np.random.default_rng(seed), height=120, gap=(-0.25, 0))) for seed in range(100)
    ]
    taken = [find_panels(grey(drawn.filter(ImageFilter.MinFilter(pen)), side=LOOK)) for drawn in numbers]
    assert sum(map(bool, taken)) <= at_most


def test_angular_zeros_are_no_panels() -> None:
    sheet = Image.new("L", (300, 120), 240)
    for left in range(20, 280, 70):
        ImageDraw.Draw(sheet).rectangle([left, 30, left + 50, 90], outline=20, width=12)
    assert not find_panels(np.asarray(sheet, np.float32))


def test_shadows_are_no_panels() -> None:
    paper = on_white(written())
    paper[: 2 * CELL] *= 0.7
    assert not find_panels(seen(paper))


def test_a_blank_slip_is_no_panel() -> None:
    assert not find_panels(seen(on_table(np.full((2 * CELL, 6 * CELL, 3), 240.0))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (40, 2000)])
def test_pictures_without_anything_have_no_panels(shape: tuple[int, int]) -> None:
    for brightness in (0, 255):
        assert not find_panels(np.full(shape, brightness, np.float32))


def test_grain_has_no_panels() -> None:
    assert not find_panels(np.random.default_rng(0).uniform(0, 255, (400, 400)).astype(np.float32))


def test_the_grain_of_a_table_is_not_ink() -> None:
    shown = on_table(written())
    table = (shown == TABLE).all(2)
    shown[table] += np.random.default_rng(0).normal(0, 6, (np.count_nonzero(table), 3))
    assert is_ink_of(shown, on_white(written()))
