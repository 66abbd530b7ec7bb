"""A whole picture in the frame of the network, with nothing chosen or taken away.

What is sought in a picture is one digit on paper, and sometimes what is found is not what was drawn: half of a digit
that a stripe cuts, or the paper between strokes that fill the picture. Then the whole of it may be read more surely.
Which of the two counts is for the network to say, of which this module knows nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.grey import Grey
from digits.ink import FAINTEST, edges, grain, quantile
from digits.resampling import area_weights, cubic_weights
from digits.sizes import SIDE

SHRUNK = 24  # pixels: between the 20 of a digit that was cut out along its ink, and the 28 of MNIST's frame
LEAST = 18  # pixels that its ink spans; MNIST's digits span 19 or 20
CLEAR = 2.0  # times as far from the paper as what is farthest on the other side
SOME = 100  # of 255, from which on a pixel counts as ink there
GRAINS = 3.0  # standard deviations of what is in small blocks; pixels at random have 2.3 at most, digits 3.4 and more


class Shrunk(NamedTuple):
    pixels: NDArray[np.uint8]  # (28, 28)
    side: int  # pixels of the longest side of the picture, among these
    dark: bool  # ink that is darker than its paper
    contrast: float  # between ink and paper, of 255


def shrunk(array: Grey) -> Shrunk | None:
    """Return a picture as the network has it.

    What is as bright as most of the border is paper. What is farthest from it is full ink: on the side where that is
    clearly farther, or else on the darker one of bright paper. A picture of 28 x 28 keeps its size. Nothing is
    returned of grain, and where the ink is so small that it is no picture of a digit alone.
    """
    paper = quantile(edges(array), 0.5)
    darker, brighter = paper - float(array.min()), float(array.max()) - paper
    near, far = sorted((darker, brighter))
    dark = darker > brighter if far > CLEAR * near else paper > 127
    contrast = darker if dark else brighter
    if contrast < max(FAINTEST, GRAINS * grain(array)):
        return None
    ink = np.maximum(paper - array if dark else array - paper, 0)
    side = SIDE if array.shape == (SIDE, SIDE) else SHRUNK
    pixels = in_frame(ink * np.float32(255 / contrast), side)
    return Shrunk(pixels, side, dark, contrast) if span(pixels) >= LEAST else None


def in_frame(ink: Grey, side: int) -> NDArray[np.uint8]:
    """Bring (h, w) ink to so many pixels on its longest side, in the middle of (28, 28)."""
    longest = max(ink.shape)
    if longest != side:
        weights = (area_weights if longest >= side else cubic_weights)(longest, side)
        ink = np.clip(weights @ amid(ink, longest) @ weights.T, 0, 255)
    return amid(np.rint(ink).astype(np.uint8), SIDE)


def amid(array: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a (side, side) square with (h, w) values in the middle of zeros."""
    height, width = array.shape
    square = np.zeros((side, side), array.dtype)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = array
    return square


def span(pixels: NDArray[np.uint8]) -> int:
    """Return how many rows or columns lie between the first ink and the last, whichever are more."""
    some = pixels > SOME
    if not some.any():
        return 0
    return max(int(np.ptp(np.flatnonzero(some.any(axis)))) + 1 for axis in (0, 1))
