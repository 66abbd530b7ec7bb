"""Choose, of the ink in a picture, what belongs to its one digit.

    mask -> without ruled lines -> without the edges of page and cell -> without what is drawn around the digit
         -> the parts that stand together

Masks are (h, w) of bool, true for ink. Every step only takes away, and knows nothing of brightness.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits.ink import along_rows
from digits.parts import Mask, Part, components, labelled

EDGE = 0.18  # share of a side in which the edge of a page or cell is looked for
FULL = 0.7  # share of a row that is ink where it belongs to such an edge
ENCLOSED = 0.95  # the same of a column, of the rows between an upper and a lower edge that have ink
LONG = 0.45  # share of a side that a ruled line runs without a gap
SPAN = 0.6  # share of a side that it is long at least
DASH = 0.08  # share of a side up to which a gap is one between dashes
SLOPES = (0.0, 0.04, -0.04, 0.08, -0.08)  # rows a column
CLOSE_TO_BORDER = 0.12  # share of a side
SLIM = 0.09  # share of a side that a ruled line is thick at most
NEARLY_ACROSS = 0.75  # share of the width that such a line is long at least where it reaches neither side
CENTRED = 6.0  # how quickly a part counts for less away from the middle
CUT_OFF = 0.5  # what a part counts for that reaches the border: it may be a neighbour's
IN_FULL = 3  # times as long as a part that counts in full a picture is at most; smaller ones may be dirt
GAP = 0.22  # of the longest side of the main part, up to which another may be away from it and belong to it
SIDE_GAP = 0.1  # the same from left to right, where neighbours stand: parts of one digit lie above each other
LARGE = 0.15  # of the main part's area, above which a part is a stroke of the same digit rather than a dot
LARGE_SIDE_GAP = 0.18  # what SIDE_GAP is for such a stroke
BORDER_GAP = 0.04  # what GAP is for a part that reaches the border where the main one doesn't: it may be a neighbour's
SPECK = 0.01  # of the main part's area, below which a part is dirt
LEAST = 3  # pixels, below which a part is dirt however small the main one is
LARGEST = 40  # parts that are looked at for a circle or frame, and for what is in it
IN_RING = 0.3  # of its height, that what is written in a circle or frame has at least
RING = 0.25  # of its area, likewise: a stroke through a 0 has less
NEAR = 0.12  # of the height of a picture, up to which what was cut out may be away from the top and the bottom
ALONE = 0.9  # of all ink, that is in one piece then at least
BUSY = 6.0  # runs of ink a row at most, of a picture as wide as tall or narrower; of wider ones, more
REACHES = 7  # how often such a piece reaches the sides of its box at most
ALONG = 0.45  # of the outline of its box, that is ink at most: shadows and frames have more
RIVAL_HEIGHT = 0.6  # of the main part's height that another digit has at least
RIVAL_AREA = 0.25  # of the main part's area that another digit has at least


@dataclass(frozen=True, slots=True)
class Choice:
    """The ink of the digit, how many edges and lines were removed, and how many other digits there may be."""

    mask: Mask
    lines: int = 0
    others: int = 0


def one_digit(mask: Mask) -> Choice:
    """Choose the ink of the digit, all of it where nothing else is certain."""
    open_ended, lines = without_lines(mask)  # first, for these are known by their reaching the border
    kept, edges = without_edges(open_ended)
    labels, parts, rings = within_rings(kept)
    if not parts:
        return Choice(mask)
    main = max(parts, key=lambda part: weight(part, mask.shape))
    together = [part is main or belongs(part, main, mask.shape) for part in parts]
    others = [part for part, kept in zip(parts, together, strict=True) if not kept and is_rival(part, main, mask.shape)]
    return Choice(np.asarray(np.array([False, *together])[labels]), edges + lines + rings, len(others))


def fills(mask: Mask) -> bool:
    """Tell whether ink is a digit along which its picture was cut out: one piece from the top to the bottom.

    Unlike grain and squared paper it ends in few places, and unlike a frame or shadow it does not go along the border.
    """
    height = len(mask)
    rows = np.flatnonzero(mask.any(1))
    if not rows.size or is_busy(mask) or rows[0] > NEAR * height or rows[-1] < height - 1 - NEAR * height:
        return False
    labels, parts = components(mask)
    main = max(parts, key=lambda part: part.area)
    if main.bottom - main.top < (1 - 2 * NEAR) * height or main.area < ALONE * sum(part.area for part in parts):
        return False
    alone = labels[main.top : main.bottom, main.left : main.right] == parts.index(main) + 1
    return is_open(alone)


def is_alone(mask: Mask) -> bool:
    """Tell whether all ink is one piece, taller than wide, that ends in few places: a digit without frame or line."""
    parts = components(mask)[1]
    if len(parts) != 1:
        return False
    (part,) = parts
    box = mask[part.top : part.bottom, part.left : part.right]
    return part.right - part.left <= part.bottom - part.top and is_open(box)


def is_busy(mask: Mask) -> bool:
    """Tell whether rows run into ink more often than digits side by side make them: grain, or a page of writing."""
    return bool(np.count_nonzero(mask[:, 1:] > mask[:, :-1]) > BUSY * max(mask.shape))


def is_open(alone: Mask) -> bool:
    """Tell whether a piece, cut out along its box, reaches its sides in few places, and along little of them."""
    sides = [side for turned in (alone, alone.T) for side in (turned[0], turned[-1])]
    often = sum(np.count_nonzero(np.diff(side.view(np.int8), prepend=0) == 1) for side in sides)
    return bool(often <= REACHES and np.concatenate(sides).mean() <= ALONG)


# --- edges and lines ----------------------------------------------------------------------------


def without_edges(mask: Mask) -> tuple[Mask, int]:
    """Clear what lies between the border and a row or column near it that is nearly all ink; counts the sides."""
    upright, rows = without_top_and_bottom(mask, mask.mean(1) >= FULL)
    full = upright.mean(0) >= FULL
    if rows == 2 and (between := upright.any(1)).any():
        full |= upright[between].mean(0) >= ENCLOSED
    turned, columns = without_top_and_bottom(upright.T, full)
    return turned.T, rows + columns


def without_top_and_bottom(mask: Mask, full: NDArray[np.bool_]) -> tuple[Mask, int]:
    """Clear what lies beyond the innermost of the full rows at the top, and at the bottom."""
    depth = int(len(mask) * EDGE)
    top, bottom = np.flatnonzero(full[:depth]), np.flatnonzero(full[::-1][:depth])
    cleared = mask.copy()
    if top.size:
        cleared[: top[-1] + 2] = False  # and one more, for its soft edge
    if bottom.size:
        cleared[-(bottom[-1] + 2) :] = False
    return cleared, bool(top.size) + bool(bottom.size)


def without_lines(mask: Mask) -> tuple[Mask, int]:
    """Remove ruled lines, but not the strokes that cross them; returns how many there were."""
    depth = [int(CLOSE_TO_BORDER * side) for side in mask.shape]
    inner = mask[depth[0] : -depth[0] or None, depth[1] : -depth[1] or None]
    if np.count_nonzero(inner) == np.count_nonzero(mask):
        return mask, 0  # no line is far from all borders
    level, rows = without_lines_across(mask)
    upright, columns = without_lines_across(level.T)
    return upright.T, rows + columns


def without_lines_across(mask: Mask) -> tuple[Mask, int]:
    """Remove lines from left to right, whole or of dashes, that slope by no more than the steepest of `SLOPES`."""
    count = 0
    for slope in SLOPES:
        mask, found = without_sloping_lines(mask, slope)
        count += found
    return mask, count


def without_sloping_lines(mask: Mask, slope: float) -> tuple[Mask, int]:
    """Remove lines that fall by about so many rows a column: those that are level once the columns are shifted."""
    if not slope:
        return without_level_lines(mask, near_edges=True)
    h, w = mask.shape
    beyond = math.ceil(abs(slope) * w / 2)
    wide = np.pad(mask, ((beyond, beyond), (0, 0)))
    shift = np.rint(slope * (np.arange(w) - w / 2)).astype(np.intp)
    rows = (np.arange(len(wide))[:, np.newaxis] + shift) % len(wide)
    cleared, count = without_level_lines(np.take_along_axis(wide, rows, 0), near_edges=False)
    if not count:
        return mask, 0
    np.put_along_axis(wide, rows, cleared, 0)
    return wide[beyond : beyond + h], count


def without_level_lines(mask: Mask, *, near_edges: bool) -> tuple[Mask, int]:
    """Remove lines whose ink lies within three rows, nearly; `near_edges` is for `spans`."""
    width, gap = (int(mask.shape[1] * share) | 1 for share in (LONG, DASH))
    thick = along_rows(np.maximum, mask.T.view(np.uint8), 3).T
    whole = along_rows(np.minimum, along_rows(np.maximum, thick, gap), gap)
    if whole.sum(1, dtype=np.intp).max() < SPAN * mask.shape[1]:
        return mask, 0
    long = along_rows(np.maximum, along_rows(np.minimum, whole, width), width)
    labels, parts = components(long > 0)
    cleared, count = mask.copy(), 0
    for number, part in enumerate(parts, 1):
        line = (labels == number) & mask
        if is_slim(line, part) and spans(part, mask.shape, near_edges):
            cleared &= ~line | crossed(line, mask)
            count += 1
    return cleared, count


def is_slim(line: Mask, part: Part) -> bool:
    """Tell whether a part of a long course has no more ink than a line has."""
    area = int(np.count_nonzero(line))
    return 0 < area <= (SLIM * len(line) + 1) * (part.right - part.left)


def spans(part: Part, shape: tuple[int, ...], near_edges: bool) -> bool:
    """Tell a ruled line from the bar of a 7: it reaches from side to side.

    Or, if `near_edges`, from one of them, or nearly, close to the top or the bottom.
    """
    h, w = shape
    length = part.right - part.left
    ends = (part.left <= 1) + (part.right >= w - 1)
    near_edge = part.top <= CLOSE_TO_BORDER * h or part.bottom >= (1 - CLOSE_TO_BORDER) * h
    enough = ends == 2 or (near_edges and near_edge and (ends == 1 or length > NEARLY_ACROSS * w))
    return enough and length >= SPAN * w


def crossed(line: Mask, mask: Mask) -> Mask:
    """Return the columns of a line that have ink right above and below it."""
    h = len(mask)
    wide = np.pad(mask, ((2, 2), (0, 0)))  # row y is y + 2 here
    columns = np.flatnonzero(line.any(0))
    top, bottom = line.argmax(0)[columns], h - 1 - line[::-1].argmax(0)[columns]
    both = np.zeros(line.shape[1], bool)
    both[columns] = wide[top, columns] & wide[top + 1, columns] & wide[bottom + 3, columns] & wide[bottom + 4, columns]
    return line & both


# --- parts --------------------------------------------------------------------------------------


def within_rings(mask: Mask) -> tuple[NDArray[np.int32], list[Part], int]:
    """Return what `components` does of all but circles and frames, and how many of these there were."""
    labels, parts = components(mask)
    around = rings(labels, parts)
    if around:
        labels, parts = components(mask & ~np.isin(labels, around))
    return labels, parts, len(around)


def rings(labels: NDArray[np.int32], parts: Sequence[Part]) -> list[int]:
    """Return the labels of circles and frames: of what goes all around a part that is too large for a stroke in a 0."""
    if len(parts) < 2:
        return []
    some = np.array(heapq.nlargest(LARGEST, range(len(parts)), key=lambda index: parts[index].area))
    area, _, _, top, bottom, left, right = np.array([parts[index] for index in some]).T
    high = bottom - top
    inside = (top > top[:, np.newaxis]) & (bottom < bottom[:, np.newaxis])
    inside &= (left > left[:, np.newaxis]) & (right < right[:, np.newaxis])
    inside &= (high >= IN_RING * high[:, np.newaxis]) & (area >= RING * area[:, np.newaxis])
    return [
        int(some[one]) + 1
        for one in np.flatnonzero(inside.any(1))
        if is_around(labels, parts[some[one]], some[one] + 1, some[inside[one]] + 1)
    ]


def is_around(labels: NDArray[np.int32], ring: Part, label: int, others: NDArray[np.intp]) -> bool:
    """Tell whether no paper leads from one of other parts, by their labels, out of a part."""
    place = labels[ring.top : ring.bottom, ring.left : ring.right]
    paper = labelled(np.pad(place != label, 1, constant_values=True))[0]
    within = paper[1:-1, 1:-1]
    return any(paper[0, 0] not in within[place == other] for other in others)


def weight(part: Part, shape: tuple[int, ...]) -> float:
    """Return how much a part looks like the digit that is meant: large, in the middle, not cut off."""
    h, w = shape
    away = ((part.y - h / 2) / h) ** 2 + ((part.x - w / 2) / w) ** 2
    cut_off = CUT_OFF if part.touches(shape) else 1.0
    return part.area * float(np.exp(-CENTRED * away)) * cut_off * min(IN_FULL * part.side / max(h, w), 1)


def belongs(part: Part, main: Part, shape: tuple[int, ...]) -> bool:
    if part.area < max(SPECK * main.area, LEAST):
        return False
    above, beside = part.gaps(main)
    gap = max(above, beside)
    if part.touches(shape) and not main.touches(shape) and gap > BORDER_GAP * main.side:
        return False
    large = part.area > LARGE * main.area
    return gap <= GAP * main.side and beside <= (LARGE_SIDE_GAP if large else SIDE_GAP) * main.side


def is_rival(part: Part, main: Part, shape: tuple[int, ...]) -> bool:
    """Tell whether a part that doesn't belong to the main one is a digit as well: whole, and nearly as tall."""
    tall = part.bottom - part.top > RIVAL_HEIGHT * (main.bottom - main.top)
    return tall and part.area > RIVAL_AREA * main.area and not part.touches(shape)


def stroke_width(mask: Mask) -> float:
    """Return the mean width of strokes in pixels: twice their area by the length of their outline."""
    h, w = mask.shape
    wide = np.zeros((h + 2, w + 2), np.bool_)  # with paper around, all of it is one long row that can be shifted
    wide[1:-1, 1:-1] = mask
    flat, row = wide.ravel(), w + 2
    beside = flat[row - 1 : -row - 1] & flat[row + 1 : -row + 1]
    inside = flat[row:-row] & flat[: -2 * row] & flat[2 * row :] & beside
    area, inner = int(np.count_nonzero(mask)), int(np.count_nonzero(inside))
    return 2 * area / max(area - inner, 1)
