"""Find blocks: what is darker or brighter than all around it, and has straight sides or no dents.

    grey -> darker or brighter than a threshold -> parts -> those that are blocks, with what is missing in each

Whether what is missing is writing is for `digits.panels` to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from digits.grey import Grey
from digits.ink import otsu, quantile
from digits.parts import Mask, Part, components, labelled, measured
from digits.strokes import stroke_width

HIGH = 12  # pixels that a block must be high and wide
LOW = 6  # pixels that a piece of writing must be high
CROWD = 4_000  # parts; where there are more, they are grain
MOST = 60  # parts, the largest, that are looked at
DENSE = 0.35  # of its box, which a block must cover, even without what is written on it, and even if it slopes
EVEN = 0.1  # of the usual height, by which columns of a block may differ from that
CROOKED = 0.03  # of its height, plus a pixel: how far an edge may stray from a straight line
STRAIGHT = 0.75  # of its columns, or rows: in so many, an edge must stray no further
LARGE = 0.03  # of a picture, which a block must cover if its edges are not straight, or it holds a single digit
CONVEX = 0.93  # of what lies within a line around a block, which it must cover
BEYOND = 0.12  # of its height: how far above and below it there must be another surface
SURE = 0.8  # of its columns: in so many, another surface must begin beyond its ends
FAR = 0.5  # of the range of brightness: how much a block that the picture cuts off must differ from what is beside it
BESIDE = 0.05  # of the picture: what must lie beside such a block
WHOLE = 0.95  # of what lies between its edges, which it must cover: writing does not cut it up
OWN = 0.5  # of a block, without what shows through its holes: what must be bare
SLIM = 0.45  # `Block.thickness` of what is written, at most, where edges are not straight
SAMPLES = 64  # rows and columns of a block that are looked at for dents and corners
TURNS = np.radians(np.arange(0, 90, 10))  # by which the four directions are turned in which corners are looked for


@dataclass(frozen=True)
class Block:
    """What stands out from what is around it, and what may be written on it."""

    top: int
    left: int
    filled: Mask  # (h, w) of its box: the block, and what is written on it
    bare: Mask  # the same without what is written
    dark: bool
    pieces: Sequence[Part]  # of what is written
    whole: bool  # nothing that is written reaches its edges
    straight: bool  # two of its edges are, and equally far apart

    @property
    def bottom(self) -> int:
        return self.top + len(self.filled)

    @property
    def height(self) -> float:
        return float(np.median(self.filled.sum(0)))

    @property
    def area(self) -> int:
        return int(np.count_nonzero(self.filled))

    @cached_property
    def stroke(self) -> float:
        """The width of what is written."""
        return stroke_width(self.filled & ~self.bare)

    @cached_property
    def thickness(self) -> float:
        """The width of what is written, in widths of what is bare: about 1 for the holes in a digit."""
        return self.stroke / max(stroke_width(self.bare), 1)

    @cached_property
    def squareness(self) -> float:
        """How well it fills the quadrilateral of its four corners (their Jaccard index)."""
        high, wide = (-(-side // SAMPLES) for side in self.filled.shape)
        filled = self.filled[::high, ::wide]
        return max(overlap(filled, inside(corners, filled.shape)) for corners in quadrilaterals(filled))


def thresholds(grey: Grey) -> Iterator[float]:
    """Yield Otsu's threshold, then those within what is darker, within what is brighter, and within the brightest.

    The last is for pale ink, which differs less from its sheet than that from the blur at its edge.
    """
    middle = otsu(grey)
    yield middle
    dark = grey[grey <= middle]
    if dark.size:
        yield otsu(dark[np.newaxis])
    for _ in range(2):
        bright = grey[grey > middle]
        if bright.size:
            middle += otsu(bright[np.newaxis] - middle)
            yield middle


def blocks(grey: Grey, threshold: float, least: float = 0) -> list[Block]:
    """Return the blocks of all that is darker than a threshold, and of all that is brighter, of so many pixels."""
    dark = grey <= threshold
    return [*blocks_of(grey, dark, least, dark=True), *blocks_of(grey, ~dark, least, dark=False)]


def blocks_of(grey: Grey, mask: Mask, least: float, *, dark: bool) -> Iterator[Block]:
    """Yield the blocks of a mask; what is dark is no window if a picture cuts it off above or below."""
    labels, runs = labelled(mask)
    if runs[0].size and runs[0].max() >= CROWD:
        return
    parts = measured(*runs)
    for number in np.argsort([-part.area for part in parts], kind="stable")[:MOST]:
        part = parts[number]
        cut_off = part.top == 0 or part.bottom == len(mask)
        high, wide = part.bottom - part.top, part.right - part.left
        if part.area < least or not is_dense(part.area, high, wide) or (dark and cut_off):
            continue
        own = labels[part.top : part.bottom, part.left : part.right] == number + 1
        if is_bordered(own, part, mask) and is_no_shadow(own, part, grey):
            straight = is_straight(own)
            if straight or (part.area >= LARGE * grey.size and is_convex(own)):
                block = block_of(own, part, mask, dark=dark, straight=straight)
                if straight or block.thickness <= SLIM:
                    yield block


def block_of(own: Mask, part: Part, mask: Mask, *, dark: bool, straight: bool) -> Block:
    """Return a part of a mask, whose pixels are `own`, with what is written on it."""
    filled, closed = between_edges(own), without_holes(own)
    bare = filled & mask[part.top : part.bottom, part.left : part.right]
    holds = np.count_nonzero(closed)
    whole = bool(part.area >= OWN * holds and holds >= WHOLE * lengths(own).sum())
    missing = (closed if whole else filled) & ~own  # what is rough at the edges of a whole one is no writing
    pieces = [one for one in components(missing)[1] if one.bottom - one.top >= LOW]
    return Block(part.top, part.left, filled, bare, dark, pieces, whole, straight)


def is_dense(area: int, high: int, wide: int) -> bool:
    """Tell whether pixels are as many as a block has, in a box that is as large as one."""
    return min(high, wide) >= HIGH and area >= DENSE * high * wide


# --- what is around them ------------------------------------------------------------------------


def is_no_shadow(own: Mask, part: Part, grey: Grey) -> bool:
    """Tell light and shadow from a block that the picture cuts off: what is beside that is of another brightness."""
    if not part.touches(grey.shape):
        return True
    beside = np.ones(grey.shape, np.bool_)
    beside[part.top : part.bottom, part.left : part.right] = False
    if beside.mean() < BESIDE:
        return False
    surface = quantile(grey[part.top : part.bottom, part.left : part.right][own], 0.5)
    least = FAR * (quantile(grey, 0.99) - quantile(grey, 0.01))
    return abs(quantile(grey[beside], 0.5) - surface) >= least


def is_bordered(own: Mask, part: Part, mask: Mask) -> bool:
    """Tell whether the other kind lies well beyond its upper and lower edge, and not more of its own behind a line.

    An edge at the border of the picture counts as met; if both are, the left and right ones decide.
    """
    upright, level = mask[:, part.left : part.right], mask[part.top : part.bottom].T
    ends = [ends_above(own, part.top, upright), ends_above(own[::-1], len(mask) - part.bottom, upright[::-1])]
    if ends == [None, None]:
        right = len(level) - part.right
        ends = [ends_above(own.T, part.left, level), ends_above(own.T[::-1], right, level[::-1])]
    return False not in ends and True in ends


def ends_above(own: Mask, top: int, mask: Mask) -> bool | None:
    """Tell whether the columns of a mask are no longer of a block well above it; None where the picture ends."""
    if top == 0:
        return None
    away = max(1, round(BEYOND * float(np.median(lengths(own)))))
    rows = np.maximum(top + own.argmax(0) - away, 0)
    return bool(mask[rows, np.arange(mask.shape[1])].mean() <= 1 - SURE)


# --- their shapes -------------------------------------------------------------------------------


def is_straight(own: Mask) -> bool:
    """Tell whether it has two straight edges, equally far apart: above and below, or to the left and right."""
    return any(is_band(some) for some in (own, own.T))


def is_band(own: Mask) -> bool:
    """Tell whether the upper edge and the lower one are straight, and equally far apart in most columns."""
    wide = own.shape[1]
    first, apart = own.argmax(0), lengths(own)
    typical = np.partition(apart, wide // 2)[wide // 2]
    even = np.count_nonzero(np.abs(apart - typical) <= EVEN * typical) >= STRAIGHT * wide
    return bool(even) and all(is_line(edge, CROOKED * typical + 1) for edge in (first, first + apart))


def is_line(edge: NDArray[np.intp], far: float) -> bool:
    """Tell whether most of an edge is no further from a straight line, which its two halves suggest."""
    half = len(edge) // 2
    left, right = (float(np.median(some)) for some in (edge[:half], edge[-half:])) if half else (edge[0], edge[-1])
    slope = (right - left) / max(len(edge) - half, 1)
    course = (left + right) / 2 + slope * (np.arange(len(edge)) - (len(edge) - 1) / 2)
    return bool(np.count_nonzero(np.abs(edge - course) <= far) >= STRAIGHT * len(edge))


def between_edges(own: Mask) -> Mask:
    """Return all that lies between the first and the last pixel of its column, or of its row."""
    down, across = (np.maximum.accumulate(some) & np.maximum.accumulate(some[::-1])[::-1] for some in (own, own.T))
    return np.asarray(down | across.T)


def lengths(own: Mask) -> NDArray[np.intp]:
    """Return how many rows there are from the first to the last pixel of each column."""
    return np.asarray(len(own) - own.argmax(0) - own[::-1].argmax(0))


def without_holes(mask: Mask) -> Mask:
    paper = labelled(np.pad(~mask, 1, constant_values=True))[0]
    return np.asarray(paper[1:-1, 1:-1] != paper[0, 0])


def is_convex(own: Mask) -> bool:
    """Tell whether hardly anything is missing between its edges and a line around them."""
    some = np.linspace(0, own.shape[1] - 1, min(own.shape[1], SAMPLES)).astype(np.intp)
    first, apart = own.argmax(0)[some], lengths(own)[some]
    upper, lower = hull(some, first), -hull(some, -first - apart)
    return bool(apart.sum() >= CONVEX * (lower - upper).sum())


def hull(x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the largest convex function of x that is nowhere above y, by a monotone chain (Andrew 1979)."""
    chain: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(chain) > 1 and steepness(*chain[-2:]) >= steepness(chain[-1], point):
            chain.pop()
        chain.append(point)
    corners = np.array(chain, float)
    return np.asarray(np.interp(x, corners[:, 0], corners[:, 1]))


def steepness(start: tuple[int, int], end: tuple[int, int]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0])


def inside(corners: NDArray[np.intp], shape: tuple[int, ...]) -> Mask:
    """Return the pixels of a quadrilateral, whose corners are (4, 2) of x and y, with the clock."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    x1, y1 = corners.T[..., np.newaxis, np.newaxis]
    x2, y2 = np.roll(corners, -1, 0).T[..., np.newaxis, np.newaxis]
    return np.asarray(((x2 - x1) * (y - y1) >= (y2 - y1) * (x - x1)).all(0))


def overlap(one: Mask, other: Mask) -> float:
    """Return the share of the pixels of either mask that are in both (Jaccard 1901)."""
    return float((one & other).sum() / (one | other).sum())


def quadrilaterals(filled: Mask) -> NDArray[np.intp]:
    """Return (turns, 4, 2): x and y of what is farthest in four directions, with the clock."""
    x, first = np.arange(filled.shape[1]), filled.argmax(0)
    ends = np.stack([np.tile(x, 2), np.concatenate([first, first + lengths(filled) - 1])])
    ways = np.stack([np.cos(TURNS), np.sin(TURNS)]), np.stack([-np.sin(TURNS), np.cos(TURNS)])
    far = [pick(way.T @ ends, 1) for pick in (np.argmax, np.argmin) for way in ways]
    return np.asarray(ends.T[np.stack(far, 1)])
