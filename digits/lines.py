"""Trace thin lines from left to right, nearly straight, whatever strokes cross them; turned, those from top to bottom.

    ink -> what is thin from top to bottom -> the longest courses on it -> a smooth one through most of each

Knows nothing of what they are: of ruled lines, see `digits.rules`, of forms, `digits.frames`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.ink import along_rows, quantile
from digits.parts import Mask, Part, components
from digits.paths import on_course
from digits.strokes import stroke_width

THIN = 1.6  # times as thick as a stroke a line may be
UNEVEN = 1.25  # times as thick as it is mostly a line is in places, and a pixel more
NEAR = 1.5  # pixels at least on both sides of its course in which its own lie
STROKE = 4  # times as thick as a line a stroke is at most where it crosses it
BROKEN = 2.0  # pixels of a line that are worth one that is missing from it
HIDDEN = 0.25  # such pixels that are worth one that a stroke hides
BENT = 0.4  # such pixels that are worth a step up or down
MOST = 400  # of one direction, the longest: squared paper has 60, and what has more is no page of writing
SEEN = 0.8  # share of a line, where no stroke hides it, that is where it should be
BROAD = 0.5  # share of the width of the picture: what is as wide is no digit of several
LEVEL = 4  # times as wide as it is tall: what is so level is no digit
LITTLE = 0.25  # of the ink: if no more is in what may be digits, a line holds nearly all of it together

Points = tuple[NDArray[np.intp], NDArray[np.intp]]  # their rows and their columns
Heights = NDArray[np.int32]  # (h, w): for each pixel of ink how many are in its run from top to bottom, 0 for paper


@dataclass(frozen=True, slots=True)
class Line:
    """A thin course of ink from left to right that is nearly straight."""

    left: int  # columns, the second one excluded
    right: int
    course: np.polynomial.Polynomial  # the row of its middle, by column
    thick: float  # pixels, mostly
    pixels: Points  # of its ink, without that of strokes across it

    @property
    def length(self) -> int:
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are looked for; all in pixels."""

    thin: int  # what they are thick at most
    long: float  # what they are long at least, with the strokes that hide them
    seen: float  # and without
    clear: float  # rows in which there is but one
    gap: int  # of paper, which they may have


def find_lines(mask: Mask, wanted: Wanted) -> list[Line]:
    """Return the lines from left to right: not too many of them, the longest first."""
    if mask.shape[1] < wanted.long:
        return []
    runs = column_runs(mask)
    slim = mask & (runs <= wanted.thin)
    course = on_long_course(mask, slim, wanted)
    whole = closed(course, wanted.gap) | (closed(course, STROKE * wanted.thin) & mask)
    labels, parts = components(whole)
    found = longest(parts, points_of(course, labels, len(parts)), wanted.seen)
    return [line for part, points in found if (line := traced(part, points, mask, runs, wanted.thin))]


def closed(mask: Mask, gap: int) -> Mask:
    """Close the gaps in rows of ink that have at most so many pixels."""
    wide = along_rows(np.maximum, mask.view(np.uint8), gap | 1)
    return along_rows(np.minimum, wide, gap | 1) > 0


def longest(parts: list[Part], points: list[Points], least: float) -> list[tuple[Part, Points]]:
    """Return the parts that are so long at least, with their points: not too many of them."""
    found = [(p, at) for p, at in zip(parts, points, strict=True) if p.right - p.left >= least and len(at[0])]
    return sorted(found, key=lambda pair: pair[0].left - pair[0].right)[:MOST]


def points_of(line: Mask, labels: NDArray[np.int32], count: int) -> list[Points]:
    """Return the rows and columns of the pixels of a line that are in each of so many parts."""
    y, x = np.nonzero(line)
    number = labels[y, x]
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number, minlength=count + 1))[:-1]
    return list(zip(np.split(y[order], ends)[1:], np.split(x[order], ends)[1:], strict=True))


def on_long_course(mask: Mask, slim: Mask, wanted: Wanted) -> Mask:
    """Return the slim ink on the longest course around, if that is so long; what branches off is on a shorter one."""
    gain = np.where(slim, np.float32(1), np.where(mask, np.float32(-HIDDEN), np.float32(-BROKEN)))
    length = on_course(gain.T, BENT)  # (w, h)
    longest = along_rows(np.maximum, length, round(wanted.clear) | 1)
    return np.asarray(slim & ((length >= wanted.long) & (length >= longest - 2 * BENT * wanted.thin)).T)


def traced(part: Part, points: Points, mask: Mask, runs: Heights, thin: int) -> Line | None:
    """Return the line through most of some points, in the columns of a part: none, if strokes made these."""
    y, x = points
    there = runs[y, x]
    thick = thickness(x - part.left, there)
    slim = there <= UNEVEN * thick + 1  # and not a stroke that lies along it
    course = smooth_course(x[slim], y[slim], thin)
    place, seen = on_ink(course, part.left, part.right, thick, mask, runs)
    return Line(part.left, part.right, course, thick, place) if seen >= SEEN else None


def on_ink(
    course: np.polynomial.Polynomial, left: int, right: int, thick: float, mask: Mask, runs: Heights
) -> tuple[Points, float]:
    """Return the ink along a course that is so thick at most, and its share of the columns that no stroke hides."""
    across = np.arange(left, right)
    middle, reach = course(across), max(thick, NEAR)
    beside = np.arange(-math.ceil(reach) - 1, math.ceil(reach) + 2)[:, np.newaxis]
    down = np.clip(np.floor(middle), -len(mask), 2 * len(mask)).astype(np.intp) + beside  # (k, w), the rows around it
    near = (np.abs(down - middle) <= reach) & (down >= 0) & (down < len(mask))
    place = np.clip(down, 0, len(mask) - 1), across
    inked = near & mask[place]
    found = inked & (runs[place] <= UNEVEN * thick + 1)
    seen, missing = int(found.any(0).sum()), int((~inked.any(0)).sum())
    k, column = np.nonzero(found)
    return (down[k, column], across[column]), seen / max(seen + missing, 1)


def thickness(x: NDArray[np.intp], runs: Heights) -> float:
    """Return how thick a line is, by the runs of its points in each column, where no stroke lies along it."""
    thinnest = np.full(int(x.max()) + 1, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(thinnest, x, runs)
    return quantile(thinnest[np.unique(x)], 0.5)


def smooth_course(x: NDArray[np.intp], y: NDArray[np.intp], reach: float) -> np.polynomial.Polynomial:
    """Return the parabola through most points, without those that are far from the others', ever more strictly."""
    used, domain = np.ones(len(x), bool), (int(x.min()), int(x.max()) + 1)
    for _ in range(4):
        degree = min(2, len(np.unique(x[used])) // 4)
        course = np.polynomial.Polynomial.fit(x[used], y[used], degree, domain)
        away = np.abs(y - course(x))
        used = away <= max(reach, quantile(away, 0.5))
        reach = max(reach / 2, NEAR)
    return course


def column_runs(mask: Mask) -> Heights:
    """Return for each pixel of ink how many are in its run from top to bottom; 0 for paper."""
    h, w = mask.shape
    beyond = np.zeros((1, w), np.int8)
    steps = np.diff(np.concatenate([beyond, mask, beyond]), axis=0).T  # (w, h + 1)
    column, start = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    change = np.zeros((w, h + 1), np.int32)
    change[column, start] += (end - start).astype(np.int32)
    change[column, end] -= (end - start).astype(np.int32)
    return np.asarray(np.cumsum(change, axis=1, dtype=np.int32)[:, :h].T)


def scale_of(mask: Mask, parts: Sequence[Part]) -> tuple[float, int]:
    """Return how tall digits are in some ink, about, and how thick a line is at most."""
    return typical_height(parts, mask.shape), max(2, round(THIN * stroke_width(mask)))


def typical_height(parts: Sequence[Part], shape: tuple[int, ...]) -> float:
    """Return the height that half of the ink has, by parts that are no lines and do not span the picture."""
    whole = sum(part.area for part in parts)
    some = [part for part in parts if part.right - part.left < min(BROAD * shape[1], LEVEL * (part.bottom - part.top))]
    if sum(part.area for part in some) < LITTLE * whole:
        some = [max(parts, key=lambda part: part.area)]
    heights = np.array([part.bottom - part.top for part in some], float)
    areas = np.array([part.area for part in some], float)
    order = heights.argsort()
    return float(heights[order][np.searchsorted(np.cumsum(areas[order]), areas.sum() / 2)])
