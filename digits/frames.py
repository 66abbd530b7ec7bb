"""Remove what is printed for numbers to be written into: a frame, a cell for each digit, a comb of ticks, a fence.

    lines, level and upright -> those that close a box, or part it, or stand in a row -> is it one? -> gone

A handwritten 1 is such a line too, and a 0 such a box: what tells them apart is where lines end, and what is inside.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.lines import Line, Wanted, column_runs, find_lines, on_ink, scale_of
from digits.parts import Mask, components

TICK = 0.3  # heights of a row that a tick is long at least
LEAST = 0.4  # the same of a level line
SIDE = 0.6  # the same of the side of a box
BOW = 0.03  # of its length, by which a line may be bent, as on a curved page
SHORT = 6  # pixels that any line is long at least
CLEAR = 2  # times as thick as a line may be: the space in which there is but one
ALIKE = 1.5  # times as thick as the middle one another side of a box may be, and a pixel more
GAP = 4  # pixels of paper that a line may have
CLOSE = 2.0  # pixels beside its thickness by which a line misses another that it meets
CORNER = 0.12  # of its length, by which a side may miss the ends of others, since corners may be round
WIDE = 2.0  # times as wide as tall: no digit is
SLIM = 0.2  # times as wide as tall what is no line is at least
WRITTEN = 0.3  # of the height of a box, that what is written in it has at least
SEVERAL = 3  # boxes of one size beside each other, which are of a form even if they are blank
CROWD = 4_000  # parts, beyond which they are grain
MOST = 200  # parts, the largest, that are looked at for something in them
EVEN = 0.1  # of the space between two lines of a comb or fence, by which others may differ from it
TALLER = 1.2  # times as tall as what is written a fence is at least, where nothing is above and below it

Extents = NDArray[np.intp]  # (n, 4): top, bottom, left and right of each


@dataclass(frozen=True, slots=True)
class Upright:
    """An upright line, whose columns are rows of the picture."""

    line: Line

    @property
    def top(self) -> tuple[int, float]:
        """Row and column, as for the bottom."""
        return self.line.left, float(self.line.course(self.line.left))

    @property
    def bottom(self) -> tuple[int, float]:
        return self.line.right, float(self.line.course(self.line.right))

    @property
    def slack(self) -> float:
        """How far it may miss a corner, in pixels."""
        return self.line.thick + CLOSE + CORNER * self.line.length


class Level:
    """Level lines, in which those are found that upright ones meet."""

    def __init__(self, some: Sequence[Line]) -> None:
        self.lines = some
        ends = [(line.pixels[0].min(), line.pixels[0].max() + 1, line.left, line.right) for line in some]
        self.extents = np.array(ends, np.intp).reshape(-1, 4)

    def met(self, row: int, column: float, one: Upright) -> int | None:
        """Return the index of the line at which an upright one ends there, if one does: the nearest."""
        away = (self.extents - (row, row, column, column)) * (1, -1, 1, -1)
        found: dict[int, float] = {}
        for index in np.flatnonzero(away.max(1) <= one.slack).tolist():
            line = self.lines[index]
            at_end = min(abs(column - line.left), abs(column - line.right)) <= one.slack
            missed = abs(float(line.course(column)) - row)
            if missed <= (one.slack if at_end else min(line.thick, one.line.thick) + CLOSE):
                found[index] = missed + max(line.left - column, column - line.right, 0)
        return min(found, key=found.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class Box:
    """Two level lines, and the upright ones from one to the other, from left to right."""

    top: Line
    bottom: Line
    sides: list[Upright]
    extent: tuple[int, int, int, int]  # top, bottom, left and right

    @classmethod
    def of(cls, top: Line, bottom: Line, sides: list[Upright]) -> Box:
        first, last = (int(np.mean(rows)) for rows in zip(*((one.top[0], one.bottom[0]) for one in sides), strict=True))
        return cls(top, bottom, sides, (first, last, min(top.left, bottom.left), max(top.right, bottom.right)))

    @property
    def height(self) -> int:
        return self.extent[1] - self.extent[0]

    @property
    def width(self) -> int:
        return self.extent[3] - self.extent[2]

    @property
    def is_straight(self) -> bool:
        return all(map(is_straight, [self.top, self.bottom, *(side.line for side in self.sides)]))

    def holds(self, parts: Extents) -> bool:
        """Tell whether one of some parts is writing in it, that hangs together with no side."""
        return bool((within(parts, self.extent) & (heights(parts) >= WRITTEN * self.height)).any())

    def stands_beside(self, other: Box) -> bool:
        """Tell whether a box, itself included, is as large, and in the same row."""
        mine, its = self.extent, other.extent
        apart = mine[0] - its[0], mine[1] - its[1], self.width - other.width
        return max(map(abs, apart)) <= self.sides[0].slack


def without_frames(mask: Mask) -> Mask:
    """Remove the lines of boxes, combs and fences, but not the strokes that cross them, nor the base of a comb."""
    parts = components(mask)[1]
    if not parts:
        return mask
    height, thin = scale_of(mask, parts)
    extents = np.array([part[3:] for part in parts if part.bottom - part.top >= TICK * height])
    if len(extents) > CROWD or not may_be_framed(extents, SIDE * height):
        return mask
    level = Level(find_lines(mask, wanted(thin, LEAST * height)))
    upright = [Upright(line) for line in find_lines(mask.T, wanted(thin, TICK * height))]
    found = boxes(level, [one for one in upright if one.line.length >= SIDE * height], mask.shape[1])
    real = list(printed(list(found), extents))
    kept = mask.copy()
    parting = [box.sides for box in real] + standing_alone(level, upright, extents, thin, height)
    erase(kept.T, [[one.line for one in some] for some in parting])
    erase(kept, [[box.top, box.bottom] for box in real])  # no thicker at corners now than elsewhere
    return kept


def standing_alone(
    level: Level, upright: Sequence[Upright], parts: Extents, thin: int, height: float
) -> list[Sequence[Upright]]:
    """Return the ticks of combs, and the lines of a fence."""
    straight = [one for one in upright if is_straight(one.line)]
    bases = Level([line for line in level.lines if line.length > WIDE * height])
    wide = parts[:, 3] - parts[:, 2]
    written = parts[(wide > 2 * thin) & (wide <= WIDE * heights(parts))]  # and no lines
    return [*ticks(bases, straight), fence(straight, written)]


def may_be_framed(parts: Extents, least: float) -> bool:
    """Tell at little cost whether to look for frames: a part is wide, or so tall with another in it, or like others."""
    high, wide = heights(parts), parts[:, 3] - parts[:, 2]
    if (wide > WIDE * high).any():
        return True
    tall = high >= least
    for one in parts[tall][np.argsort(-(high * wide)[tall], kind="stable")[:MOST]]:
        h, w = one[1] - one[0], one[3] - one[2]
        written = within(parts, one) & (high >= WRITTEN * h)
        lower = h / 2 if w < SLIM * h else CLOSE  # which lines may be on a form that slopes
        alike = (np.abs(high - h) <= CLOSE) & (np.abs(wide - w) <= CLOSE) & (np.abs(parts[:, 0] - one[0]) <= lower)
        if written.any() or np.count_nonzero(alike) >= SEVERAL:
            return True
    return False


def heights(parts: Extents) -> NDArray[np.intp]:
    return np.asarray(parts[:, 1] - parts[:, 0])


def within(parts: Extents, extent: Sequence[int] | NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which parts lie within an extent, and reach none of its sides."""
    return np.asarray(((parts - extent) * (1, -1, 1, -1) > 0).all(1))


def wanted(thin: int, long: float) -> Wanted:
    length = max(long, SHORT)
    return Wanted(thin, length, length, CLEAR * thin, GAP)


def is_straight(line: Line) -> bool:
    """Tell a line from the side of a 0, whose middle is far from the middle between its ends."""
    first, middle, last = line.course(np.array([line.left, (line.left + line.right) / 2, line.right]))
    return abs(float(middle - (first + last) / 2)) <= max(BOW * line.length, 1)


def erase(mask: Mask, forms: Sequence[Sequence[Line]]) -> None:
    """Remove the lines of each form, all as thick as its thickest, but not the strokes that cross them."""
    runs = column_runs(mask)
    for some in forms:
        thick = max((line.thick for line in some), default=0.0)
        beyond = math.ceil(thick)  # their ends, in the lines that they meet
        for line in some:
            left, right = max(line.left - beyond, 0), min(line.right + beyond, mask.shape[1])
            mask[on_ink(line.course, left, right, thick, mask, runs)[0]] = False


def boxes(level: Level, upright: Sequence[Upright], width: int) -> Iterator[Box]:
    """Yield what is closed on all sides, or cut off by a border of a picture of this width."""
    between: dict[tuple[int, int], list[Upright]] = defaultdict(list)
    for one in upright:
        top, bottom = (level.met(*end, one) for end in (one.top, one.bottom))
        if top is not None and bottom is not None and top != bottom:
            between[top, bottom].append(one)
    for (top, bottom), sides in between.items():
        box = Box.of(level.lines[top], level.lines[bottom], as_thick(sides))
        if is_closed(box, width):
            yield box


def printed(found: Sequence[Box], parts: Extents) -> Iterator[Box]:
    """Yield those that are no 0: wide ones; and straight ones, if several are alike, or writing is in one of these."""
    holding = [box.holds(parts) for box in found]
    for box in found:
        beside = [holds for other, holds in zip(found, holding, strict=True) if box.stands_beside(other)]
        if box.width > WIDE * box.height or (box.is_straight and (len(beside) >= SEVERAL or any(beside))):
            yield box


def as_thick(sides: Sequence[Upright]) -> list[Upright]:
    """Return those that are no thicker than the middle one, about, from left to right."""
    if not sides:
        return []
    most = ALIKE * float(np.median([side.line.thick for side in sides])) + 1
    return sorted((side for side in sides if side.line.thick <= most), key=lambda side: side.top[1])


def is_closed(box: Box, width: int) -> bool:
    """Tell whether its level lines begin at the first side and end at the last; a border may hide one of these."""
    first, last = box.sides[0], box.sides[-1]
    begins = stops_at(first, box.top.left - first.top[1], box.top)
    begins &= stops_at(first, box.bottom.left - first.bottom[1], box.bottom)
    ends = stops_at(last, last.top[1] - box.top.right, box.top)
    ends &= stops_at(last, last.bottom[1] - box.bottom.right, box.bottom)
    if begins and ends:
        return first is not last
    hidden = min(box.top.left, box.bottom.left) <= CLOSE, max(box.top.right, box.bottom.right) >= width - CLOSE
    return (begins and hidden[1]) or (ends and hidden[0])


def stops_at(side: Upright, short: float, line: Line) -> bool:
    """Tell whether a line stops at a side, so many pixels short of it, as at a round corner, or hardly beyond it."""
    return -(side.line.thick + line.thick + CLOSE) <= short <= side.slack


def ticks(level: Level, upright: Sequence[Upright]) -> Iterator[Sequence[Upright]]:
    """Yield the ticks of each comb: as long as each other, evenly spaced, from the one end of a line to the other."""
    standing: dict[int, list[Upright]] = defaultdict(list)
    for one in upright:
        base = level.met(*one.bottom, one)
        if base is not None and level.met(*one.top, one) != base:
            standing[base].append(one)
    for base, several in standing.items():
        yield comb(level.lines[base], as_thick(several))


def comb(base: Line, standing: Sequence[Upright]) -> Sequence[Upright]:
    """Return the ticks of a comb on a line; none if it is no comb."""
    some = as_long(standing)
    if len(some) < SEVERAL or not evenly_spaced(some):
        return []
    first, last = some[0], some[-1]
    whole = abs(first.bottom[1] - base.left) <= first.slack and abs(last.bottom[1] - base.right) <= last.slack
    return some if whole else []


def fence(upright: Sequence[Upright], written: Extents) -> Sequence[Upright]:
    """Return lines that stand beside each other, alike, and are taller than what is written between them."""
    if not len(written):
        return []
    least = TALLER * float(np.median(heights(written)))
    tall = as_long(as_thick([one for one in upright if one.line.length >= least]))
    if len(tall) < SEVERAL or not evenly_spaced(tall):
        return []
    rows, columns = np.array([one.top for one in tall]).T
    course = np.polynomial.Polynomial.fit(columns, rows, 1)
    return tall if (np.abs(course(columns) - rows) <= tall[0].line.thick + CLOSE).all() else []


def as_long(some: Sequence[Upright]) -> list[Upright]:
    """Return those that are about as long as the middle one."""
    if not some:
        return []
    typical = float(np.median([one.line.length for one in some]))
    return [one for one in some if abs(one.line.length - typical) <= CORNER * typical + CLOSE]


def evenly_spaced(some: Sequence[Upright]) -> bool:
    """Tell whether all spaces between some lines, from left to right, are the same, or multiples of it."""
    spaces = np.diff([one.bottom[1] for one in some])
    steps = spaces / max(float(np.median(spaces)), 1.0)
    return bool((np.abs(steps - np.rint(steps)) <= EVEN).all() and (steps > EVEN).all())
