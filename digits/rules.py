"""Remove the ruled lines of a sheet, and leave the strokes that cross them, or stand on them.

    ink -> the lines that go on for longer than a digit -> gone

and the same from side to side. A line may slope, bend a little and be broken.
"""

from __future__ import annotations

from digits.lines import STROKE, Wanted, find_lines, scale_of
from digits.parts import Mask, components

LONG = 2.0  # heights of a row that a ruled line is long at least, in a wide picture
ACROSS = 0.55  # share of the width that it is long at least in any other, without what strokes hide of it
BRIEF = 1.25  # heights that no stroke of a digit is long
CLEAR = 0.4  # heights in which there is but one ruled line


def without_rules(mask: Mask) -> Mask:
    """Remove ruled lines, level and upright ones."""
    parts = components(mask)[1]
    if not parts:
        return mask
    height, thin = scale_of(mask, parts)
    for _ in range(2):  # level lines first, then, turned, upright ones
        mask = without_level_rules(mask, thin, height).T
    return mask


def without_level_rules(mask: Mask, thin: int, height: float) -> Mask:
    """Remove what goes from left to right for longer than digits do, mostly on ink that is thin from top to bottom."""
    long = min(LONG * height, max(ACROSS * mask.shape[1], BRIEF * height))
    kept = mask.copy()
    for line in find_lines(mask, Wanted(thin, long, BRIEF * height, CLEAR * height, STROKE * thin)):
        kept[line.pixels] = False
    return kept
