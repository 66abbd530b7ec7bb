"""Take away specks: pixels, alone or in pairs, unlike all around them, as scans in two colours and poor cameras have.

    grey -> grey

Only where there are many, all over the picture: a few may be dots that somebody made, or what few pixels left of a
stroke. Knows nothing of ink.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits.grey import Grey
from digits.parts import Mask

SMALLEST = 16  # pixels on the shorter side, below which strokes are single pixels, too
FAR = 0.5  # of the range of brightness, by which a speck is unlike the median of what is around it
ALONE, PAIRED = 1, 2  # pixels of 3 x 3 that are alike, the middle one included
MANY, LEAST = 0.01, 6  # specks, as a share of the pixels, and their number
CORNER = 0.4  # share of both sides; three of four such corners have specks

Places = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows and columns


def without_specks(grey: Grey) -> Grey:
    """Return (h, w) with each speck replaced by the median of the 3 x 3 pixels around it, or as it is if there are few.

    A switching median filter (Sun and Neuvo 1994). It runs twice, since specks may touch each other, or a stroke; pairs
    are taken once it is known that there are specks.
    """
    if min(grey.shape) < SMALLEST:
        return grey
    low, high = float(grey.min()), float(grey.max())
    middle, far = (low + high) / 2, FAR * (high - low)
    bright, many = grey > middle, max(MANY * grey.size, LEAST)
    if np.count_nonzero(bright[:, 1:] > bright[:, :-1]) < many:
        return grey  # as most pictures, which takes little time to tell
    alone = unlike(bright, ALONE)
    if np.count_nonzero(alone) < many or not are_all_over(specks(grey, alone, far)[0], grey.shape, many):
        return grey
    cleared = grey.copy()
    for _ in range(2):
        places, medians = specks(cleared, unlike(cleared > middle, PAIRED), far)
        cleared[places] = medians
    return cleared


def unlike(bright: Mask, most: int) -> Mask:
    """Return which pixels are like at most so many of the 3 x 3 around them, themselves included."""
    h, w = bright.shape
    wide = np.empty((h + 2, w + 2), np.uint8)  # the border is mirrored; np.pad takes ten times as long
    wide[1:-1, 1:-1] = bright
    wide[0], wide[-1] = wide[2], wide[-3]
    wide[:, 0], wide[:, -1] = wide[:, 2], wide[:, -3]
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    count = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]  # of bright ones
    return np.asarray(np.where(bright, count <= most, count >= 9 - most))


def specks(grey: Grey, candidates: Mask, far: float) -> tuple[Places, Grey]:
    """Return which candidates are so far from the median of their 3 x 3 pixels, and the medians there."""
    y, x = np.nonzero(candidates)
    wide = np.pad(grey, 1, mode="reflect")
    medians = np.median([wide[y + down, x + right] for down in range(3) for right in range(3)], axis=0)
    distant = np.abs(grey[y, x] - medians) > far
    return (y[distant], x[distant]), medians[distant]


def are_all_over(places: Places, shape: tuple[int, ...], many: float) -> bool:
    """Tell whether there are that many, and some in three corners at least."""
    (y, x), (h, w) = places, shape
    upper, left, lower, right = y < CORNER * h, x < CORNER * w, y >= (1 - CORNER) * h, x >= (1 - CORNER) * w
    corners = [bool((rows & columns).any()) for rows in (upper, lower) for columns in (left, right)]
    return len(y) >= many and sum(corners) >= 3
