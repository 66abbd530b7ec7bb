"""What is printed around numbers goes, and what is written stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits.frames import without_frames
from digits.parts import Mask
from evaluation.drawing import CELL, FORMS, PRINT, Paper, filled_in, in_boxes, in_cells, in_frame, on_comb, picture
from tests.models import mnist

PIXELS, _ = mnist(400)
REST = 60  # pixels of ink: specks that are too small to be read


def ink(paper: Paper) -> Mask:
    return np.asarray(paper.min(2) < 150)


def number(seed: int = 0, long: int = 5) -> Paper:
    random = np.random.default_rng(seed)
    return filled_in([PIXELS[index] for index in random.choice(len(PIXELS), long, replace=False)], random)


def turned(paper: Paper, degrees: float) -> Paper:
    return np.asarray(picture(paper).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(240, 240, 240)), float)


def drawn(draw: Callable[[ImageDraw.ImageDraw], None], size: tuple[int, int] = (200, 100)) -> Mask:
    sheet = Image.new("1", size)
    draw(ImageDraw.Draw(sheet))
    return np.asarray(sheet)


def stays(mask: Mask) -> bool:
    return bool((without_frames(mask) == mask).all())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("degrees", [0, 2, -4])
@pytest.mark.parametrize("seed", range(3))
def test_a_form_goes_and_its_digits_stay(form: Callable[[Paper], Paper], degrees: float, seed: int) -> None:
    written = ink(turned(number(seed), degrees))
    kept = without_frames(ink(turned(form(number(seed)), degrees)))
    base = 0 if form is not on_comb else (5 * CELL + PRINT) * PRINT  # the line below goes with the ruled ones
    assert np.count_nonzero(kept & ~written) <= base + REST
    assert np.count_nonzero(written & ~kept) <= 0.02 * np.count_nonzero(written)


@pytest.mark.parametrize("form", [in_frame, in_cells])
@pytest.mark.parametrize("columns", [slice(CELL // 2 - 1, -CELL // 2 + 4), slice(CELL, None)])
def test_a_form_that_is_cut_out_tightly_or_cut_off_goes(form: Callable[[Paper], Paper], columns: slice) -> None:
    place = np.s_[CELL // 2 - 1 : 3 * CELL // 2 + 4, columns]
    kept = without_frames(ink(form(number()))[place])
    assert np.count_nonzero(kept & ~ink(number())[place]) <= REST


@pytest.mark.parametrize("form", [in_cells, in_boxes])
def test_a_blank_form_holds_nothing(form: Callable[[Paper], Paper]) -> None:
    blank = np.full((2 * CELL, 6 * CELL, 3), 240.0)
    assert not without_frames(ink(form(blank))).any()


@pytest.mark.parametrize("seed", range(8))
def test_digits_on_blank_paper_stay(seed: int) -> None:
    assert stays(ink(number(seed)))


def test_ones_between_two_ruled_lines_stay() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for y in (20, 70):
            sheet.line([0, y, 200, y], 1, 2)
        for x in (40, 80, 120):
            sheet.line([x, 22, x, 68], 1, 3)

    assert stays(drawn(draw))


def test_ones_on_a_line_stay_unless_they_are_the_ticks_of_a_comb() -> None:
    def standing(*columns: int) -> Mask:
        def draw(sheet: ImageDraw.ImageDraw) -> None:
            sheet.line([20, 80, 180, 80], 1, 3)
            for x in columns:
                sheet.line([x, 40, x, 80], 1, 3)

        return drawn(draw)

    for columns in ((60, 100, 140), (21, 80, 179)):  # within the line; unevenly spaced
        assert stays(standing(*columns))
    comb = standing(21, 60, 100, 139, 179)
    assert not without_frames(comb)[:78].any()


def test_lines_that_run_on_beyond_each_other_are_squared_paper() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for y in (20, 80):
            sheet.line([11, y, 189, y], 1, 2)
        for x in (20, 180):
            sheet.line([x, 20, x, 80], 1, 2)
        sheet.ellipse([60, 30, 90, 70], outline=1, width=3)

    assert stays(drawn(draw))


def test_ones_on_a_sloping_line_stay() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        sheet.line([10, 95, 290, 67], 1, 3)
        for x in range(40, 270, 50):
            sheet.line([x, 30 - x // 10, x, 80 - x // 10], 1, 3)

    assert stays(drawn(draw, (300, 100)))


def test_a_thick_1_from_line_to_line_stays() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        sheet.rectangle([10, 20, 290, 80], outline=1, width=2)
        sheet.line([150, 20, 150, 80], 1, 7)
        for x in (30, 80, 180, 230):
            sheet.ellipse([x, 26, x + 36, 74], outline=1, width=7)

    kept = without_frames(drawn(draw, (300, 100)))
    assert kept[25:75, 148:153].all()
    assert not kept[30:70, 8:14].any()


def test_zeros_of_one_size_are_no_boxes() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for x in range(20, 260, 50):
            sheet.ellipse([x, 20, x + 32, 70], outline=1, width=3)

    assert stays(drawn(draw, (280, 90)))


def test_lines_at_different_heights_are_no_fence() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for x, top in ((60, 10), (120, 30), (180, 12), (240, 34)):
            sheet.line([x, top, x, top + 60], 1, 3)
            sheet.ellipse([x - 40, 40, x - 18, 70], outline=1, width=3)

    assert stays(drawn(draw, (300, 110)))


@pytest.mark.parametrize("wide", [30, 40, 50])
def test_boxes_may_be_narrow(wide: int) -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for x in range(20, 200, 60):
            sheet.rectangle([x, 20, x + wide, 80], outline=1, width=2)

    assert np.count_nonzero(without_frames(drawn(draw, (220, 100)))) <= REST


def test_ones_among_other_digits_are_no_fence() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        for x in (30, 100, 170):
            sheet.line([x, 30, x, 80], 1, 3)
            sheet.ellipse([x + 20, 34, x + 50, 80], outline=1, width=3)

    assert stays(drawn(draw, (240, 100)))


def test_an_angular_0_is_no_frame() -> None:
    def draw(sheet: ImageDraw.ImageDraw) -> None:
        sheet.rectangle([30, 20, 70, 80], outline=1, width=6)
        sheet.line([110, 20, 110, 80], 1, 6)

    assert stays(drawn(draw))


def test_nothing_has_no_frames() -> None:
    assert not without_frames(np.zeros((30, 40), bool)).any()
