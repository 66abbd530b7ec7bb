"""Find panels: blocks that are darker or brighter than what is around them, and written on.

    grey -> blocks, at the first of up to three thresholds at which some are panels
         -> the ink on each by itself, and that of all else; or the panels that hold one digit each

The window of a meter is a panel, and so is each of its drums, a slip of paper on a table, or a white box on
coloured paper. This module knows nothing of rows.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from digits.blocks import LARGE, SLIM, Block, blocks, is_dense, thresholds
from digits.grey import Grey
from digits.ink import DIM, absorbed, edges, ink_on_sheet, quantile, standing_out, within
from digits.parts import Mask, Part

COARSE = 512  # pixels on the longest side in which panels are looked for, where there may be several digits
SHEET = 64  # pixels there, from which on what is bright may be a sheet of paper, with lines of writing
TALL = 0.4  # of the height of any other panel, that writing on it has at least
SOLID = 0.7  # of its box, of which a bar has more ink, be it the digit 1 or the inside of a 0
ALIKE = 1.25  # times as tall as others that it stands beside
SEVERAL = 3  # digits on panels that are alike and stand beside each other, at least
STROKE = 0.35  # of its height: the ink on a panel is thinner
SURFACE = 0.25  # of its pixels, that are no lighter than its surface, or no darker, however much is written on it
EDGE = 0.07  # of the height of its writing, in which its edge is not sharp; and a pixel of those in which it was found
SHARP = 0.93  # squareness of a panel with sharp corners
SQUARE = 0.82  # that of one with round corners; a thick 0 has less
SMALL = 0.2  # of the height of its panel, that the longest side of this digit has at least
DRAWN = 0.4  # of the shorter side of its box: its strokes are thinner, but for a 1
LONG = 1.1  # diagonals of its box, that they are long, but for a 1
RIM = 3  # pixels on both sides of its edge, between which
STEP = 0.3  # of the difference between it and all else lies
PLAIN = 0.8  # of the border of a picture, that is alike where it shows paper, or what surrounds a panel
NEAR = 0.25  # of the range of brightness, in which it is alike

# --- the ink of numbers -------------------------------------------------------------------------


def ink_with_panels(grey: Grey) -> Grey:
    """Return the strength of the ink of a sheet, and of the ink on each panel that is on it."""
    by = -(-max(grey.shape) // COARSE)
    found = panels_of_numbers(np.asarray(Image.fromarray(grey).reduce(by), np.float32))
    if not found:
        return ink_on_sheet(grey)
    bare, inks, light = grey.copy(), [], DIM
    for panel in found:
        place, filled = around(panel, by, grey.shape, 2 * edge(panel))
        outer, inner = wider(filled, by * edge(panel)), narrower(filled, by * edge(panel))
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


def around(panel: Block, by: int, shape: tuple[int, ...], more: int) -> tuple[tuple[slice, slice], Mask]:
    """Return a panel's place, and more on all sides, in a picture so many times as large, and its pixels there."""
    filled = np.pad(panel.filled, more).repeat(by, 0).repeat(by, 1)
    top, left = (by * (start - more) for start in (panel.top, panel.left))
    bottom, right = min(top + len(filled), shape[0]), min(left + len(filled[0]), shape[1])
    place = slice(max(top, 0), bottom), slice(max(left, 0), right)
    return place, filled[max(-top, 0) : bottom - top, max(-left, 0) : right - left]


def wider(mask: Mask, by: int) -> Mask:
    return within(np.maximum, mask.astype(np.uint8), 2 * by + 1) > 0


def narrower(mask: Mask, by: int) -> Mask:
    return ~wider(~mask, by)


def surface_of(brightness: Grey, *, dark: bool) -> float:
    """Return the brightness of a panel, of which these are what is written on it as well."""
    return quantile(brightness, SURFACE if dark else 1 - SURFACE) if brightness.size else 0.0


def ink_on(grey: Grey, height: float, *, dark: bool) -> Grey:
    """Return the strength of the ink on a panel of a height."""
    share = STROKE * height / max(grey.shape)
    return standing_out(-grey, share) if dark else absorbed(grey, share)


# --- panels of numbers --------------------------------------------------------------------------


def panels_of_numbers(grey: Grey) -> list[Block]:
    """Return the panels that are written on: those at the first threshold at which there are any."""
    least = LARGE * grey.size
    for threshold in thresholds(grey):
        found = [one for one in blocks(grey, threshold) if one.straight or is_sharp(one)]
        real = [one for one in found if holds_number(one, found) or (is_sharp(one) and holds_digit(one, least))]
        if real:
            return real
    return []


def holds_number(panel: Block, found: list[Block]) -> bool:
    """Tell whether there are digits on it and what stands beside it, not just bars, as in the zeros of a thick pen."""
    pieces = [part for other in found if stands_beside(panel, other) for part in writing(other)]
    return len(pieces) >= SEVERAL and any(map(is_curved, pieces))


def is_sharp(panel: Block) -> bool:
    return panel.squareness >= SHARP


def writing(panel: Block) -> list[Part]:
    """Return what is tall enough for a digit."""
    is_sheet = not panel.dark and panel.height >= SHEET
    return [one for one in panel.pieces if is_sheet or one.bottom - one.top >= TALL * panel.height]


def edge(panel: Block) -> int:
    """Return how many pixels its edge, which is not sharp, is wide."""
    tall = [part.bottom - part.top for part in writing(panel)] or [min(panel.filled.shape)]
    return 1 + math.ceil(EDGE * float(np.median(tall)))


def stands_beside(panel: Block, other: Block) -> bool:
    """Tell whether another one, or itself, is whole, of the same kind, and about as tall, in one row.

    And as wide, unless both are whole.
    """
    low, high = sorted((panel.height, other.height))
    shared = min(panel.bottom, other.bottom) - max(panel.top, other.top)
    narrow, wide = sorted(len(one.filled[0]) for one in (panel, other))
    alike = high <= ALIKE * low and (panel.whole or wide <= ALIKE * narrow)
    return other.whole and panel.dark is other.dark and alike and shared > low / 2


def is_curved(part: Part) -> bool:
    return part.area <= SOLID * (part.bottom - part.top) * (part.right - part.left)


# --- panels of one digit each -------------------------------------------------------------------


def panels_of_digits(grey: Grey) -> list[Block]:
    """Return the panels with a digit each, the largest first: those at the first threshold at which there are any.

    Nothing that is written reaches their edges, so whatever they are, nothing is lost by looking at one alone.
    """
    if not may_hold_panel(grey):
        return []
    least = LARGE * grey.size
    for threshold in thresholds(grey):
        found = blocks(grey, threshold, least)
        real = [one for one in found if holds_digit(one, least) and within_edges(one).any() and has_edge(one, grey)]
        if real:
            return sorted(real, key=lambda one: -one.area)
    return []


def may_hold_panel(grey: Grey) -> bool:
    """Tell quickly what holds none: paper all around, and what there is on it covers too little of its box."""
    border, near = edges(grey), NEAR * float(grey.max() - grey.min())
    paper = quantile(border, 0.5)
    if np.count_nonzero(np.abs(border - paper) <= near) < PLAIN * border.size:
        return True
    other = np.abs(grey - paper) > near
    box = other[np.ix_(other.any(1), other.any(0))]
    return box.size > 0 and is_dense(int(np.count_nonzero(box)), *box.shape)


def holds_digit(panel: Block, least: float) -> bool:
    """Tell whether a panel of so many pixels at least holds what is large enough for a digit, and all of it.

    What is written may also be a hole in a digit, or a bar in one, if the panel is that digit.
    """
    tall = [piece for piece in panel.pieces if piece.side >= SMALL * panel.height]
    if not panel.whole or panel.area < least or not tall:
        return False
    drawn = any(is_drawn(piece, panel.stroke) for piece in tall)
    if is_sharp(panel):
        return drawn or panel.thickness <= SLIM
    return drawn and len(tall) == 1 and panel.thickness <= SLIM and panel.squareness >= SQUARE


def has_edge(panel: Block, grey: Grey) -> bool:
    """Tell whether brightness changes at the edge of a panel, and not as slowly as light that falls off."""
    place, filled = around(panel, 1, grey.shape, RIM)
    other = np.ones(grey.shape, bool)
    other[place] &= ~filled
    inside = grey[place][narrower(filled, 1) & ~narrower(filled, RIM)]
    outside = grey[place][wider(filled, RIM) & ~wider(filled, 1)]
    if not (inside.size and outside.size):
        return False
    step = np.median(inside) - np.median(outside)
    return bool(abs(step) >= STEP * abs(np.median(grey[place][filled]) - np.median(grey[other])))


def is_drawn(piece: Part, stroke: float) -> bool:
    """Tell a digit, but for a 1, from a bar, a blot or a hole, by the width of its strokes."""
    high, wide = piece.bottom - piece.top, piece.right - piece.left
    return stroke <= DRAWN * min(high, wide) and piece.area >= LONG * stroke * math.hypot(high, wide)


def within_edges(panel: Block) -> Mask:
    """Return the pixels of a panel, (h, w) of its box, that are not at its edge: a rim of that would be a line."""
    return narrower(np.pad(panel.filled, 1), 1)[1:-1, 1:-1]
