"""Draw MNIST digits as they are met on paper: large, with a pen, in frames, on rules, in forms, in bad light.

Knows nothing of how they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits.image import Pixels, bounds

Paper = NDArray[np.float64]  # (h, w, 3) in 0...255
SIDE = 120  # pixels of a picture
PEN = (30, 40, 120)
CELL = 64  # pixels of a form for each digit
PRINT = 3  # pixels that the lines of a form are thick
GROUND = (60, 110, 170)  # the colour of a form
PLATE = 190  # brightness of the plate of a counter
TABLE = (60, 50, 45)


def written(pixels: Pixels, *, side: int = SIDE, height: int = 84, left: float = 0.5) -> Paper:
    """Return white paper with a digit in blue, whose 28 x 28 are `height` pixels tall, its middle at `left`."""
    strokes = enlarged(pixels, height)
    canvas = Image.new("L", (side, side))
    canvas.paste(
        Image.fromarray((strokes * 255).astype(np.uint8)), (int(left * side - height / 2), (side - height) // 2)
    )
    return on_paper(np.asarray(canvas, float) / 255)


def enlarged(pixels: Pixels, height: int) -> NDArray[np.float64]:
    """Return the strokes of a digit, 0...1, with sharp edges, its 28 x 28 as so many pixels."""
    large = Image.fromarray(pixels).resize((height, height), Image.Resampling.BICUBIC)
    return np.clip((np.asarray(large, float) / 255 - 0.3) / 0.3, 0, 1)


def on_paper(strokes: NDArray[np.float64]) -> Paper:
    covered = strokes[..., np.newaxis]
    return np.full((*strokes.shape, 3), 240.0) * (1 - covered) + np.array(PEN) * covered


def number(
    digits: Sequence[Pixels], random: Generator, *, height: int = 60, gap: tuple[float, float] = (-0.05, 0.3)
) -> Paper:
    """Return white paper with digits beside each other, about `height` pixels tall.

    `gap` bounds the space between two of them in heights; it is negative where they touch.
    """
    margin, at = height // 2, height // 2
    strokes = np.zeros((2 * height, (len(digits) + 1) * 2 * height))
    for pixels in digits:
        drawn = enlarged(pixels, round(1.4 * height * random.uniform(0.85, 1.1)))  # of 28 rows 20 are the digit's
        drawn = drawn[np.ix_(drawn.max(1) > 0, drawn.max(0) > 0)]
        top = round(margin + height * random.uniform(0.92, 1.08)) - len(drawn)
        place = strokes[top : top + len(drawn), at : at + drawn.shape[1]]
        np.maximum(place, drawn, out=place)
        at += max(1, drawn.shape[1] + round(height * random.uniform(*gap)))
    return on_paper(strokes[:, : at + margin])


def filled_in(digits: Sequence[Pixels], random: Generator) -> Paper:
    """Return white paper with each digit more or less in the middle of its cell, and half a cell around all of them."""
    strokes = np.zeros((2 * CELL, (len(digits) + 1) * CELL))
    for index, pixels in enumerate(digits):
        drawn = enlarged(pixels, round(CELL * random.uniform(0.68, 0.93)))
        drawn = drawn[np.ix_(drawn.max(1) > 0, drawn.max(0) > 0)]
        middle = np.array([CELL, (index + 1) * CELL]) + CELL * random.uniform(-0.1, 0.1, 2)
        top, left = np.rint(middle - np.array(drawn.shape) / 2).astype(int)
        place = strokes[top : top + drawn.shape[0], left : left + drawn.shape[1]]
        np.maximum(place, drawn, out=place)
    return on_paper(strokes)


def in_frame(paper: Paper) -> Paper:
    """Print a frame around all cells."""
    return printed(paper, CELL // 2, paper.shape[1] - CELL // 2)


def in_cells(paper: Paper) -> Paper:
    """Print a box around each cell."""
    for left in range(CELL // 2, paper.shape[1] - CELL, CELL):
        paper = printed(paper, left, left + CELL)
    return paper


def in_boxes(paper: Paper) -> Paper:
    """Print a smaller box in each cell, so that there is paper between two of them."""
    for left in range(CELL // 2, paper.shape[1] - CELL, CELL):
        paper = printed(paper, left + 5, left + CELL - 5)
    return paper


def on_comb(paper: Paper) -> Paper:
    """Print a line below all cells, and on it a tick between every two of them and at both ends."""
    end, base = paper.shape[1] - CELL // 2, 3 * CELL // 2
    paper[base : base + PRINT, CELL // 2 : end + PRINT] = 20
    for left in range(CELL // 2, end + 1, CELL):
        paper[base - CELL // 3 : base, left : left + PRINT] = 20
    return paper


def between_fences(paper: Paper) -> Paper:
    """Print a line between every two cells, as tall as they are."""
    for left in range(3 * CELL // 2, paper.shape[1] - CELL, CELL):
        paper[CELL // 2 : 3 * CELL // 2, left : left + PRINT] = 20
    return paper


def printed(paper: Paper, left: int, right: int) -> Paper:
    """Print a box as tall as a cell over what is written."""
    top, bottom = CELL // 2, 3 * CELL // 2
    for row in (top, bottom):
        paper[row : row + PRINT, left : right + PRINT] = 20
    for column in (left, right):
        paper[top : bottom + PRINT, column : column + PRINT] = 20
    return paper


FORMS: dict[str, Callable[[Paper], Paper]] = {
    form.__name__: form for form in (in_frame, in_cells, in_boxes, on_comb, between_fences)
}


def in_window(paper: Paper) -> Paper:
    """Make all cells a window in a bright plate, through which bright digits are seen on black."""
    plate = np.full_like(paper, PLATE)
    window = np.s_[CELL // 2 : 3 * CELL // 2, CELL // 2 : -CELL // 2]
    plate[window] = 255 - paper[window]
    return plate


def on_drums(paper: Paper) -> Paper:
    """Make each cell a window of its own, as of a drum of a counter."""
    plate = np.full_like(paper, PLATE)
    for cell in inner_cells(paper):
        plate[cell] = 255 - paper[cell]
    return plate


def on_colour(paper: Paper) -> Paper:
    """Print a coloured ground over all but the middle of each cell."""
    ground = np.minimum(paper, GROUND)
    for cell in inner_cells(paper):
        ground[cell] = paper[cell]
    return ground


def inner_cells(paper: Paper) -> list[tuple[slice, slice]]:
    """Return the place of each cell, without what lies between it and the next."""
    lefts = range(CELL // 2, paper.shape[1] - CELL, CELL)
    return [np.s_[CELL // 2 : 3 * CELL // 2, left + 5 : left + CELL - 5] for left in lefts]


def on_table(paper: Paper) -> Paper:
    """Lay the paper on a dark table."""
    h, w = paper.shape[:2]
    table = np.full((h + 2 * CELL, w + 2 * CELL, 3), TABLE, float)
    table[CELL : CELL + h, CELL : CELL + w] = paper
    return table


def askew_on_table(paper: Paper) -> Paper:
    """Lay the paper on a dark table, turned by 20 degrees."""
    turned = picture(on_table(paper)).rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor=TABLE)
    return np.asarray(turned, float)


PANELS: dict[str, Callable[[Paper], Paper]] = {
    panel.__name__: panel for panel in (in_window, on_drums, on_colour, on_table, askew_on_table)
}


def framed(paper: Paper) -> Paper:
    paper[2:5], paper[-4:-1], paper[:, :3], paper[:, -5:-2] = 20, 20, 20, 20
    return paper


def half_framed(paper: Paper) -> Paper:
    paper[-6:-3], paper[:, 4:6] = (200, 110, 60), (200, 110, 60)
    return paper


def double_framed(paper: Paper) -> Paper:
    """Draw a black corner of two lines on each side, as of a cell between thick and thin ones."""
    for line in (3, 12):
        paper[-line - 2 : -line], paper[:, -line - 2 : -line] = 15, 15
    return paper


def dashed(paper: Paper) -> Paper:
    """Draw a frame of dashes, five pixels of line and five of paper."""
    there = np.arange(len(paper)) // 5 % 2 == 0
    for line in (8, 9, -10, -9):
        paper[line, there], paper[there, line] = 60, 60
    return paper


def crooked(paper: Paper, degrees: float = 4) -> Paper:
    """Draw a frame that is turned, as cells are in a photograph."""
    frame = np.full_like(paper, 240)
    frame[9:11], frame[-12:-10], frame[:, 9:11], frame[:, -12:-10] = 40, 40, 40, 40
    turned = picture(frame).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(240, 240, 240))
    return np.asarray(np.minimum(paper, np.asarray(turned, float)))


def askew(paper: Paper) -> Paper:
    return crooked(paper, 8)


def circled(paper: Paper) -> Paper:
    """Draw a circle around the digit, as tall as the picture nearly."""
    sheet = picture(paper)
    ImageDraw.Draw(sheet).ellipse([6, 6, sheet.width - 7, sheet.height - 7], outline=(20, 20, 20), width=3)
    return np.asarray(sheet, float)


def ruled(paper: Paper) -> Paper:
    paper[15::30] = np.minimum(paper[15::30], (150, 180, 220))
    return paper


def squared(paper: Paper) -> Paper:
    paper[:, 10::30] = np.minimum(paper[:, 10::30], (150, 180, 220))
    return ruled(paper)


def with_dark_edge(paper: Paper) -> Paper:
    paper[:, :12], paper[-9:] = 35, 50
    return paper


def in_shadow(paper: Paper) -> Paper:
    h, w = paper.shape[:2]
    y, x = np.mgrid[0:h, 0:w]
    return np.asarray(paper * np.where(x / w + y / h > 1, 0.5, 1.0)[..., np.newaxis])


def lit_from_one_side(paper: Paper) -> Paper:
    return paper * np.linspace(1.0, 0.55, paper.shape[1])[:, np.newaxis]


def inverted(paper: Paper) -> Paper:
    return np.asarray(255 - paper)


def on_brown(paper: Paper) -> Paper:
    return np.asarray(paper * np.array([0.75, 0.6, 0.42]))


def beside_others(paper: Paper) -> Paper:
    paper[20:100, :6], paper[30:90, -5:] = PEN, PEN
    return paper


def cut_out(paper: Paper) -> Paper:
    """Leave no paper around what is written."""
    top, bottom, left, right = bounds((paper < paper.max() / 2)[..., 0])
    return paper[top:bottom, left:right]


def cut_out_in_light(paper: Paper) -> Paper:
    return lit_from_one_side(cut_out(paper))


SURROUNDINGS: dict[str, Callable[[Paper], Paper]] = {
    drawn.__name__: drawn
    for drawn in (
        framed, half_framed, double_framed, dashed, crooked, askew, circled, ruled, squared, with_dark_edge, in_shadow,
        lit_from_one_side, inverted, on_brown, beside_others, cut_out, cut_out_in_light,
    )
}  # fmt: skip


def picture(paper: Paper) -> Image.Image:
    return Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
