"""Turn the bytes of a picture into the 28x28 pixels that a network reads.

    bytes -> identify -> decode -> image -> grey -> ink -> crop -> shrink -> centre -> pixels

The target is the geometry of MNIST itself, as measured on its 70,000 images: ink bright on
black, the longest side of the digit 20 px, and the centre of mass at index 14 (not 13.5) after a
shift by whole pixels. This module knows nothing of networks, bundles or HTTP.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.decode import decode, decode_plain, identify, is_plain
from digits.errors import BadImage

Pixels = NDArray[np.uint8]  # (28, 28), ink is 255; a batch of them is (n, 28, 28)
Grey = NDArray[np.float32]  # (h, w) in 0...255

SIDE = 28  # pixels on each side of an MNIST image
BOX = 20  # pixels on the longest side of its digit
CENTRE = 14.0  # index of its centre of mass
SUM_AND_MOMENT = np.stack([np.ones(SIDE), np.arange(SIDE)]).astype(np.float32)  # (2, 28), to be multiplied with

FAINTEST = 1.0  # of 255, below which a difference from the paper is rounding, not ink
LARGE = 2048  # pixels on the longest side that is looked at; a larger picture is averaged down first


def read(data: bytes) -> Pixels:
    """Return the (28, 28) pixels of an encoded picture. Raises `BadImage`."""
    pixels = decode_plain(data) if is_plain(data) else None
    return normalise(decode(identify(data))) if pixels is None else fit(pixels.astype(np.float32))


def normalise(image: Image.Image) -> Pixels:
    """Return the (28, 28) pixels of a picture with one digit; of a blank one, zeros.

    A picture that has the geometry of MNIST already is returned as it is, bit for bit.
    """
    return fit(grey(image))


def fit(array: Grey) -> Pixels:
    """Return the (28, 28) pixels of brightnesses, or these themselves."""
    if looks_like_mnist(array):
        return array.astype(np.uint8)
    return centre(shrink(crop(ink(array))))


def grey(image: Image.Image) -> Grey:
    """Return (h, w) brightness in 0...255 of a picture of any mode; transparency becomes plain paper.

    A picture with a side of more than `LARGE` comes out smaller, by a whole factor.
    """
    sixteen_bits = image.mode.startswith("I;16")
    try:
        image = reduce(direct(image))
    except Exception as exc:  # a palette that the file only promises, say
        raise BadImage("broken", "the colours of the image cannot be read") from exc
    if sixteen_bits:
        return np.asarray(image, np.float32) / np.float32(257)
    if image.mode in ("I", "F"):  # 32 bits a pixel: no range is declared, so take the one that is used
        return stretch(np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0))
    if image.mode in ("LA", "RGBA"):
        return on_paper(np.asarray(image.convert("LA"), np.float32))
    return np.asarray(image.convert("L"), np.float32)


def direct(image: Image.Image) -> Image.Image:
    """Return the picture in a mode whose values are brightnesses that can be averaged."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "I", "F") else image.convert("L" if image.mode == "1" else "RGB")


def reduce(image: Image.Image) -> Image.Image:
    """Average blocks of pixels until no side is longer than `LARGE`, for the memory that arrays take."""
    factor = -(-max(image.size) // LARGE)
    return image.reduce(factor) if factor > 1 else image


def stretch(array: NDArray[np.float64]) -> Grey:
    low, high = array.min(), array.max()
    return np.asarray((array - low) * (255 / max(high - low, 1e-300)), np.float32)


def on_paper(grey_alpha: NDArray[np.float32]) -> Grey:
    """Lay (h, w, 2) grey and alpha on a paper that its strokes stand out from.

    Where most of the picture is opaque, what shows is the paper, and the rest is filled alike;
    else what shows is the ink, dark or bright.
    """
    value, alpha = grey_alpha[..., 0], grey_alpha[..., 1] / 255
    visible = value[alpha > 0.5]
    if visible.size == 0:
        return np.zeros_like(value)
    middle = float(np.median(visible))
    mostly_opaque = visible.size > value.size / 2
    paper = middle if mostly_opaque else 0.0 if middle > 127 else 255.0
    return np.asarray(value * alpha + np.float32(paper) * (1 - alpha), np.float32)


def looks_like_mnist(array: Grey) -> bool:
    """Tell whether a picture has MNIST's size, polarity, box and centre; all 70,000 have."""
    if array.shape != (SIDE, SIDE) or array.max() < 254 or np.count_nonzero(border(array)) >= 2 * SIDE:
        return False  # the median of the 112 pixels of the border is above 0 as soon as half of them are
    columns = SUM_AND_MOMENT @ array  # (2, 28); all exact, for sums of whole numbers stay below 2²⁴
    rows = array @ SUM_AND_MOMENT[0]
    top, bottom = span(rows)
    left, right = span(columns[0])
    total = rows.sum()
    y, x = columns[1].sum() / total, columns[0] @ SUM_AND_MOMENT[1] / total
    box_fits = BOX - 1 <= max(bottom - top, right - left) <= BOX
    return box_fits and max(abs(y - CENTRE), abs(x - CENTRE)) < 0.53  # 0.5 by rule, 0.52 in one image


def ink(array: Grey) -> Grey:
    """Return how much each pixel differs from the paper, in the direction in which the strokes do.

    The paper is the median of the border. Strokes are few and far from it, noise is even on both
    sides, so the third moment about the paper tells dark ink from bright.
    """
    difference = array - np.float32(np.median(border(array)))
    direction = np.sign(np.mean(difference.astype(np.float64) ** 3))
    return np.asarray(np.clip(difference * np.float32(direction), 0, None), np.float32)


def crop(strength: Grey) -> Grey:
    """Cut out the strokes, 0 for paper and 255 for full ink; shape (0, 0) when there is none."""
    threshold = otsu(strength)
    mask = strength > max(threshold, FAINTEST)
    if not mask.any():
        return np.zeros((0, 0), np.float32)
    top, bottom, left, right = bounds(mask)
    full = np.median(strength[mask])
    floor = threshold / 2  # keeps the soft edge of a stroke, drops the grain of the paper
    solid = np.clip((strength - floor) / (full - floor), 0, 1) * 255
    return np.asarray(solid[top:bottom, left:right], np.float32)


def shrink(strokes: Grey) -> Grey:
    """Average the strokes by area into a (20, 20) box, in the middle of a square of their longest side."""
    height, width = strokes.shape
    side = max(height, width)
    if side == 0:
        return np.zeros((BOX, BOX), np.float32)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = strokes
    weights = area_weights(side, BOX)
    box = weights @ square @ weights.T
    return np.asarray(box * np.float32(255 / max(box.max(), 1e-6)), np.float32)


def centre(box: Grey) -> Pixels:
    """Place the (20, 20) box in (28, 28) so that the centre of mass comes nearest to index 14."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    if box.max() > 0:
        y, x = centre_of_mass(box)
        top, left = (int(np.clip(round(CENTRE - at), 0, SIDE - BOX)) for at in (y, x))
        pixels[top : top + BOX, left : left + BOX] = np.rint(box)
    return pixels


def border(array: Grey) -> Grey:
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of what is true, ends excluded."""
    return *span(np.asarray(mask.any(1))), *span(np.asarray(mask.any(0)))


def span(profile: NDArray[Any]) -> tuple[int, int]:
    """Return the first index of what is not zero, and the one after the last."""
    indices = profile.nonzero()[0]
    return int(indices[0]), int(indices[-1]) + 1


def centre_of_mass(array: Grey) -> tuple[float, float]:
    """Return the mean row and column index, weighted by brightness, of an array that isn't all zero."""
    total = array.sum(dtype=np.float64)
    rows, columns = array.sum(1, dtype=np.float64), array.sum(0, dtype=np.float64)
    return float(rows @ np.arange(len(rows)) / total), float(columns @ np.arange(len(columns)) / total)


def otsu(strength: Grey) -> float:
    """Return the threshold that separates two classes best (Otsu 1979), from 256 bins."""
    high = float(strength.max())
    if high <= 0:
        return 0.0
    counts, edges = np.histogram(strength, bins=256, range=(0, high))
    below = np.cumsum(counts)  # (256,) pixels up to each bin
    sums = np.cumsum(counts * edges[:-1])
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[int(np.nanargmax(between)) + 1])


def area_weights(n: int, m: int) -> NDArray[np.float32]:
    """Return (m, n): the share of each of n source pixels in each of m target pixels."""
    edges = np.linspace(0, n, m + 1)
    index = np.arange(n)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    return np.asarray(np.clip(overlap, 0, None) * m / n, np.float32)
