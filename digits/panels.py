"""Find panels: blocks that are darker or brighter than what is around them, and written on.

    grey -> darker or brighter than a threshold -> blocks with straight sides -> those with digits, or what may be some
         -> the ink on each by itself, and that of all else

The window of a meter is a panel, and so is each of its drums, a slip of paper on a table, or a white box on
coloured paper. This module knows nothing of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.grey import Grey
from digits.ink import DIM, Mask, absorbed, ink_on_sheet, otsu, quantile, standing_out, within
from digits.strokes import Part, components, labelled, measured

COARSE = 512  # pixels on the longest side in which panels are looked for
HIGH = 12  # pixels there, that a panel is high at least
SHEET = 64  # pixels there, from which on what is bright may be a sheet of paper, with lines of writing
LOW = 6  # pixels there, that writing on such a sheet has at least
TALL = 0.4  # of the height of any other panel, that writing on it has at least
CROWD = 4_000  # parts, beyond which they are grain
MOST = 60  # parts, the largest, that are looked at
DENSE = 0.35  # of its box, that a panel covers, less what is written on it, and even where it slopes
EVEN = 0.1  # of the usual height, by which columns of a panel may differ from that
CROOKED = 0.03  # of it, and a pixel: what its upper and lower edge may differ from a straight line in
STRAIGHT = 0.75  # of its columns, or of its rows, that differ in no more
BEYOND = 0.12  # of its height: how far above and below it the surface must still be another
SURE = 0.8  # of its columns, above and below which it is
FAR = 0.5  # of the range of brightness, that a block which the picture cuts off differs in from what is beside it
BESIDE = 0.05  # of the picture, that is not such a block at least
WHOLE = 0.95  # of what lies between its edges, that it covers: writing does not cut it up
OWN = 0.5  # of it, that is not written on
SOLID = 0.7  # of its box, of which a bar has more ink, be it the digit 1 or the inside of a 0
ALIKE = 1.25  # times as tall as others that it stands beside
SEVERAL = 3  # digits on panels that are alike and stand beside each other, at least
STROKE = 0.35  # of its height: the ink on a panel is thinner
SURFACE = 0.25  # of its pixels, that are no lighter than its surface, or no darker, however much is written on it
EDGE = 0.07  # of the height of its writing, in which its edge is not sharp; and a pixel of those in which it was found


@dataclass(frozen=True, slots=True)
class Panel:
    """A block that is written on."""

    top: int
    left: int
    filled: Mask  # (h, w) of its box: the panel, and what is written on it
    dark: bool
    writing: Sequence[Part]  # what is tall enough for a digit
    whole: bool  # nothing that is written reaches its edges

    @property
    def bottom(self) -> int:
        return self.top + len(self.filled)

    @property
    def height(self) -> float:
        return float(np.median(self.filled.sum(0)))

    @property
    def edge(self) -> int:
        """How many pixels its edge, which is not sharp, is wide."""
        tall = [float(part.bottom - part.top) for part in self.writing] or [self.height]
        return 1 + math.ceil(EDGE * float(np.median(tall)))

    def stands_beside(self, other: Panel) -> bool:
        """Tell whether another one, itself included, is whole, of the same kind, and about as tall, in one row.

        And as wide, unless it is whole as well.
        """
        low, high = sorted((self.height, other.height))
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        narrow, wide = sorted(len(panel.filled[0]) for panel in (self, other))
        alike = high <= ALIKE * low and (self.whole or wide <= ALIKE * narrow)
        return other.whole and self.dark is other.dark and alike and shared > low / 2


def ink_with_panels(grey: Grey) -> Grey:
    """Return the strength of the ink of a sheet, and of the ink on each panel that is on it."""
    by = -(-max(grey.shape) // COARSE)
    found = find_panels(np.asarray(Image.fromarray(grey).reduce(by), np.float32))
    if not found:
        return ink_on_sheet(grey)
    bare, inks, light = grey.copy(), [], DIM
    for panel in found:
        place, filled = around(panel, by, grey.shape)
        outer, inner = wider(filled, by * panel.edge), ~wider(~filled, by * panel.edge)
        surface = surface_of(grey[place][inner], dark=panel.dark)
        alone = np.where(inner, grey[place], np.float32(surface))
        inks.append((place, outer, ink_on(alone, by * panel.height, dark=panel.dark)))
        rest = grey[place][~outer]
        bare[place][outer] = np.median(rest) if rest.size else surface
        light = max(light, surface)
    strength = ink_on_sheet(bare, light)  # what is darker than a panel is the table on which it lies, say
    for place, outer, ink in inks:
        strength[place][outer] = ink[outer]
    return strength


def around(panel: Panel, by: int, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Mask]:
    """Return a panel's place, and more on all sides, in a picture so many times as large, and its pixels there."""
    filled = np.pad(panel.filled, 2 * panel.edge).repeat(by, 0).repeat(by, 1)
    top, left = (by * (start - 2 * panel.edge) for start in (panel.top, panel.left))
    bottom, right = min(top + len(filled), shape[0]), min(left + len(filled[0]), shape[1])
    place = slice(max(top, 0), bottom), slice(max(left, 0), right)
    return place, filled[max(-top, 0) : bottom - top, max(-left, 0) : right - left]


def wider(mask: Mask, by: int) -> Mask:
    return within(np.maximum, mask.astype(np.uint8), 2 * by + 1) > 0


def surface_of(brightness: Grey, *, dark: bool) -> float:
    """Return the brightness of a panel, of which these are what is written on it as well."""
    return quantile(brightness, SURFACE if dark else 1 - SURFACE) if brightness.size else 0.0


def ink_on(grey: Grey, height: float, *, dark: bool) -> Grey:
    """Return the strength of the ink on a panel of a height."""
    share = STROKE * height / max(grey.shape)
    return standing_out(-grey, share) if dark else absorbed(grey, share)


# --- where they are -----------------------------------------------------------------------------


def find_panels(grey: Grey) -> list[Panel]:
    """Return the panels that are written on: those that stand out at the first of three thresholds at which some do."""
    for threshold in thresholds(grey):
        found = [*blocks(grey, threshold, dark=True), *blocks(grey, threshold, dark=False)]
        rows = [[other for other in found if one.stands_beside(other)] for one in found]
        real = [one for one, row in zip(found, rows, strict=True) if are_read(row)]
        if real:
            return real
    return []


def thresholds(grey: Grey) -> Iterator[float]:
    """Yield Otsu's threshold, and those of what is darker and brighter."""
    middle = otsu(grey)
    yield middle
    bright = grey[grey > middle]
    yield otsu(grey[grey <= middle][np.newaxis])
    if bright.size:
        yield middle + otsu(bright[np.newaxis] - middle)


def are_read(row: list[Panel]) -> bool:
    """Tell whether there are digits on panels, and not just bars, as within the zeros of a thick pen."""
    pieces = [part for panel in row for part in panel.writing]
    return len(pieces) >= SEVERAL and any(map(is_curved, pieces))


def blocks(grey: Grey, threshold: float, *, dark: bool) -> Iterator[Panel]:
    """Yield what may be panels, of all that is darker than a threshold, or brighter."""
    mask = grey <= threshold if dark else grey > threshold
    labels, runs = labelled(mask)
    if runs[0].size and runs[0].max() >= CROWD:
        return
    parts = measured(*runs)
    for number in np.argsort([-part.area for part in parts], kind="stable")[:MOST]:
        part = parts[number]
        high, wide = part.bottom - part.top, part.right - part.left
        cut_off = part.top == 0 or part.bottom == len(mask)
        if high < HIGH or part.area < DENSE * high * wide or (dark and cut_off):
            continue  # paper is cut off by a picture, but no window
        own = labels[part.top : part.bottom, part.left : part.right] == number + 1
        if is_straight(own) and is_bordered(own, part, mask) and is_no_shadow(own, part, grey):
            yield panel_of(own, part, dark=dark)


def panel_of(own: Mask, part: Part, *, dark: bool) -> Panel:
    """Return a block with what is written on it; `own` are its pixels without that."""
    filled = between_edges(own)
    height = float(np.median(filled.sum(0)))
    least = TALL * height if dark or height < SHEET else LOW
    tall = [one for one in components(filled & ~own)[1] if one.bottom - one.top >= least]
    closed = np.count_nonzero(without_holes(own))
    whole = part.area >= OWN * closed and closed >= WHOLE * lengths(own).sum()
    return Panel(part.top, part.left, filled, dark, tall, bool(whole))


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


def is_curved(part: Part) -> bool:
    return part.area <= SOLID * (part.bottom - part.top) * (part.right - part.left)


def without_holes(mask: Mask) -> Mask:
    paper = labelled(np.pad(~mask, 1, constant_values=True))[0]
    return np.asarray(paper[1:-1, 1:-1] != paper[0, 0])


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


def is_bordered(own: Mask, part: Part, mask: Mask) -> bool:
    """Tell whether it goes on as something else above and below, so that no line parts it from more of its kind.

    What the picture cuts off at one of these may be so; what is cut off at both must end to the left or right.
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
