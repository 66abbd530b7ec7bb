"""Cut a row of writing wherever one digit may end and the next begin, and make pixels of what lies between.

    ink of a row -> paths from top to bottom that meet little ink -> cuts -> pieces -> candidates

Too many cuts are made rather than too few: which of them part two digits is for `digits.lattice` to
say. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.grey import Grey
from digits.image import Pixels, centre, shrink, thicken
from digits.parts import Mask
from digits.paths import Paths, cheapest, lowest, refined
from digits.rows import Row
from digits.sizes import SIDE

ASIDE = 0.02  # of a stroke crossed, what a step to the side costs a path
FREE = 0.25  # strokes that a path between digits which do not touch may cross at most
DEAREST = 3.5  # and a straight line between those that do
SLANTS = (-0.15, 0.1, 0.35)  # of such lines: columns to the right for each row up
CLOSEST = 0.12  # heights between two cuts through ink
LEAST = 0.2  # minimum ink between two cuts, in upright strokes; closer cuts are merged
SPECK = 0.03  # likewise, where they go through paper alone
WIDEST = 1.75  # heights that a digit is wide at most
HOLE = 0.45  # heights of paper at most from left to right within a digit
MOST_PIECES = 7  # that make up a digit
MOST_CUTS = 400  # in a row
SOLID = 0.4  # of full ink: what counts as ink

Pieces = NDArray[np.int32]  # (h, w): the number of the piece that each pixel of a row lies in, from 0
Extent = tuple[int, int, int, int]  # top, bottom, left, right in a row, ends excluded


@dataclass(frozen=True, slots=True)
class Candidate:
    """What lies between two cuts, by their indices, and may be a digit, or a mark if it is small."""

    start: int
    end: int
    box: Extent
    tall: float  # in heights of the row
    wide: float  # likewise
    gap: float  # of paper from left to right within it, likewise
    area: float  # of its ink, in upright strokes


@dataclass(frozen=True, slots=True)
class Cuts:
    """A row in pieces. `costs` are the strokes that each cut goes through, the ends of the row included."""

    costs: list[float]
    areas: list[float]  # of the ink in each piece, in upright strokes
    candidates: list[Candidate]
    pixels: Pixels  # (k, 28, 28), of each candidate


@dataclass(frozen=True, slots=True)
class Parting:
    """A row in pieces, as `Cuts` say, ahead of the pixels: to make these takes longer than all else."""

    row: Row
    piece: Pieces
    inked: Mask
    costs: list[float]
    areas: list[float]
    candidates: list[Candidate]

    def cuts(self) -> Cuts:
        pixels = [pixels_of(candidate, self.row, self.piece, self.inked) for candidate in self.candidates]
        together = np.stack(pixels) if pixels else np.zeros((0, SIDE, SIDE), np.uint8)
        return Cuts(self.costs, self.areas, self.candidates, together)


def cut(row: Row) -> Parting:
    """Cut a row, and return all that may be a digit."""
    paths, costs = cheapest_paths(row)
    piece = pieces_between(paths, row.ink.shape)
    areas = np.bincount(piece.ravel(), row.ink.ravel(), len(paths) + 1) / row.upright
    inked = row.ink > SOLID * min(1.0, float(row.ink.max()))
    candidates = combine(row, piece, inked, extents(piece, inked, len(paths) + 1))
    return Parting(row, piece, inked, [0.0, *costs, 0.0], areas.tolist(), candidates)


def pieces_between(paths: Paths, shape: tuple[int, ...]) -> Pieces:
    """Return (h, w): how many paths each pixel lies to the right of."""
    steps = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(steps, (np.arange(shape[0]), paths), 1)
    return np.asarray(np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1])


# --- paths --------------------------------------------------------------------------------------


def cheapest_paths(row: Row) -> tuple[Paths, list[float]]:
    """Return (n, h) cuts from left to right, as the column in each row of pixels, and the strokes that each crosses.

    Some go through paper alone. The others stay near a line, upright or not, that meets less ink than those beside it.
    """
    crossing = row.ink / np.float32(max(row.stroke, 1.0))
    space = max(2, round(CLOSEST * row.height))
    free = cheapest(crossing, ASIDE, space, FREE)
    touching = refined(crossing, np.concatenate([lines(crossing, slant, space) for slant in SLANTS]), ASIDE, space)
    paths = np.concatenate([free, touching])
    paths = paths[np.lexsort((paths.mean(1), ink_left_of(row.ink, paths)))]
    costs = crossing[np.arange(len(crossing)), paths].sum(1)
    chosen = separating(ink_left_of(row.ink, paths), float(row.ink.sum()), costs, row.upright)
    few = sorted(sorted(chosen, key=lambda index: float(costs[index]))[:MOST_CUTS])
    uncrossed = np.maximum.accumulate(paths[few], axis=0)
    return uncrossed, [float(cost) for cost in costs[few]]


def lines(crossing: Grey, slant: float, apart: int) -> Paths:
    """Return the straight lines of one slant that meet less ink than those beside them."""
    h, w = crossing.shape
    aside = np.round(slant * (h / 2 - np.arange(h))).astype(np.intp)  # (h,)
    at = np.arange(w) + aside[:, np.newaxis]
    inside = (at >= 0) & (at < w)
    met = np.where(inside, crossing[np.arange(h)[:, np.newaxis], np.clip(at, 0, w - 1)], 0).sum(0)
    best = lowest(met.astype(np.float32), apart, DEAREST)
    return np.asarray(np.clip(best[:, np.newaxis] + aside, 0, w - 1))


def separating(left: NDArray[np.float64], whole: float, costs: NDArray[np.float32], upright: float) -> list[int]:
    """Return the paths that have ink between them, and to both sides: of those without, the cheapest."""
    least = np.where(costs <= FREE, SPECK, LEAST) * upright
    chosen: list[int] = []
    for index, ink in enumerate(left):
        if min(ink, whole - ink) < least[index]:
            continue
        if chosen and ink - left[chosen[-1]] < max(least[index], least[chosen[-1]]):
            if costs[index] < costs[chosen[-1]]:
                chosen[-1] = index
        else:
            chosen.append(index)
    return chosen


def ink_left_of(ink: Grey, paths: Paths) -> NDArray[np.float64]:
    """Return how much ink lies to the left of each path."""
    sums = np.concatenate([np.zeros((len(ink), 1)), np.cumsum(ink, axis=1, dtype=np.float64)], axis=1)
    return np.asarray(sums[np.arange(len(ink)), paths].sum(1))


# --- candidates ---------------------------------------------------------------------------------


def combine(row: Row, piece: Pieces, inked: Mask, boxes: Sequence[Extent | None]) -> list[Candidate]:
    """Return what up to `MOST_PIECES` neighbouring pieces make up, where that may be a digit or a mark."""
    candidates: list[Candidate] = []
    for start in range(len(boxes)):
        for end in range(start + 1, min(start + MOST_PIECES, len(boxes)) + 1):
            some = [box for box in boxes[start:end] if box is not None]
            if not some:
                continue
            found = candidate(row, piece, inked, (start, end), span_of(some))
            if end - start > 1 and (found.wide > WIDEST or found.gap > HOLE):
                break
            candidates.append(found)
    return candidates


def extents(piece: Pieces, inked: Mask, count: int) -> list[Extent | None]:
    """Return the box of the ink in each piece, None where there is none."""
    y, x = np.nonzero(inked)
    number = piece[y, x]
    far = np.iinfo(np.intp).max
    low, high = np.full((2, count), far), np.full((2, count), -1)
    for axis, place in enumerate((y, x)):
        np.minimum.at(low[axis], number, place)
        np.maximum.at(high[axis], number, place)
    return [
        (int(low[0, i]), int(high[0, i]) + 1, int(low[1, i]), int(high[1, i]) + 1) if high[0, i] >= 0 else None
        for i in range(count)
    ]


def span_of(boxes: Sequence[Extent]) -> Extent:
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    return min(tops), max(bottoms), min(lefts), max(rights)


def candidate(row: Row, piece: Pieces, inked: Mask, between: tuple[int, int], box: Extent) -> Candidate:
    top, bottom, left, right = box
    place = np.s_[top:bottom, left:right]
    mine = (piece[place] >= between[0]) & (piece[place] < between[1])
    gap = longest_gap(np.asarray((inked[place] & mine).any(0))) / row.height
    area = float(row.ink[place][mine].sum() / row.upright)
    return Candidate(*between, box, (bottom - top) / row.height, (right - left) / row.height, gap, area)


def pixels_of(candidate: Candidate, row: Row, piece: Pieces, inked: Mask) -> Pixels:
    """Return the (28, 28) pixels of a candidate."""
    top, bottom, left, right = candidate.box
    place = np.s_[top:bottom, left:right]
    mine = (piece[place] >= candidate.start) & (piece[place] < candidate.end)
    strokes = np.where(mine, row.ink[place] * np.float32(255), np.float32(0))
    return centre(shrink(thicken(strokes, inked[place] & mine)))[0]


def longest_gap(columns: NDArray[np.bool_]) -> int:
    """Return the longest run of columns without ink, between some with."""
    at = np.flatnonzero(columns)
    return int(np.diff(at).max() - 1) if len(at) > 1 else 0
