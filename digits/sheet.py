"""The ink on a sheet of writing, or none where there is but grain and light.

    grey -> strength -> threshold -> ink; if it hardly stands out, again without the light, and averaged

and what of it is printed. Knows nothing of rows, nor of digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from digits.frames import without_frames
from digits.grey import Grey
from digits.ink import FAINTEST, SHADE, averaged, edges, evenly_lit, grain, otsu, quantile
from digits.panels import ink_with_panels
from digits.parts import Mask, components, labelled
from digits.rules import without_rules
from digits.strokes import fills, is_busy, without_edges

CROWDED = 0.2  # share of a picture above which ink is not the ink alone
TALL = 0.5  # of a sheet's height, that digits have at least along which it was cut out
WIDEST = 0.7  # of its width, which one or several that touch take up at most, unlike a frame
ACROSS = 0.5  # of its width, that all of them take up at least, unlike the edges of a page
BEYOND = 0.2  # of its height, that is above and below them at most
NEARLY_ALL = 0.8  # of the ink, that they have
WEAK = 0.6  # of the threshold: ink that continues strokes which are above it
MOST_PIECES = 20_000  # of ink, the largest: a page has some thousand, the others are grain
CLEAR = 18.0  # standard deviations of a sheet's grain, from which on writing is read as well as without any
GRAINS = 9.0  # the same, of a sheet that is averaged as far as it may be, below which there is but grain
AT_EDGES = 0.02  # of the border of a sheet, that light which falls off leaves dark at least


@dataclass(frozen=True, slots=True)
class Ink:
    """Where the ink is, and how strong."""

    strength: Grey  # (h, w), 0 for paper
    mask: Mask  # (h, w)
    full: float  # how strong most of it is
    floor: float  # how weak its edges are

    @property
    def solid(self) -> Grey:
        """(h, w), from 0 for paper to 1 for ink."""
        shares = (self.strength - self.floor) / max(self.full - self.floor, 1e-6)
        return np.asarray(np.clip(shares, 0, 1), np.float32)

    @property
    def is_at_edges(self) -> bool:
        """Tell whether there is much ink where light falls off."""
        return bool(edges(self.mask).mean() > AT_EDGES)


def ink_of(sheet: Grey) -> Ink:
    """Return the ink on a sheet of any brightness (h, w)."""
    strength = ink_with_panels(sheet)
    if strength.max() <= FAINTEST:
        return blank(sheet.shape)
    ink = clear_ink(strength, CLEAR)
    if ink is not None and (ink.full >= SHADE or not ink.is_at_edges):
        return ink
    sheet = evenly_lit(sheet)
    for times in (CLEAR, CLEAR, GRAINS):  # averaged never, once and twice
        ink = clear_ink(ink_with_panels(sheet), times)
        if ink is not None:
            return ink
        sheet = averaged(sheet)
    return blank(sheet.shape)


def clear_ink(strength: Grey, times: float) -> Ink | None:
    """Return the ink, if it is so many times as strong as the grain of its paper."""
    least = times * grain(strength)
    if strength.max() < least:  # which takes less time to tell
        return None
    ink = thresholded(strength)
    return ink if ink.full >= least else None


def thresholded(strength: Grey) -> Ink:
    """Tell ink from paper by Otsu's threshold, which is raised until most of the sheet is paper.

    Unless it was cut out along a number, of which more is ink.
    """
    threshold = otsu(strength)
    strong = strength > max(threshold, FAINTEST)
    while strong.mean() > CROWDED and not is_cut_out(strong):
        higher = threshold + otsu(strength[strong] - threshold)
        if higher <= threshold or is_print(strength > higher):
            break  # all of it is as strong, or only what is printed is stronger
        threshold = higher
        strong = strength > max(threshold, FAINTEST)
    if not strong.any():
        return blank(strength.shape)
    labels = labelled(strength > max(WEAK * threshold, FAINTEST))[0]
    area = np.bincount(labels.ravel())
    real = np.zeros(len(area), bool)
    real[labels[strong]] = True
    real[0] = False
    if real.sum() > MOST_PIECES:
        real[np.argsort(np.where(real, area, 0), kind="stable")[:-MOST_PIECES]] = False
    return Ink(strength, np.asarray(real[labels]), quantile(strength[strong], 0.5), threshold / 2)


def blank(shape: tuple[int, ...]) -> Ink:
    return Ink(np.zeros(shape, np.float32), np.zeros(shape, bool), 1.0, 0.0)


# --- print --------------------------------------------------------------------------------------


def is_print(mask: Mask) -> bool:
    """Tell whether nothing is written; forms, which take time to find, are looked for where little is inked."""
    if not without_page(mask).any():
        return True
    return bool(mask.mean() <= CROWDED) and not without_page(without_frames(mask)).any()


def without_print(mask: Mask) -> Mask:
    """Remove forms, the edges of the page, and ruled lines."""
    return without_rules(without_page(without_frames(mask)))


def without_page(mask: Mask) -> Mask:
    """Remove the edges of the page, unless there can be none: an upright stroke at a side looks like one."""
    return mask if is_cut_out(mask) else without_edges(mask)[0]


def is_cut_out(mask: Mask) -> bool:
    """Tell whether a sheet was cut out along a digit, or a number: nearly all ink is in tall pieces side by side."""
    height, width = mask.shape
    if width < 2 * height and fills(mask):
        return True
    if width < height or is_busy(mask):
        return False
    parts = components(mask)[1]
    tall = [
        part for part in parts if part.bottom - part.top >= TALL * height and part.right - part.left < WIDEST * width
    ]
    if sum(part.right - part.left for part in tall) < ACROSS * width:
        return False
    beyond = min(part.top for part in tall) + height - max(part.bottom for part in tall)
    ink = int(np.count_nonzero(mask))
    return beyond <= BEYOND * height and sum(part.area for part in tall) >= NEARLY_ALL * ink
