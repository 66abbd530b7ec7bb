"""Panels are told from what is around them, and what is written on them is ink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from digits import image
from digits.grey import Grey, grey
from digits.image import Pixels
from digits.panels import ink_with_panels, panels_of_digits, panels_of_numbers
from digits.rows import LOOK
from evaluation.drawing import (
    CELL,
    FORMS,
    PANELS,
    PEN,
    PLATE,
    TABLE,
    Paper,
    askew_on_table,
    filled_in,
    number,
    on_drums,
    on_table,
    picture,
)  # fmt: skip
from evaluation.drawing import written as single
from tests.models import mnist
from tests.test_image import distance

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


LEVEL = {name: panel for name, panel in PANELS.items() if panel is not askew_on_table}


@pytest.mark.parametrize("panel", LEVEL.values(), ids=LEVEL)
@pytest.mark.parametrize("degrees", [0, 2, -5])
@pytest.mark.parametrize("long", [1, 2, 5])
def test_what_is_written_on_a_panel_is_ink(panel: Callable[[Paper], Paper], degrees: float, long: int) -> None:
    plain = written(long, long)
    shown = panel(plain.copy())
    beyond = (len(shown) - len(plain)) // 2
    assert is_ink_of(turned(shown, degrees), turned(on_white(plain, beyond), degrees))


WITHIN = slice(CELL, -CELL)
CUT_OFF = [np.s_[CELL:], np.s_[:-CELL], np.s_[:, WITHIN], np.s_[WITHIN], np.s_[WITHIN, CELL:], np.s_[CELL:, CELL:]]


@pytest.mark.parametrize("place", CUT_OFF, ids=["top", "bottom", "sides", "top-bottom", "all-but-right", "corner"])
def test_a_sheet_may_be_cut_off_by_the_picture(place: tuple[slice, ...]) -> None:
    assert is_ink_of(on_table(written())[place], on_white(written())[place])


@pytest.mark.parametrize("seed", range(3))
def test_a_slip_may_lie_askew(seed: int) -> None:
    plain = on_white(written(seed))
    on_paper = picture(plain).rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor=(240, 240, 240))
    assert is_ink_of(askew_on_table(written(seed)), np.asarray(on_paper, float))


def test_a_digit_may_touch_the_edge_of_its_drum() -> None:
    shown = on_drums(written())
    shown[CELL : CELL + 6, CELL // 2 + 20 : 3 * CELL // 2 - 5] = 230
    assert len(panels_of_numbers(seen(shown))) == 5


def test_what_is_written_beside_a_panel_is_ink_as_well() -> None:
    paper = np.concatenate([on_drums(written(0)), np.minimum(written(1), PLATE)])
    assert is_ink_of(paper, np.concatenate([written(0), written(1)]))


@pytest.mark.parametrize("form", [lambda paper: paper, *FORMS.values()], ids=["blank", *FORMS])
@pytest.mark.parametrize("seed", range(3))
def test_printed_lines_are_no_panels(form: Callable[[Paper], Paper], seed: int) -> None:
    assert not panels_of_numbers(seen(form(written(seed))))


@pytest.mark.parametrize(("pen", "at_most"), [(1, 1), (3, 2)])
def test_digits_that_touch_are_hardly_ever_a_panel(pen: int, at_most: int) -> None:
    """Of a hundred numbers, all of whose digits touch; few have edges as straight as a window's."""
    numbers = [
        picture(number(digits(seed), np.random.default_rng(seed), height=120, gap=(-0.25, 0))) for seed in range(100)
    ]
    taken = [panels_of_numbers(grey(drawn.filter(ImageFilter.MinFilter(pen)), side=LOOK)) for drawn in numbers]
    assert sum(map(bool, taken)) <= at_most


@pytest.mark.parametrize("width", [4, 12, 16])
def test_angular_zeros_are_no_panels(width: int) -> None:
    sheet = Image.new("L", (300, 120), 240)
    for left in range(20, 280, 70):
        ImageDraw.Draw(sheet).rectangle([left, 30, left + 50, 90], outline=20, width=width)
    assert not panels_of_numbers(np.asarray(sheet, np.float32))
    assert not panels_of_digits(np.asarray(sheet, np.float32)[:, :90])


def test_shadows_are_no_panels() -> None:
    paper = on_white(written())
    paper[: 2 * CELL] *= 0.7
    assert not panels_of_numbers(seen(paper))


def test_a_blank_slip_is_no_panel() -> None:
    assert not panels_of_numbers(seen(on_table(np.full((2 * CELL, 6 * CELL, 3), 240.0))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (40, 2000)])
def test_pictures_without_anything_have_no_panels(shape: tuple[int, int]) -> None:
    for brightness in (0, 255):
        assert not panels_of_numbers(np.full(shape, brightness, np.float32))


def test_grain_has_no_panels() -> None:
    assert not panels_of_numbers(np.random.default_rng(0).uniform(0, 255, (400, 400)).astype(np.float32))


def test_the_grain_of_a_table_is_not_ink() -> None:
    shown = on_table(written())
    table = (shown == TABLE).all(2)
    shown[table] += np.random.default_rng(0).normal(0, 6, (np.count_nonzero(table), 3))
    assert is_ink_of(shown, on_white(written()))


# --- of one digit -------------------------------------------------------------------------------


def cell(digit: Pixels) -> Paper:
    return filled_in([digit], np.random.default_rng(0))


def cut_to(shape: Image.Image, paper: Paper) -> Paper:
    """Return a paper where a mask of its size is white, and a table elsewhere and around."""
    there = np.asarray(shape.resize((paper.shape[1], paper.shape[0])))[..., np.newaxis] > 0
    return on_table(np.where(there, paper, np.array(TABLE, float)))


def shapes() -> dict[str, Image.Image]:
    """Return masks of what a digit may be written on."""
    rounded, aslant = (Image.new("1", (100, 100)) for _ in range(2))
    ImageDraw.Draw(rounded).rounded_rectangle([0, 0, 99, 99], 12, fill=1)
    ImageDraw.Draw(aslant).polygon([(15, 5), (85, 0), (99, 99), (0, 90)], fill=1)  # seen from one side
    return {"rounded": rounded, "aslant": aslant}


def share_seen_alike(pictures: list[Paper], plain: list[Paper]) -> float:
    pairs = [[image.look(picture(paper)).pixels for paper in pair] for pair in zip(plain, pictures, strict=True)]
    return float(np.mean([distance(*pair) < 0.3 for pair in pairs]))


@pytest.mark.parametrize("panel", LEVEL.values(), ids=LEVEL)
def test_a_digit_on_a_panel_is_seen_as_on_paper(panel: Callable[[Paper], Paper]) -> None:
    papers = [cell(digit) for digit in PIXELS[:40]]
    assert share_seen_alike([panel(paper.copy()) for paper in papers], papers) >= 0.9


def test_a_digit_on_a_panel_may_be_pale() -> None:
    papers = [cell(digit) for digit in PIXELS[:40]]
    pale = [on_table(240 - (240 - paper) * 0.15) for paper in papers]
    assert share_seen_alike(pale, papers) >= 0.9


@pytest.mark.parametrize("shape", shapes().values(), ids=shapes())
def test_a_panel_of_a_digit_need_not_be_square(shape: Image.Image) -> None:
    """Only a 1 needs sharp corners around it, or the hole of a 0 would be one."""
    papers = [cell(digit) for digit in PIXELS[:40][LABELS[:40] != 1]]
    assert share_seen_alike([cut_to(shape, paper) for paper in papers], papers) >= 0.9


def test_a_panel_of_a_digit_may_lie_askew() -> None:
    papers = [cell(digit) for digit in PIXELS[:40]]
    askew = [np.asarray(picture(paper).rotate(20, Image.Resampling.BICUBIC, fillcolor=(240,) * 3)) for paper in papers]
    assert share_seen_alike([askew_on_table(paper) for paper in papers], askew) >= 0.9


def test_the_digit_on_a_panel_is_where_it_is_in_the_picture() -> None:
    for digit in PIXELS[:10]:
        plain, found = image.look(picture(on_white(cell(digit)))), image.look(picture(on_table(cell(digit))))
        assert found.box == pytest.approx(plain.box, abs=6)


def test_a_digit_on_each_of_two_panels_is_one_too_many() -> None:
    assert image.look(picture(on_drums(written(0, 2)))).others == 1


@pytest.mark.parametrize("pen", [1, 5, 9, 13])
def test_digits_are_no_panels_however_thick_the_pen(pen: int) -> None:
    """What shows through their loops looks like a digit on them, at most."""
    for digit in PIXELS[:100]:
        for paper in (cell(digit), single(digit)):
            thick = picture(paper).filter(ImageFilter.MinFilter(pen))
            for one in (thick, ImageOps.invert(thick)):
                assert not panels_of_digits(grey(one, side=image.LOOK))


@pytest.mark.parametrize("pen", [1, 5])
def test_slashed_zeros_are_no_panels(pen: int) -> None:
    for digit in PIXELS[LABELS == 0]:
        zero = picture(single(digit))
        ImageDraw.Draw(zero).line([35, 92, 85, 28], fill=PEN, width=5)
        assert not panels_of_digits(grey(zero.filter(ImageFilter.MinFilter(pen)), side=image.LOOK))
