"""Find the rows of writing in a picture: where digits stand beside each other, and where the next row is.

    picture -> ink -> without what is printed -> parts -> rows, from top to bottom -> upright, if they slope

Knows nothing of which digits these are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.grey import Grey, factor, grey
from digits.ink import along_rows
from digits.parts import Mask, Part, grouped
from digits.sheet import Ink, ink_of, thresholded, without_print
from digits.specks import without_specks
from digits.strokes import stroke_width, within_rings

LOOK = 2048  # pixels on the longest side that is looked at; a larger picture is averaged down first
SMALL = 72  # pixels on the shorter side, below which a picture is enlarged
SPECKLED = 144  # the same, below which specks are taken away; a larger one is averaged where its grain is strong
MOST_PARTS = 1_200  # the largest of which are looked at
FINE = 60  # pixels that a digit is tall at least, where a row is averaged down: more say nothing more
SPECK = 0.08  # of a row's height times the width of strokes: the area below which a part is dirt
ALIKE = 2.5  # times as tall as its neighbour in a row a part may be
OVERLAP = 0.35  # of the lower of two neighbours, that the other must stand beside
APART = 2.5  # heights between two neighbours
SPACE = 8.0  # heights between two groups of them, of one row all the same
SHARED = 0.5  # of the lower of two such groups, that the other must stand beside
LOWEST = 0.35  # of the tallest row's height: what is lower is no row, but dirt
LOWEST_CUT_OFF = 0.6  # the same of a row that the border cuts off, which may be of another line
LONG = 4  # heights that a part alone is wide at most, for no digit is wider
HALF = 0.5  # of the tallest part of a row: lower ones, such as points, do not count for the height of its digits
PIECE = 0.6  # of a row's height, below which another that lies within it is made of pieces of its digits
AROUND = 0.2  # heights above and below a row that count as within it
HANGING = 0.3  # heights below a row in which commas hang
TALL = 1.3  # heights that a part is tall at most to be added to a row
CUT_OFF = 0.5  # heights below which a part that the border cuts off is of something else
LEAST = 6  # pixels of height, below which nothing can be read
SLOPING = math.radians(6)  # from which a picture is turned; less is no hindrance
STEEPEST = math.radians(50)
MANY = 3  # parts that it takes to tell how a row slopes
WIDE = 2  # heights that these lie apart at least
NO_DOT = 0.3  # of the tallest part's height: lower ones have no say in what is typical
DIGIT = 0.6  # of the typical height: lower ones have none in the slope
MOSTLY = 0.6  # of all that have: if the largest row has fewer, all of them tell the slope
FAINT = 0.25  # of full ink: what a pixel of a stroke keeps at least where a row is averaged down


@dataclass(frozen=True, slots=True)
class View:
    """How pixels that are looked at lie in the upright picture."""

    scale: float  # pixels of the picture for each
    size: tuple[int, int]  # width and height of what was looked at, in pixels of the picture
    origin: tuple[int, int] = (0, 0)  # where that lies in the picture, from the left and from the top
    angle: float = 0.0  # radians by which it was turned, against the clock
    shape: tuple[int, int] = (0, 0)  # height and width before it was turned
    turned: tuple[int, int] = (0, 0)  # the same after that

    def box(self, top: float, bottom: float, left: float, right: float) -> tuple[int, int, int, int]:
        """Return left, top, width and height in the picture, of the upright box around what lies there."""
        x = np.array([left, right, left, right], float)
        y = np.array([top, top, bottom, bottom], float)
        if self.angle:
            x, y = x - self.turned[1] / 2, y - self.turned[0] / 2
            cos, sin = math.cos(self.angle), math.sin(self.angle)
            x, y = cos * x - sin * y + self.shape[1] / 2, sin * x + cos * y + self.shape[0] / 2
        x = np.clip(x * self.scale, 0, self.size[0]) + self.origin[0]
        y = np.clip(y * self.scale, 0, self.size[1]) + self.origin[1]
        first = math.floor(x.min()), math.floor(y.min())
        return *first, max(1, math.ceil(x.max()) - first[0]), max(1, math.ceil(y.max()) - first[1])

    def moved(self, left: int, top: int) -> View:
        """Return the view of the same as a part of a larger picture."""
        return replace(self, origin=(left, top))

    def magnified(self, by: float, picture: tuple[int, int]) -> View:
        """Return the view of the same in a picture of this size, that is so many times as large."""
        width, height, left, top = (round(by * value) for value in (*self.size, *self.origin))
        inside = min(width, picture[0] - left), min(height, picture[1] - top)
        return replace(self, scale=by * self.scale, size=inside, origin=(left, top))


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the ink of a row lies in a view: each of its pixels is `by` of that, along both sides."""

    top: int
    left: int
    high: int  # in pixels of its ink, as the next one
    wide: int
    by: int = 1

    def part(self, top: int, bottom: int, left: int, right: int) -> tuple[int, int, int, int]:
        """Return top, bottom, left and right, in the view, of a part of its ink."""
        return (
            self.top + self.by * top, self.top + self.by * bottom,
            self.left + self.by * left, self.left + self.by * right,
        )  # fmt: skip

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of all of it."""
        return self.part(0, self.high, 0, self.wide)


@dataclass(frozen=True, slots=True)
class Row:
    """Parts that stand beside each other, from left to right: (h, w) of their ink, 0...1, and where it lies."""

    ink: Grey
    extent: Extent
    height: float  # of its digits, in pixels of its ink
    stroke: float  # width of its strokes, likewise

    @property
    def upright(self) -> float:
        """The ink of a stroke from the top of the row to its bottom."""
        return self.height * max(self.stroke, 1.0)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows in a picture, from top to bottom, and how it was seen."""

    rows: list[Row]
    view: View


def find_rows(image: Image.Image) -> Sheet:
    """Return the rows of a picture. Raises `BadImage`."""
    seen, scale = sized(image)
    ink = ink_of(seen)
    view = View(scale, image.size)
    marks = marked(ink)
    angle = slope(marks.parts, marks.row)
    if abs(angle) > SLOPING:
        strength, view = turned(ink.strength, view, angle)
        marks = marked(thresholded(strength))
    return Sheet(cut_out(marks), view)


# --- sizes --------------------------------------------------------------------------------------


def pixels_looked_at(size: tuple[int, int]) -> int:
    """Return how many pixels a picture of a size has as `sized` returns it."""
    by = factor(size, LOOK)
    seen = [-(-side // by) for side in size]
    return math.prod(seen) * max(enlargement(seen), 1) ** 2


def enlargement(sides: Sequence[int]) -> int:
    """Return by how much to enlarge a picture, for digits may touch in a small one; not at all if it is below 2."""
    return min(-(-SMALL // min(sides)), LOOK // max(sides))


def sized(image: Image.Image) -> tuple[Grey, float]:
    """Return the brightness of a picture in a size that is good to look at, and pixels of the picture for each."""
    seen = grey(image, side=LOOK)
    if min(seen.shape) < SPECKLED:
        seen = without_specks(seen)
    by = enlargement(seen.shape)
    if by <= 1:
        return seen, float(factor(image.size, LOOK))
    enlarged = Image.fromarray(seen).resize((seen.shape[1] * by, seen.shape[0] * by), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32), 1 / by


# --- parts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written on a picture, before it is told which rows there are."""

    solid: Grey  # (h, w) of its ink, 0...1, ruled lines included
    parts: list[Part]
    labels: NDArray[np.int32]  # (h, w): for each pixel 0, or the number of its part
    row: NDArray[np.intp]  # for each part the number of its row


def marked(ink: Ink) -> Marks:
    parts, labels = marked_out(ink.mask)
    return Marks(ink.solid, parts, labels, chains(parts))


def marked_out(mask: Mask) -> tuple[list[Part], NDArray[np.int32]]:
    """Return the parts of a picture, without what is printed, and the label of each pixel."""
    labels, parts, _ = within_rings(without_print(mask))
    if len(parts) <= MOST_PARTS:
        return parts, labels
    largest = sorted(np.argsort([-part.area for part in parts])[:MOST_PARTS])
    renumbered = np.zeros(len(parts) + 1, np.int32)
    renumbered[[index + 1 for index in largest]] = np.arange(1, MOST_PARTS + 1)
    return [parts[index] for index in largest], renumbered[labels]


# --- rows ---------------------------------------------------------------------------------------


def chains(parts: list[Part]) -> NDArray[np.intp]:
    """Return the number of the row of each part: of neighbours that are about as tall, and stand beside each other."""
    if len(parts) == 0:
        return np.zeros(0, np.intp)
    top, bottom, left, right = (
        np.array([getattr(part, side) for part in parts], float) for side in ("top", "bottom", "left", "right")
    )
    height = bottom - top
    a, b = np.triu_indices(len(parts), 1)
    shared = np.minimum(bottom[a], bottom[b]) - np.maximum(top[a], top[b])
    apart = np.maximum(left[a], left[b]) - np.minimum(right[a], right[b])
    low, high = np.minimum(height[a], height[b]), np.maximum(height[a], height[b])
    beside = (shared >= OVERLAP * low) & (apart <= APART * high) & (high <= ALIKE * low)
    return grouped(len(parts), a[beside], b[beside])


def slope(parts: list[Part], row: NDArray[np.intp]) -> float:
    """Return the angle, in radians, by which the largest row rises to the right, or all where none is large."""
    if len(parts) < MANY:
        return 0.0
    x, y = np.array([part.x for part in parts]), np.array([(part.top + part.bottom) / 2 for part in parts])
    height = np.array([part.bottom - part.top for part in parts], float)
    tall = height >= DIGIT * np.median(height[height >= NO_DOT * height.max()])
    largest = tall & (row == np.bincount(row, height).argmax())
    chosen = largest if largest.sum() >= MOSTLY * tall.sum() else tall
    width, typical = np.ptp(x[chosen]), float(np.median(height[chosen]))
    if chosen.sum() < MANY or width < WIDE * typical:
        return 0.0
    course = np.polynomial.Polynomial.fit(x[chosen], y[chosen], 1)
    if float(np.abs(course(x[chosen]) - y[chosen]).max()) > typical:
        return 0.0  # several rows, or none
    angle = math.atan(-(course(x.max()) - course(x.min())) / np.ptp(x))
    return angle if abs(angle) <= STEEPEST else 0.0


def turned(strength: Grey, view: View, angle: float) -> tuple[Grey, View]:
    """Turn the ink with the clock, so that a row that rises is level."""
    image = Image.fromarray(strength).rotate(-math.degrees(angle), Image.Resampling.BILINEAR, expand=True)
    new = np.asarray(image, np.float32)
    return new, replace(view, angle=-angle, shape=strength.shape, turned=new.shape)


# --- from parts to rows -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Band:
    """Parts that make up a row, by index."""

    members: list[int]
    top: int
    bottom: int
    left: int
    right: int
    height: float  # of its digits

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def is_within(self, height: int) -> bool:
        """Tell whether neither the top nor the bottom of a picture cuts it off."""
        return self.top > 0 and self.bottom < height

    def holds(self, other: Band) -> bool:
        """Tell whether another is so low, and so near, that its parts are pieces of digits of this row."""
        beside = self.top - AROUND * self.height < other.middle < self.bottom + AROUND * self.height
        return other.height < PIECE * self.height and beside

    def continues(self, other: Band) -> bool:
        """Tell whether two bands are of one row, written with a wide space."""
        low, high = sorted((self.height, other.height))
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        apart = max(self.left, other.left) - min(self.right, other.right)
        return high <= ALIKE * low and shared >= SHARED * low and apart <= SPACE * high


def bands(parts: list[Part], row: NDArray[np.intp], height: int) -> list[Band]:
    """Return the rows that parts stand in, but none that is too low, or cut off in a picture of this height."""
    found = [band([int(i) for i in np.flatnonzero(row == number)], parts) for number in range(int(row.max()) + 1)]
    tallest = max((one.height for one in found if not is_long(one)), default=0.0)
    least = max(LOWEST * tallest, LEAST)
    whole = [
        one for one in found if one.height >= (least if one.is_within(height) else max(LOWEST_CUT_OFF * tallest, LEAST))
    ]
    alone = [one for one in whole if not any(other.holds(one) for other in whole)]
    return merged(alone, parts)


def is_long(one: Band) -> bool:
    """Tell whether there is but one part, of a shape that no digit has."""
    return len(one.members) == 1 and one.right - one.left > LONG * one.height


def band(members: list[int], parts: list[Part]) -> Band:
    some = [parts[index] for index in members]
    heights = np.array([part.bottom - part.top for part in some])
    return Band(
        members,
        min(part.top for part in some),
        max(part.bottom for part in some),
        min(part.left for part in some),
        max(part.right for part in some),
        float(np.median(heights[heights >= HALF * heights.max()])),
    )


def merged(found: list[Band], parts: list[Part]) -> list[Band]:
    """Join what continues each other."""
    if not found:
        return []
    pairs = [(i, j) for i in range(len(found)) for j in range(i) if found[i].continues(found[j])]
    a, b = (np.array([pair[side] for pair in pairs], np.intp) for side in (0, 1))
    number = grouped(len(found), a, b)
    return [
        band([index for i in np.flatnonzero(number == one) for index in found[i].members], parts)
        for one in range(int(number.max()) + 1)
    ]


def with_small(found: list[Band], parts: list[Part], height: int, stroke: float) -> list[list[int]]:
    """Return for each row its parts and the small ones that stand among them: pieces of digits, dots and commas.

    Those that the border of a picture of this height cuts off are of something else.
    """
    taken = {index for one in found for index in one.members}
    members = [list(one.members) for one in found]
    for index, part in enumerate(parts):
        if index in taken or not found:
            continue
        distances = [abs((part.top + part.bottom) / 2 - one.middle) for one in found]
        nearest = int(np.argmin(distances))
        one = found[nearest]
        inside = one.left - one.height < part.x < one.right + one.height
        beside = one.top - AROUND * one.height < part.y < one.bottom + HANGING * one.height
        cut_off = (part.top == 0 or part.bottom == height) and part.bottom - part.top < CUT_OFF * one.height
        if (
            inside
            and beside
            and not cut_off
            and part.area >= SPECK * one.height * stroke
            and part.bottom - part.top <= TALL * one.height
        ):
            members[nearest].append(index)
    return members


def cut_out(marks: Marks) -> list[Row]:
    """Return the rows of a picture, from top to bottom."""
    if not marks.parts:
        return []
    high = len(marks.labels)
    found = sorted(bands(marks.parts, marks.row, high), key=lambda one: one.middle)
    rows = []
    stroke = stroke_width(marks.labels > 0)
    for one, members in zip(found, with_small(found, marks.parts, high, stroke), strict=True):
        chosen = np.zeros(len(marks.parts) + 1, bool)
        chosen[[index + 1 for index in members]] = True
        rows.append(row_of(marks.solid, marks.labels, chosen, band(members, marks.parts), one.height))
    return rows


def row_of(solid: Grey, labels: NDArray[np.int32], chosen: NDArray[np.bool_], extent: Band, height: float) -> Row:
    """Cut out a row with a margin of a pixel; the soft edges of its strokes stay, other ink goes."""
    top, left = max(extent.top - 1, 0), max(extent.left - 1, 0)
    place = np.s_[top : extent.bottom + 1, left : extent.right + 1]
    mine = chosen[labels[place]]
    near = along_rows(np.maximum, along_rows(np.maximum, mine.astype(np.uint8), 3).T, 3).T > 0
    own = near & (mine | (labels[place] == 0))
    ink = np.where(own, solid[place], 0).astype(np.float32)
    by = max(1, int(height // FINE))
    smaller = np.asarray(Image.fromarray(np.where(mine, np.maximum(ink, FAINT), ink)).reduce(by), np.float32)
    return Row(smaller, Extent(top, left, len(smaller), len(smaller[0]), by), height / by, stroke_width(mine) / by)
