"""Numbers are found, cut and read: rows, cuts and the lattice each, and then a whole picture."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from digits import convert, pattern, reading
from digits.cuts import Candidate, Cuts, cut
from digits.decode import identify
from digits.errors import BadImage
from digits.lattice import best_reading
from digits.network import Network
from digits.parts import components
from digits.paths import cheapest, on_course, refined
from digits.reading import Line, Survey
from digits.rows import Extent, Row, find_rows, pixels_looked_at, sized
from digits.sheet import MOST_PIECES, thresholded
from evaluation import drawing
from evaluation.drawing import Paper, cut_out, number, picture
from tests.images import falling_light
from tests.models import features, mnist

PIXELS, LABELS = mnist(400)
OF = {digit: PIXELS[digit == LABELS] for digit in range(10)}


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(convert.to_onnx(features()))


def written(text: str, seed: int = 0, **how: tuple[float, float]) -> Paper:
    random = np.random.default_rng(seed)
    return number([OF[int(digit)][random.integers(len(OF[int(digit)]))] for digit in text], random, **how)  # type: ignore[arg-type]


def on_page(*papers: Paper, left: int = 40, space: int = 20) -> Paper:
    """Put papers below each other on a white page."""
    width = left + max(paper.shape[1] for paper in papers) + 40
    page = np.full((space + sum(len(paper) + space for paper in papers), width, 3), 240.0)
    top = space
    for paper in papers:
        page[top : top + len(paper), left : left + paper.shape[1]] = paper
        top += len(paper) + space
    return page


def survey(paper: Paper | Image.Image, boxes: list[reading.Box] | None = None) -> Survey:
    file = io.BytesIO()
    (paper if isinstance(paper, Image.Image) else picture(paper)).save(file, "PNG")
    return reading.survey(identify(file.getvalue()), boxes or [])


def lines(network: Network, found: Survey, expected: str | None = None) -> list[Line]:
    rows = network.judge(found.pixels()) if found.count else np.zeros((0, 11), np.float32)
    return found.lines(rows, pattern.parse(expected) if expected else None)


def texts(network: Network, paper: Paper | Image.Image, expected: str | None = None) -> list[str]:
    return ["".join(str(digit.digit) for digit in line.digits) for line in lines(network, survey(paper), expected)]


# --- paths --------------------------------------------------------------------------------------


def test_the_cheapest_path_goes_around_what_costs() -> None:
    costs = np.zeros((5, 7), np.float32)
    costs[2, :5] = 1  # a wall with a gap at the right
    paths = cheapest(costs, aside=0.01, apart=10, most=1)
    for path in paths:
        assert costs[np.arange(5), path].sum() == 0
        assert path[2] in (5, 6)
    straight = np.full((1, 5), 1)
    assert costs[np.arange(5), refined(costs, straight, aside=0.01, reach=1)[0]].sum() == 1  # the gap is too far


def test_no_path_is_cheaper_than_the_cheapest() -> None:
    random = np.random.default_rng(0)
    costs = random.random((4, 6)).astype(np.float32)
    (path,) = cheapest(costs, aside=0.1, apart=6, most=9)
    found = costs[np.arange(4), path].sum() + 0.1 * np.abs(np.diff(path)).sum()
    every = [
        costs[np.arange(4), columns].sum() + 0.1 * np.abs(np.diff(columns)).sum()
        for columns in (np.array([a, b, c, d]) for a in range(6) for b in range(6) for c in range(6) for d in range(6))
        if np.abs(np.diff(columns)).max() <= 1
    ]
    assert found == pytest.approx(min(every))


def test_a_course_is_as_long_as_its_line_and_bridges_a_gap() -> None:
    gain = np.full((12, 5), -2, np.float32)
    gain[:, 2] = 1
    gain[5, 2] = -2
    length = on_course(gain, aside=0.5)
    assert length[[0, 11], 2].tolist() == [11 - 2] * 2
    assert length[:, 0].max() < 11 - 2


# --- rows and cuts ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (30, 200), (71, 73), (640, 480), (3000, 2001), (1, 5000)])
def test_it_is_known_before_how_much_of_a_picture_is_looked_at(size: tuple[int, int]) -> None:
    assert pixels_looked_at(size) == sized(Image.new("L", size))[0].size


def test_rows_come_from_top_to_bottom_where_they_are() -> None:
    papers = [written("31", 1), written("4159", 2), written("2", 3)]
    sheet = find_rows(picture(on_page(*papers)))
    assert len(sheet.rows) == 3
    top = 20
    for row, paper in zip(sheet.rows, papers, strict=True):
        left, above, width, height = sheet.view.box(*row.extent.whole)
        rows, columns = np.nonzero(paper.min(2) < 150)
        assert (above, above + height) == pytest.approx((top + rows.min(), top + rows.max() + 1), abs=4)
        assert (left, left + width) == pytest.approx((40 + columns.min(), 40 + columns.max() + 1), abs=4)
        top += len(paper) + 20


def test_the_boxes_of_a_turned_picture_are_those_of_the_picture() -> None:
    upright = picture(on_page(written("2718", 1, gap=(0.2, 0.4))))
    sloping = upright.rotate(15, Image.Resampling.BICUBIC, expand=True, fillcolor=(240, 240, 240))
    sheet = find_rows(sloping)
    (row,) = sheet.rows
    left, top, width, height = sheet.view.box(*row.extent.whole)
    rows, columns = np.nonzero(np.asarray(sloping.convert("L")) < 150)
    reach = 0.26 * max(row.ink.shape)  # the sine of 15°: the upright box around a turned one has other corners
    found = (left, left + width, top, top + height)
    assert found == pytest.approx((columns.min(), columns.max(), rows.min(), rows.max()), abs=reach)
    assert (left <= columns.min() + 4, top <= rows.min() + 4) == (True, True)


@pytest.mark.parametrize("surround", [drawing.ruled, drawing.inverted, drawing.on_brown, drawing.lit_from_one_side])
def test_what_surrounds_a_row_is_no_part_of_it(surround: Callable[[Paper], Paper]) -> None:
    paper = written("8350", 4)
    (plain,) = find_rows(picture(paper)).rows
    (row,) = find_rows(picture(surround(written("8350", 4)))).rows
    assert row.ink.shape == pytest.approx(plain.ink.shape, abs=5)
    assert row.ink.sum() == pytest.approx(plain.ink.sum(), rel=0.25)


def test_touching_digits_have_a_cut_between_them() -> None:
    paper = written("00", 5, gap=(-0.06, -0.05))
    (row,) = find_rows(picture(paper)).rows
    middle = row.ink.shape[1] / 2
    boundaries = [one.box[3] for one in cut(row).candidates if one.start == 0]
    assert min(abs(at - middle) for at in boundaries) < 0.12 * row.height


def test_a_blank_page_has_no_rows() -> None:
    assert find_rows(Image.new("L", (300, 200), 230)).rows == []
    assert survey(np.full((200, 300, 3), 230.0)).places == []


# --- the lattice --------------------------------------------------------------------------------


def piece(start: int, end: int, tall: float = 1.0, area: float = 1.0) -> Candidate:
    return Candidate(start, end, (0, 20, 10 * start, 10 * end), tall, 0.5 * (end - start), 0.0, area)


def sure(digit: int, p: float) -> NDArray[np.float32]:
    row = np.full(10, (1 - p) / 9, np.float32)
    row[digit] = p
    return row


THREE = Cuts([0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [piece(0, 1), piece(0, 2), piece(1, 2), piece(2, 3)], PIXELS[:4])


def read(rows: list[NDArray[np.float32]], expected: str | None = None) -> list[int | None] | None:
    tokens = best_reading(THREE, np.stack(rows), pattern.parse(expected) if expected else pattern.ANYTHING)
    return None if tokens is None else [token.digit for token in tokens if token.candidate is not None]


def test_the_likelier_segmentation_is_read() -> None:
    assert read([sure(1, 0.4), sure(4, 0.9), sure(1, 0.4), sure(7, 0.9)]) == [4, 7]
    assert read([sure(1, 0.99), sure(4, 0.1), sure(1, 0.99), sure(7, 0.9)]) == [1, 1, 7]


def test_the_best_reading_that_fits_is_read() -> None:
    rows = [sure(1, 0.6), sure(4, 0.9), sure(1, 0.6), sure(7, 0.9)]
    assert read(rows) == [4, 7]
    assert read(rows, r"\d{3}") == [1, 1, 7]
    assert read(rows, "[1-3]+") == [1, 1]
    assert len(read(rows, "[0-3]{2}") or []) == 2
    assert read(rows, r"\d{4}") is None
    assert read(rows, r"\d{0,64}") == read(rows)


def test_a_small_piece_is_a_mark_and_dirt_is_left_out() -> None:
    cuts = Cuts(
        [0.0, 0.0, 0.0, 0.0], [1.0, 0.1, 0.02], [piece(0, 1), piece(1, 2, 0.2, 0.1), piece(2, 3, 0.5, 0.02)], PIXELS[:3]
    )
    tokens = best_reading(cuts, np.stack([sure(5, 1.0), sure(1, 0.3), sure(1, 0.2)]))
    assert [(token.candidate, token.digit) for token in tokens or []] == [(0, 5), (1, None), (None, None)]


def test_a_small_piece_that_was_cut_off_counts_as_left_out() -> None:
    cuts = Cuts([0.0, 1.0, 0.0], [1.0, 0.1], [piece(0, 1), piece(1, 2, 0.2, 0.1)], PIXELS[:2])
    tokens = best_reading(cuts, np.stack([sure(5, 1.0), sure(1, 0.3)]))
    assert [(token.candidate, token.digit, token.left_out) for token in tokens or []] == [
        (0, 5, 0.0),
        (None, None, 0.1),
    ]


# --- whole pictures -----------------------------------------------------------------------------

NUMBERS = ["90210", "1234", "77", "5", "30062", "8816", "440", "2718281", "69", "13579", "0246", "99"]


@pytest.mark.parametrize(
    ("surround", "least"),
    [(lambda paper: paper, 9), (drawing.ruled, 8), (drawing.inverted, 9), (drawing.on_brown, 9)],
)
def test_numbers_are_read(network: Network, surround: Callable[[Paper], Paper], least: int) -> None:
    """With a network that is right about 96 % of digits; `make evaluate` tells how the real one does."""
    read = [texts(network, surround(written(text, seed))) for seed, text in enumerate(NUMBERS)]
    assert sum(found == [text] for found, text in zip(read, NUMBERS, strict=True)) >= least


def test_circles_around_digits_are_none(network: Network) -> None:
    papers = [drawing.written(OF[digit][0], height=70) for digit in (3, 4, 8)]
    plain = texts(network, np.concatenate(papers, axis=1))
    assert texts(network, np.concatenate([drawing.circled(paper) for paper in papers], axis=1)) == plain
    assert [len(text) for text in plain] == [3]


def test_what_is_expected_helps(network: Network) -> None:
    close = [(text, written(text, seed, gap=(-0.1, 0.02))) for seed, text in enumerate(NUMBERS)]
    free = sum(texts(network, paper) == [text] for text, paper in close)
    told = [texts(network, paper, f"[0-9]{{{len(text)}}}") for text, paper in close]
    assert all(len(found[0]) == len(text) for found, (text, _) in zip(told, close, strict=True))
    assert sum(found == [text] for found, (text, _) in zip(told, close, strict=True)) >= free


def test_a_tiny_picture_is_enlarged(network: Network) -> None:
    small = picture(written("2468", 2)).resize((68, 22), Image.Resampling.LANCZOS)
    (line,) = lines(network, survey(small))
    assert len(line.digits) == 4
    assert all(left + width <= 68 and top + height <= 22 for left, top, width, height in (d.box for d in line.digits))


def test_a_given_box_holds_one_number(network: Network) -> None:
    page = on_page(written("123", 1), written("456", 2))
    second = (40, 160, 200, 120)
    blank = (page.shape[1] - 30, 0, 30, 20)
    found = lines(network, survey(page, [second, blank]))
    (alone,) = texts(network, written("456", 2))
    assert ["".join(str(digit.digit) for digit in line.digits) for line in found] == [alone, ""]
    assert found[1].box == blank
    left, top, width, height = found[0].box
    assert (left >= 40, top >= 160, left + width <= 240, top + height <= 280) == (True,) * 4


def test_the_row_with_the_most_ink_is_that_of_a_box_however_tall_it_is() -> None:
    """Ink is counted by the height of its row; tall rows are averaged down, and low ones not."""
    page = np.full((300, 400, 3), 240.0)
    tall, low = slice(20, 145), slice(200, 255)
    for left in (40, 120, 200):
        page[tall, left : left + 12] = 20
    for left in (40, 80, 120, 160):
        page[low, left : left + 6] = 20
    assert [row.extent.by for row in find_rows(picture(page)).rows] == [2, 1]
    (place,) = survey(page, [(0, 0, 400, 300)]).places
    assert isinstance(place, reading.Region)
    assert place.whole[1] < 30


def test_a_point_is_a_mark(network: Network) -> None:
    paper = on_page(written("73", 1), left=60)
    at = int(np.nonzero(paper.min((0, 2)) < 150)[0].max()) + 14
    bottom = int(np.nonzero(paper.min((1, 2)) < 150)[0].max())
    paper[bottom - 7 : bottom, at : at + 8] = drawing.PEN
    (line,) = lines(network, survey(paper))
    assert [(mark.mark, mark.after) for mark in line.marks] == [(".", len(line.digits))]


def test_what_cannot_fit_is_read_as_it_is(network: Network) -> None:
    paper = written("471", 1)
    (line,) = lines(network, survey(paper), "[0-9]{60}")
    (plain,) = lines(network, survey(paper))
    assert not line.fits
    assert [digit.digit for digit in line.digits] == [digit.digit for digit in plain.digits]


def test_ink_that_is_left_out_counts_against_a_reading(network: Network) -> None:
    paper = written("471", 1, gap=(0.5, 0.6))  # too far apart to be one
    (three,) = lines(network, survey(paper), "[0-9]{3}")
    (two,) = lines(network, survey(paper), "[0-9]{2}")
    assert len(two.digits) == 2
    assert two.left_out > 0.3
    assert two.confidence < 0.8 * three.confidence


def test_a_blank_box_fits_what_may_be_empty() -> None:
    blank = survey(np.full((60, 60, 3), 240.0), [(0, 0, 50, 50)])
    none = np.zeros((0, 11), np.float32)
    assert [blank.lines(none, pattern.parse(text))[0].fits for text in ("[0-9]*", "[0-9]")] == [True, False]


def test_the_boxes_of_a_photo_are_those_of_the_upright_photo(network: Network) -> None:
    """A phone's JPEG lies on its side, and is decoded at a half of its size, or less."""
    upright = picture(written("4711", 3, gap=(0.2, 0.3))).resize((6300, 2401))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90° against the clock
    upright.rotate(-90, expand=True).save(file, "JPEG", exif=exif)
    found = reading.survey(identify(file.getvalue()))
    (line,) = lines(network, found)
    rows, columns = np.nonzero(np.asarray(upright.convert("L")) < 150)
    left, top, width, height = line.box
    assert (left, left + width) == pytest.approx((columns.min(), columns.max()), abs=60)
    assert (top, top + height) == pytest.approx((rows.min(), rows.max()), abs=60)
    assert all(x + w <= 6300 and y + h <= 2401 for x, y, w, h in (digit.box for digit in line.digits))


@pytest.mark.parametrize(
    ("tall", "wide", "top", "mark"),
    [(0.1, 0.3, 50, "-"), (0.3, 0.15, 60, ","), (0.12, 0.12, 60, "."), (0.3, 0.1, 2, "'")],
)
def test_marks_are_told_by_shape_and_place(tall: float, wide: float, top: int, mark: str) -> None:
    candidate = Candidate(0, 1, (top, top + round(70 * tall), 0, round(70 * wide)), tall, wide, 0.0, 0.1)
    assert reading.kind_of(candidate, 80) == mark


def test_faint_strokes_are_cut_and_widened_as_others_are() -> None:
    ink = np.zeros((80, 40), np.float32)
    ink[10:70, 20] = 0.3
    pixels = cut(Row(ink, Extent(0, 0, 80, 40), 60.0, 1.0)).cuts().pixels
    assert len(pixels) > 0
    assert (pixels.max((1, 2)) == 255).all()


def test_no_digit_is_lost_where_a_picture_was_cut_out_along_its_number(shipped: Network) -> None:
    """An upright stroke at a side of it looks like the edge of a page."""
    numbers = ["10723", "14561", "4701", "18934", "1961", "120041", "7411", "90217", "61851", "19471"]
    papers = [cut_out(written(text, seed, gap=(0.1, 0.3))) for seed, text in enumerate(numbers)]
    assert [len("".join(texts(shipped, paper))) for paper in papers] == [len(text) for text in numbers]


def test_a_digit_along_which_its_picture_was_cut_out_is_read(shipped: Network) -> None:
    digits, labels = mnist(120)
    alone = [digit[np.ix_(digit.any(1), digit.any(0))] for digit in digits]
    pictures = [Image.fromarray(255 - digit).resize((3 * digit.shape[1], 60)) for digit in alone]
    read = [texts(shipped, picture) for picture in pictures]
    assert np.mean([given == [str(label)] for given, label in zip(read, labels, strict=True)]) >= 0.9


@pytest.mark.parametrize("side", [np.s_[:, :9], np.s_[:, -9:], np.s_[:9], np.s_[-9:]])
def test_the_edges_of_a_page_are_no_digits(side: tuple[slice, ...], network: Network) -> None:
    page = on_page(written("5081", gap=(0.1, 0.3)))
    page[side] = 40
    assert texts(network, page) == ["5081"]


def test_a_drawing_in_black_and_white_is_not_blank() -> None:
    crop = np.full((100, 300), 255, np.uint8)
    for left in (20, 90, 160, 230):
        crop[10:90, left : left + 30] = 0
        crop[30:70, left + 8 : left + 22] = 255
    assert len(find_rows(Image.fromarray(crop)).rows) == 1


def test_a_large_plain_digit_takes_no_more_than_a_small_one(network: Network) -> None:
    """Plateaus, of paper or of ink, have one cut, and strokes of hundreds of pixels are averaged down."""
    small, large = (picture(written("7", 3)).resize((side, side)) for side in (120, 2000))
    (row,) = find_rows(large).rows
    assert row.height < 120
    assert survey(large).count <= 3 * survey(small).count


def test_boxes_that_cover_a_picture_many_times_are_refused() -> None:
    with pytest.raises(BadImage) as refused:
        survey(written("1"), [(0, 0, 9999, 9999)] * 5)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("box", [(400, 0, 30, 30), (0, 120, 30, 30), (1000, 1000, 30, 30)])
def test_a_box_outside_of_the_picture_is_refused(box: reading.Box) -> None:
    page = Image.new("L", (400, 120), 255)
    assert survey(page, [(399, 119, 30, 30)]).count == 0
    with pytest.raises(BadImage, match="box 2 lies outside of the image, which is 400 x 120") as refused:
        survey(page, [(0, 0, 30, 30), box])
    assert refused.value.code == "outside"


def photo(brightness: NDArray[np.float64], noise: float, seed: int, kind: str) -> Image.Image:
    """Return a picture whose brightness has normal noise of a standard deviation, as a file of a kind holds it."""
    values = brightness + np.random.default_rng(seed).normal(0, noise, brightness.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(file, kind, quality=85)
    return Image.open(file)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("noise", [0, 0.5, 1, 2, 4, 8, 12])
def test_grain_and_light_are_no_writing(noise: float, kind: str) -> None:
    for seed, (height, width) in enumerate([(350, 500), (80, 300), (60, 120), (30, 40)]):
        for light in (np.full((height, width), 235.0), falling_light(height, width)):
            assert not find_rows(photo(light, noise, seed, kind)).rows


@pytest.mark.parametrize(("contrast", "noise"), [(15, 0), (15, 2), (30, 5), (60, 10), (120, 25)])
def test_numbers_are_read_though_grain_and_light_vary_more(shipped: Network, contrast: float, noise: float) -> None:
    right = 0
    for seed in range(6):
        paper = np.pad(written("48271", seed)[..., 0], 60, constant_values=240)
        seen = falling_light(*paper.shape) - contrast * (240 - paper) / (240 - paper.min())
        right += texts(shipped, photo(seen, noise, seed, "JPEG")) == ["48271"]
    assert right >= 4


def test_a_page_of_noise_holds_little() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500), dtype=np.uint8)
    assert survey(Image.fromarray(noise)).count < 100


def test_ruled_lines_that_hang_together_in_hundreds_hold_nothing() -> None:
    page = np.full((600, 600, 3), 240.0)
    page[::4] = 20
    for turn, y in enumerate(range(0, 596, 4)):
        page[y : y + 4, -turn % 2 * 599] = 20
    assert survey(page).count == 0


def test_of_more_grain_than_any_page_has_the_largest_is_looked_at() -> None:
    page = np.zeros((400, 400), np.float32)
    page[:398:2, :398:2] = 255
    page[100:103, 100:103] = 255
    mask = thresholded(page).mask
    assert components(mask)[0].max() == MOST_PIECES < 199**2 // 1.5
    assert mask[100:103, 100:103].all()


def test_more_writing_than_can_be_read_at_once_is_refused() -> None:
    with pytest.raises(BadImage) as refused:
        survey(np.tile(written("48248248", gap=(-0.06, 0.0)), (16, 5, 1)))
    assert refused.value.code == "too_large"
