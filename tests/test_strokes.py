"""The digit wins over its frame, its light and its neighbours; and parts of a mask are what they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

from digits import convert, image, strokes
from digits.ink import otsu, standing_out
from digits.network import Network
from digits.parts import Mask, components
from evaluation.drawing import SURROUNDINGS, Paper, framed, picture, written
from tests.models import mnist, templates
from tests.test_image import distance

COUNT = 60


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(convert.to_onnx(templates()))


def read(network: Network, draw: Callable[[Paper], Paper]) -> list[int]:
    pixels = [image.look(picture(draw(written(digit)))).pixels for digit in mnist(COUNT)[0]]
    return [int(digit) for digit in network(np.stack(pixels)).argmax(1)]


# Their proportions may change, which `templates` notice.
CUT_OUT = [name for name in SURROUNDINGS if name.startswith("cut_out")]


@pytest.mark.parametrize("name", CUT_OUT)
def test_no_paper_around_is_needed(name: str, shipped: Network) -> None:
    right = np.equal(read(shipped, SURROUNDINGS[name]), mnist(COUNT)[1])
    assert right.mean() >= 0.93


@pytest.mark.parametrize("name", [name for name in SURROUNDINGS if name not in CUT_OUT])
def test_surroundings_do_not_matter(name: str, network: Network) -> None:
    alone = read(network, lambda paper: paper)
    same = np.mean([a == b for a, b in zip(read(network, SURROUNDINGS[name]), alone, strict=True)])
    assert same >= 0.93


def test_strokes_that_are_blurred_wide_are_seen_on_flat_paper(shipped: Network) -> None:
    """As a camera that moved aside by a quarter of the picture has them."""
    images, labels = mnist(COUNT)
    blurred = ndimage.uniform_filter1d(np.kron(255 - images, np.ones((3, 3))), 21, axis=2)
    pixels = np.stack([image.look(Image.fromarray(paper.astype(np.uint8))).pixels for paper in blurred])
    assert np.equal(shipped(pixels).argmax(1), labels).mean() >= 0.93


SEEN_SMALL = [name for name in SURROUNDINGS if name != "askew"]  # whose frame touches the digit in so few pixels


@pytest.mark.parametrize("name", SEEN_SMALL)
def test_surroundings_do_not_matter_in_few_pixels(name: str, shipped: Network) -> None:
    """As cells are that were cut out of a small scan of a form: 36 pixels on the longest side."""
    images, labels = mnist(COUNT)
    pictures = [shrunk(picture(SURROUNDINGS[name](written(digit))), 36) for digit in images]
    pixels = np.stack([image.look(small).pixels for small in pictures])
    assert np.equal(shipped(pixels).argmax(1), labels).mean() >= 0.93


@pytest.mark.parametrize("side", [12, 18, 30])
def test_a_few_pixels_are_enough_without_paper(side: int, shipped: Network) -> None:
    """Half of such a picture is ink, and any side of it may be: ink is what hangs together."""
    images, labels = mnist(COUNT)
    pictures = [shrunk(Image.fromarray(255 - digit[np.ix_(digit.any(1), digit.any(0))]), side) for digit in images]
    pixels = np.stack([image.look(small).pixels for small in pictures])
    assert np.equal(shipped(pixels).argmax(1), labels).mean() >= 0.93


def shrunk(drawn: Image.Image, side: int) -> Image.Image:
    return ImageOps.contain(drawn, (side, side), Image.Resampling.BOX)


def strokes_of(*lines: tuple[slice, slice]) -> Mask:
    mask = np.zeros((60, 60), bool)
    for line in lines:
        mask[line] = True
    return mask


FRAME = [np.s_[0:4, :], np.s_[56:60, :], np.s_[:, 0:4], np.s_[:, 56:60]]
WITH_A_BAR = [np.s_[0:6, 10:50], np.s_[0:60, 30:36]]  # a 7, or a T


@pytest.mark.parametrize(
    ("mask", "right"),
    [
        (strokes_of(*WITH_A_BAR), True),
        (strokes_of(np.s_[3:9, 10:50], np.s_[3:57, 30:36]), True),
        (strokes_of(), False),
        (strokes_of(*FRAME), False),
        (strokes_of(*FRAME, np.s_[20:40, 28:34]), False),
        (strokes_of(np.s_[10:50, 28:34]), False),
        (strokes_of(np.s_[30:33, :], np.s_[10:50, 28:34]), False),
        (strokes_of(*(np.s_[at : at + 2, :] for at in range(5, 60, 20)), np.s_[:, 10:12], np.s_[:, 40:42]), False),
        (strokes_of(*WITH_A_BAR, np.s_[40:50, 2:12]), False),
        (np.add.outer(np.arange(60), np.arange(60)) > 60, False),
    ],
    ids=[
        "bar and stem", "nearly to the border", "blank", "frame", "frame and stem", "well within", "stem on a line",
        "squared", "another piece", "shadow",
    ],
)  # fmt: skip
def test_what_fills_its_picture_is_told_from_frames_lines_and_shadows(mask: Mask, *, right: bool) -> None:
    assert strokes.fills(mask) is right


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 6])
@pytest.mark.parametrize("margin", [0, 0.02, 0.05, 0.1])
def test_the_size_of_what_is_cut_out_does_not_matter(scale: float, margin: float, shipped: Network) -> None:
    """Without paper around, nothing but the strokes themselves tells what is ink, and what is a line or an edge."""
    pictures, labels = mnist(COUNT)
    whole = [Image.fromarray(pixels) for pixels in pictures]
    digits = [enlarged(one.crop(one.getbbox()), scale) for one in whole]
    found = [image.look(ImageOps.expand(digit, round(margin * digit.height))).pixels for digit in digits]
    assert np.mean(shipped(np.stack(found)).argmax(1) == labels) >= 0.95


def enlarged(digit: Image.Image, scale: float) -> Image.Image:
    return digit.resize([max(1, round(scale * side)) for side in digit.size], Image.Resampling.BICUBIC)


def test_faint_ink_is_read_as_strong_ink_is() -> None:
    paper = written(mnist(1)[0][0])
    blank = paper.max()
    strong, faint = (image.look(picture(blank + ink * (paper - blank))).pixels for ink in (1.0, 0.15))
    assert distance(strong, faint) < 0.1


def test_a_tiny_digit_on_a_large_sheet_is_looked_at_again() -> None:
    for digit in mnist(10)[0]:
        sight = image.look(picture(written(digit, side=1500, height=100)))
        near = image.look(picture(written(digit, side=150, height=100))).pixels
        assert distance(near, sight.pixels) < 0.35
        assert sight.box is not None
        assert max(sight.box[2:]) == pytest.approx(72, abs=4)


def test_a_sight_tells_how_it_came_about() -> None:
    sight = image.look(picture(framed(written(mnist(1)[0][0]))))
    assert (sight.unchanged, sight.inverted, sight.others) == (False, True, 0)
    assert sight.box is not None
    left, top, width, height = sight.box
    assert 30 < left < 60
    assert 30 < top < 50
    assert max(width, height) == pytest.approx(60, abs=4)
    assert sight.scale == pytest.approx(20 / max(width, height))
    assert sight.lines == 4


@pytest.mark.parametrize("size", [(129, 129), (255, 257), (1, 5000), (5000, 2), (1100, 2100), (39, 41)])
def test_a_box_lies_within_its_picture(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size[::-1], np.uint8)
    noise[size[1] // 2 :, -max(1, size[0] // 20) :] = 0  # to the corner, for a large picture's noise is grain
    box = image.look(Image.fromarray(noise)).box
    assert box is not None
    left, top, width, height = box
    assert min(left, top) >= 0
    assert min(width, height) > 0
    assert left + width <= size[0]
    assert top + height <= size[1]


@pytest.mark.parametrize("side", [30, 60, 300])
@pytest.mark.parametrize("ink", [3.0e38, 1.0, 1e-30])
def test_floats_of_any_size_are_read_alike(side: int, ink: float) -> None:
    paper = 1 - np.asarray(picture(written(mnist(1)[0][0], side=side, height=side * 2 // 3)).convert("L"), float) / 255
    expected = image.look(Image.fromarray((paper * 255).astype(np.float32))).pixels
    floats = (paper * ink).astype(np.float32)
    assert distance(expected, image.look(Image.fromarray(floats)).pixels) < 0.05
    floats[0, 0] = np.nan  # is taken for paper
    assert distance(expected, image.look(Image.fromarray(floats)).pixels) < 0.05


def test_mnist_is_not_touched() -> None:
    sight = image.look(picture(np.repeat(mnist(1)[0][0][..., np.newaxis], 3, 2).astype(float)))
    assert sight.unchanged
    assert np.array_equal(sight.pixels, mnist(1)[0][0])


def test_a_second_digit_is_noticed() -> None:
    one, two = mnist(2)[0]
    both = np.minimum(written(one, left=0.3, height=60), written(two, left=0.75, height=60))
    assert image.look(picture(both)).others == 1
    assert image.look(picture(written(one, height=60))).others == 0


# --- parts --------------------------------------------------------------------------------------


def test_components_hang_together_by_sides_and_corners() -> None:
    rows = ["##..#", "....#", "#.#..", ".#..#"]
    labels, parts = components(np.array([[mark == "#" for mark in row] for row in rows]))
    assert labels.tolist() == [[1, 1, 0, 0, 2], [0, 0, 0, 0, 2], [3, 0, 3, 0, 0], [0, 3, 0, 0, 4]]
    assert [part.area for part in parts] == [2, 2, 3, 1]
    third = parts[2]
    assert (third.top, third.bottom, third.left, third.right) == (2, 4, 0, 3)
    assert third.y == pytest.approx(7 / 3)
    assert third.x == pytest.approx(1)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (40, 50)])
def test_components_are_those_that_flooding_finds(density: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    labels, parts = components(mask)
    flooded = flood(mask)
    assert (labels > 0).tolist() == mask.tolist()
    assert len(set(zip(labels[mask].tolist(), flooded[mask].tolist(), strict=True))) == len(parts) == flooded.max()


def flood(mask: np.typing.NDArray[np.bool_]) -> np.typing.NDArray[np.int64]:
    """Label what hangs together by walking from pixel to pixel."""
    labels = np.zeros(mask.shape, np.int64)
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number, ahead = labels.max() + 1, [start]
        while ahead:
            y, x = ahead.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = number
                ahead += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return labels


def test_a_line_goes_and_the_stroke_across_it_stays() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:50, 30:34] = True
    mask[40:42] = True
    cleared, count = strokes.without_lines(mask)
    assert count == 1
    expected = np.zeros((60, 60), bool)
    expected[10:50, 30:34] = True
    assert np.array_equal(cleared, expected)


def test_a_line_may_be_of_dashes_or_slope() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:90, 48:53] = True  # a stroke
    lines = np.zeros((100, 100), bool)
    lines[85:87, np.arange(100) // 4 % 2 == 0] = True
    for x in range(100):
        lines[round(10 + 0.07 * x) : round(12 + 0.07 * x), x] = True
    cleared, count = strokes.without_lines(mask | lines)
    assert count == 2
    assert np.count_nonzero(cleared & ~mask) < 0.05 * np.count_nonzero(lines)
    assert cleared[mask].all()


def test_the_side_of_a_frame_need_not_go_beyond_its_top() -> None:
    mask = np.zeros((60, 60), bool)
    mask[20:40, 28:32] = True  # a stroke
    framed = mask.copy()
    framed[8:10] = framed[50:52] = framed[8:52, 5:7] = framed[8:52, 54:56] = True
    cleared, sides = strokes.without_edges(framed)
    assert sides == 4
    assert np.array_equal(cleared, mask)


def test_the_bar_of_a_seven_is_no_line() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:14, 12:48] = True
    mask[10:50, 44:48] = True
    assert strokes.without_lines(mask)[1] == 0


# --- ink ----------------------------------------------------------------------------------------


def test_what_stands_out_is_thinner_than_its_window() -> None:
    grey = np.full((50, 50), 200, np.float32)
    grey[10:40, 20:24] = 50  # a stroke
    grey[:, 40:] = 90  # and the shadow of something
    strength = standing_out(grey)
    assert strength[20, 21] == 150
    assert strength[20, 45] == strength[5, 5] == 0


def test_the_threshold_lies_between_two_classes() -> None:
    strength = np.array([[0, 1, 2, 100, 101, 102]], np.float32)
    assert 2 < otsu(strength) < 100
    assert otsu(np.zeros((3, 3), np.float32)) == 0
    assert otsu(np.full((3, 3), 7, np.float32)) == 7


def ringed(inside: Callable[[ImageDraw.ImageDraw], None]) -> tuple[int, int]:
    """Draw something in a circle; return how many rings that has, and how many parts there are besides."""
    sheet = Image.new("1", (120, 120))
    draw = ImageDraw.Draw(sheet)
    draw.ellipse([10, 10, 110, 110], outline=1, width=4)
    inside(draw)
    _, parts, rings = strokes.within_rings(np.asarray(sheet))
    return rings, len(parts)


def test_a_circle_around_writing_is_a_ring() -> None:
    assert ringed(lambda draw: draw.line([60, 35, 60, 60, 45, 60, 75, 60, 60, 60, 60, 85], 1, 6)) == (1, 1)


def test_a_0_with_a_dot_or_a_stroke_in_it_is_no_ring() -> None:
    assert ringed(lambda draw: draw.line([50, 80, 70, 40], 1, 4)) == (0, 2)
    assert ringed(lambda draw: draw.ellipse([50, 50, 68, 68], fill=1)) == (0, 2)
    assert ringed(lambda draw: draw.rectangle([30, 55, 90, 64], fill=1)) == (0, 2)


def test_what_is_open_goes_around_nothing() -> None:
    def open_it(draw: ImageDraw.ImageDraw) -> None:
        draw.line([60, 35, 60, 60, 45, 60, 75, 60, 60, 60, 60, 85], 1, 6)
        draw.rectangle([100, 50, 119, 60], fill=0)

    assert ringed(open_it) == (0, 2)
