"""Picture of any mode to brightness, along the colour in which ink and paper differ.

Knows nothing of strokes: what comes out is a picture still, (h, w) of float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.errors import BadImage

HUGE = 1e30  # float32 can hold the sum of as many of these as a picture may have pixels

Grey = NDArray[np.float32]  # (h, w) in 0...255


def grey(image: Image.Image, *, side: int) -> Grey:
    """Return (h, w) brightness in 0...255, no side longer than `side`; transparency becomes plain paper.

    A longer one is averaged down by a whole factor. Raises `BadImage`.
    """
    sixteen_bits = image.mode.startswith("I;16")
    image = reduce(direct(image), side)
    if sixteen_bits:
        return np.asarray(image, np.float32) / np.float32(257)
    if image.mode in ("I", "F"):  # 32 bits a pixel: no range is declared, so take the one that is used
        return stretch(finite(np.array(image, np.float64)))
    if image.mode == "RGBA":
        return on_paper(np.asarray(image.convert("LA"), np.float32))
    if image.mode == "RGB":
        return contrast(np.asarray(image, np.float32))
    return np.asarray(image, np.float32)


def uncoloured(image: Image.Image) -> Image.Image:
    """Return a picture in grey, as eyes weigh its colours; one that is transparent stays so. Raises `BadImage`."""
    coloured = direct(image)
    return coloured.convert("L") if coloured.mode == "RGB" else coloured


def brightness(colours: bytes) -> bytes:
    """Return a byte of grey for each three of red, green and blue; as `uncoloured` does."""
    red = colours[::3]
    if red == colours[1::3] == colours[2::3]:
        return red
    return Image.frombytes("RGB", (len(red), 1), colours).convert("L").tobytes()


def direct(image: Image.Image) -> Image.Image:
    """Return the picture in a mode whose values are brightnesses that can be averaged. Raises `BadImage`."""
    try:
        return averageable(image)
    except MemoryError:  # which says nothing of the picture
        raise
    except Exception as exc:  # a palette that the file only promises, say
        raise BadImage("broken", "the colours of the image cannot be read") from exc


def averageable(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode in ("F", "I"):  # whose whole numbers overflow where they are added up
        return moderate(image.convert("F"))
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def moderate(image: Image.Image) -> Image.Image:
    """Bring numbers near the end of float32 down, so that sums of them can be averaged."""
    largest = float(np.abs(np.asarray(image.getextrema(), np.float64)).max())
    return image if largest <= HUGE else image.point(lambda value: value * 1e-6 + 0)  # also where it is no number


def factor(size: tuple[int, int], side: int) -> int:
    """Return by which whole number to divide a picture's sides so that none is longer than `side`."""
    return -(-max(size) // side)


def reduce(image: Image.Image, side: int) -> Image.Image:
    by = factor(image.size, side)
    return image.reduce(by) if by > 1 else image


def contrast(colours: NDArray[np.float32]) -> Grey:
    """Return (h, w) for (h, w, 3): the mixture of red, green and blue that varies most, as its first component.

    A red pen on white paper differs from it in green and blue, a pale one on brown paper in blue.
    """
    red, green, blue = (colours[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(red)
    flat = colours.reshape(-1, 3)
    paper = np.median(flat[:: max(1, len(flat) // 4096)], axis=0)
    rows = colours.reshape(len(colours), -1)  # to subtract from whole ones takes a tenth of what three at a time do
    difference = (rows - np.tile(paper, colours.shape[1])).reshape(-1, 3)
    axis = np.linalg.eigh(difference.T @ difference)[1][:, -1]
    weights = axis * (np.sign(axis.sum()) or 1.0) / np.abs(axis).sum()
    mixed = flat @ weights.astype(np.float32)
    return np.asarray((mixed - min(float(mixed.min()), 0.0)).reshape(colours.shape[:2]), np.float32)


def finite(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put what most pixels hold, paper probably, in place of what is no number."""
    known = np.isfinite(array)
    array[~known] = np.median(array[known]) if known.any() else 0.0
    return array


def stretch(array: NDArray[np.float64]) -> Grey:
    low, high = array.min(), array.max()
    return np.asarray((array - low) * (255 / max(high - low, 1e-300)), np.float32)


def on_paper(grey_alpha: NDArray[Any]) -> Grey:
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
