"""Find the ink on a paper: brightness to strength, whatever the light, the paper and the pen.

    grey -> is the ink dark? -> how far each pixel stands out from the paper around it -> threshold

Strength is (h, w) of float32, 0 for paper. This module knows what strokes are, and nothing
of which digit they make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.grey import Grey
from digits.parts import Mask, components

Window = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]  # np.maximum or np.minimum

FAINTEST = 2.0  # of 255, below which a difference from the paper is rounding, not ink
SMALL = 40  # pixels on the longest side, below which the paper is taken to be even, and strokes may fill it
EVEN = 0.8  # share of a border that is alike where it is paper all around
FLAT, CLEAN = 0.15, 0.95  # of what is alike on even paper, and the share of a border that is so near on flat paper
SPREAD = 0.4  # share of a picture that is alike where it is the paper
ALIKE = 0.15  # of the range of brightness
HALF = 0.2  # share of a picture, more or less than half, that is bright where ink cannot be told by being rare
NEARLY_HALF = 0.1  # the same, where it can be told by hanging together
PRIOR = 3.0  # how much more often people write dark on light, where their paper isn't even
DIM = 48.0  # of 255: paper that is darker than this is too dark to tell its shadows from ink
THIN = 0.15  # of the longest side: no stroke of a digit is thicker where there is paper around it
STROKES = (0.02, 0.04, 0.08, 0.16)  # of the shorter side of a sheet: strokes are thinner than what they enclose
PEAK = 50  # pixels that stand out at least as far as is said
CLEAR = 0.6  # of the contrast of thin strokes, from which on they are seen
THICK = 0.25  # of the longest side: what is thicker is no ink, but shadow, or table; of a sheet's shorter one
WIDE = 0.06  # of a sheet's longer side, if that is more
MOST_SHAPES = 32  # whose borders are kept, some 100 kB each at most
COARSE = 48  # pixels on the longest side, at which light is looked at
DEGREE = 4  # of the polynomial that is taken for light
MOSTLY = 0.7  # of a picture: what is farther from the light is written, or beside the paper
GRAIN = 6  # pixels, the side of the blocks in which grain is measured
PAPER = 0.2  # share of these that have no ink on them at least, however close a picture is cut
SHADE = 32.0  # of 255, below which what stands out may be light that falls off towards an edge


def ink(grey: Grey, paper: float | None) -> tuple[Grey, bool]:
    """Return the strength of the ink of one digit, and whether it is darker than the paper, which is `even_paper`.

    That is how far a pixel is from flat paper, however blurred; else how far from what is around it.
    """
    if max(grey.shape) < SMALL or (paper is not None and is_flat(grey, paper)):
        return differing(grey, paper)
    dark = is_dark(grey, paper)
    return (absorbed(grey) if dark else standing_out(-grey)), dark


def is_flat(grey: Grey, paper: float) -> bool:
    """Tell whether nearly all of the border is as bright as the paper: a drawing or a clean scan, and no light."""
    return alike(edges(grey), paper, FLAT * reach(grey)) > CLEAN


def is_dark(grey: Grey, paper: float | None) -> bool:
    """Tell whether ink is darker than its paper, by what differs from this where it is even, or lit from one side."""
    if paper is not None:
        return differing(grey, paper)[1]
    levelled = level(grey)
    paper = even_paper(levelled)
    if paper is None or alike(levelled, paper, reach(levelled)) < alike(grey, quantile(grey, 0.5), reach(grey)):
        return thin_is_dark(grey)  # what the border differs in is not the light, but a frame on some sides
    return differing(levelled, paper)[1]


def ink_on_sheet(grey: Grey, dim: float = DIM) -> Grey:
    """Return the strength of the ink of whole lines of writing; what is darker than `dim` is no paper in shadow.

    Its strokes are thin beside the shorter side of the sheet, whose border says little of the paper.
    """
    short, long = sorted(grey.shape)
    thick = max(THICK * short / long, WIDE)
    dark = thinnest_is_dark(grey, [share * short / long for share in STROKES])
    return absorbed(grey, thick, dim) if dark else standing_out(-grey, thick)


def even_paper(grey: Grey) -> float | None:
    """Return the brightness of the paper, if it is the same nearly all around, and within: not a frame."""
    border = edges(grey)
    paper, near = quantile(border, 0.5), reach(grey)
    return paper if alike(border, paper, near) > EVEN and alike(grey, paper, near) > SPREAD else None


def reach(grey: Grey) -> float:
    """Return by how much brightnesses of a picture differ that are alike."""
    return float(ALIKE * (grey.max() - grey.min()))


def alike(area: Grey, paper: float, near: float) -> float:
    """Return the share of an area that is about as bright as its paper."""
    return np.count_nonzero(np.abs(area - paper) < near) / area.size


def differing(grey: Grey, paper: float | None) -> tuple[Grey, bool]:
    """Return how far each pixel is from the paper, on the side of the strokes; `paper` is `even_paper`.

    Where strokes or a frame take the border up, the paper is what is in the corners, or what they part, or the median.
    Strokes are few and far from it, noise is even on both sides, so the third moment about the
    paper tells dark ink from bright.
    """
    if paper is None:
        paper = corner_paper(grey)
    if paper is None:
        paper = parted_paper(grey)
    if paper is None:
        paper = quantile(grey, 0.5)
    difference = grey - np.float32(paper)
    direction = np.sign((difference * difference * difference).sum(dtype=np.float64))
    return np.asarray(np.maximum(difference * np.float32(direction), 0), np.float32), bool(direction < 0)


def corner_paper(grey: Grey) -> float | None:
    """Return what is in the corners, if they agree, of a picture of which about half is ink: a digit leaves these."""
    bright, corners = bright_half(grey, HALF), ([0, 0, -1, -1], [0, -1, 0, -1])
    if bright is None or len(np.unique(bright[corners])) > 1:
        return None
    return float(np.median(grey[corners]))


def parted_paper(grey: Grey) -> float | None:
    """Return what is in more parts, of a picture half of which is ink: strokes hang together, and part their paper."""
    bright = bright_half(grey, NEARLY_HALF)
    if bright is None:
        return None
    dark_parts, bright_parts = (len(components(mask)[1]) for mask in (~bright, bright))
    if dark_parts == bright_parts:
        return None
    return quantile(grey[bright == (bright_parts > dark_parts)], 0.5)


def bright_half(grey: Grey, most: float) -> Mask | None:
    """Return where a picture is brighter than the middle of its range, if that is half of it, `most` more or less."""
    bright = grey > (float(grey.min()) + float(grey.max())) / 2
    return bright if abs(float(bright.mean()) - 0.5) <= most else None


def level(grey: Grey) -> Grey:
    """Take away the plane that lies closest to most of the border: light that falls from one side."""
    h, w = grey.shape
    y, x = np.linspace(-1, 1, h, dtype=np.float32), np.linspace(-1, 1, w, dtype=np.float32)
    border = edges(grey).astype(np.float64)
    at = np.stack([np.ones_like(border), edges(np.repeat(y[:, None], w, 1)), edges(np.repeat(x[None], h, 0))], 1)
    used = np.ones(len(border), bool)
    plane = np.zeros(3)
    for _ in range(3):
        plane = np.linalg.lstsq(at[used], border[used], rcond=None)[0]
        distance = np.abs(border - at @ plane)
        used = distance <= quantile(distance, 0.7)
    return np.asarray(grey - plane[1] * y[:, None] - plane[2] * x, np.float32)


def evenly_lit(grey: Grey) -> Grey:
    """Take away the smooth surface that lies closest to most of a picture: light that falls off towards its edges."""
    coarse = np.asarray(Image.fromarray(grey).reduce(-(-max(grey.shape) // COARSE)), np.float64)
    down, across = np.nonzero(np.add.outer(range(DEGREE + 1), range(DEGREE + 1)) <= DEGREE)
    y, x = (powers(length) for length in coarse.shape)
    terms, brightness = (y[:, np.newaxis, down] * x[:, across]).reshape(coarse.size, -1), coarse.ravel()
    used = np.ones(coarse.size, bool)
    for _ in range(3):
        shares = np.linalg.lstsq(terms[used], brightness[used], rcond=None)[0]
        distance = np.abs(brightness - terms @ shares)
        used = distance <= quantile(distance, MOSTLY)
    surface = np.zeros((DEGREE + 1, DEGREE + 1))
    surface[down, across] = shares
    surface[0, 0] = 0  # the paper stays as bright as it is in the middle
    light = powers(grey.shape[0]) @ surface @ powers(grey.shape[1]).T
    return np.asarray(np.clip(grey - light, 0, 255), np.float32)


def powers(length: int) -> NDArray[np.float64]:
    """Return (length, DEGREE + 1): the powers of where each pixel of a side lies, from -1 to 1."""
    return np.vander(np.linspace(-1, 1, length), DEGREE + 1, increasing=True)


def averaged(grey: Grey) -> Grey:
    """Return the mean of the 3 x 3 pixels around each; beyond the border is what is at it."""
    for _ in range(2):
        tall = np.concatenate([grey[:1], grey, grey[-1:]])
        grey = (tall[:-2] + tall[1:-1] + tall[2:]).T / np.float32(3)
    return np.ascontiguousarray(grey)


def thin_is_dark(grey: Grey) -> bool:
    """Tell whether what is thin, away from the border, is dark rather than bright.

    Where the border isn't paper, it says nothing of the paper. Strokes are thinner than what they enclose.
    """
    dark, bright = thin_of_both(grey, THIN)
    return PRIOR * third_moment(dark) >= third_moment(bright)


def thinnest_is_dark(grey: Grey, shares: Sequence[float]) -> bool:
    """Tell whether strokes on a sheet are dark; `shares` are widths of strokes, of the longest side.

    Compare dark and bright structures twice: by thickness and by contrast with the paper around. Use the smallest
    stroke width that shows most of the contrast. Log brightness makes shadow nearly irrelevant.
    """
    light = np.log1p(np.clip(grey, 0, 255) / np.float32(DIM)) * np.float32(255 / math.log1p(255 / DIM))
    far = CLEAR * peak(thin_of_both(light, shares[-1]))  # the widest: what stands out in less does in more, too
    dark, bright = next(pair for share in shares if peak(pair := thin_of_both(light, share)) >= far)
    away = paper_around(light) - light
    below, above = np.clip(away, 0, None), np.clip(-away, 0, None)
    return PRIOR * third_moment(dark) * third_moment(below) >= third_moment(bright) * third_moment(above)


def peak(pair: tuple[Grey, Grey]) -> float:
    """Return how far the `PEAK` pixels that stand out most do so at least, be they dark or bright."""
    return max(float(np.partition(strength, -PEAK, None)[-PEAK]) for strength in pair)


def paper_around(grey: Grey) -> Grey:
    """Return the median of the neighbourhood of each pixel, of tiles half as high as a sheet is, and between them."""
    h, w = grey.shape
    side = max(1, min(h, w) // 2)
    rows, columns = (max(1, round(length / side)) for length in (h, w))
    strips = [np.array_split(strip, columns, axis=1) for strip in np.array_split(grey, rows)]
    medians = np.array([[np.median(tile) for tile in strip] for strip in strips], np.float32)
    return np.asarray(Image.fromarray(medians).resize((w, h), Image.Resampling.BILINEAR), np.float32)


def thin_of_both(grey: Grey, share: float) -> tuple[Grey, Grey]:
    """Return how far what is thinner than a share stands out, away from the border, dark and bright."""
    h, w = grey.shape
    inner = np.s_[h // 10 : h - h // 10, w // 10 : w - w // 10]
    return standing_out(grey, share)[inner], standing_out(-grey, share)[inner]


def third_moment(strength: Grey) -> float:
    return float((strength * strength * strength).sum(dtype=np.float64))


def absorbed(grey: Grey, share: float = THICK, dim: float = DIM) -> Grey:
    """Return which share of its paper's light each pixel lacks, of 255: ink is as strong in shadow as beside it."""
    missing = standing_out(grey, share)
    return np.asarray(255 * missing / np.maximum(grey + missing, np.float32(dim)), np.float32)


def standing_out(grey: Grey, share: float = THICK) -> Grey:
    """Return how much darker each pixel is than what is around it: grey-scale closing, minus the picture.

    (Serra 1982; "black top hat".) Whatever is wider than `share` of the longest side counts as paper.
    """
    width = int(max(grey.shape) * share) | 1
    closed = within(np.minimum, within(np.maximum, grey, width), width)
    return np.asarray(closed - grey, np.float32)


def within(extreme: Window, array: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the extreme of the square of an odd `width` around each element of (h, w)."""
    beside = width // 2
    across = along_rows(extreme, array, width)
    tall = np.concatenate([across[:1].repeat(beside, 0), across, across[-1:].repeat(beside, 0)])
    return running(extreme, tall.T, width).T  # with columns as rows, in the order in which they lie in memory


def along_rows(extreme: Window, array: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the extreme of the odd `width` elements around each, in its own row."""
    h, w = array.shape
    beside = width // 2
    wide = np.empty((h, w + 2 * beside), array.dtype)
    wide[:, :beside], wide[:, beside : beside + w], wide[:, beside + w :] = array[:, :1], array, array[:, -1:]
    return running(extreme, wide, width)


def running(extreme: Window, array: NDArray[Any], width: int) -> NDArray[Any]:
    """Return (h, w - width + 1): the extreme of `width` elements from each on, in its own row."""
    span = 1
    while 2 * span <= width:  # each element is the extreme of so many from itself on
        array = extreme(array[:, :-span], array[:, span:])
        span *= 2
    rest = width - span
    return extreme(array[:, :-rest], array[:, rest:]) if rest else array


def edges(array: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels of the border of (h, w), those in the corners twice."""
    return array.take(places_of_edges(*array.shape))


@lru_cache(MOST_SHAPES)
def places_of_edges(height: int, width: int) -> NDArray[np.intp]:
    """Return the indices of the border in the flat (height, width): quicker to take than four edges to put together."""
    places = np.arange(height * width).reshape(height, width)
    return np.concatenate([places[0], places[-1], places[:, 0], places[:, -1]])


def otsu(strength: Grey) -> float:
    """Return the threshold that separates two classes best (Otsu 1979), from 256 bins."""
    high = float(strength.max())
    if high <= 0:
        return 0.0
    counts = np.bincount((strength * np.float32(255.99 / high)).astype(np.uint8).ravel())
    used = counts.nonzero()[0]  # bins; between two of them, a threshold may be anywhere
    if len(used) == 1:
        return float(strength.min())
    shares = counts[used].astype(np.float64)  # whole numbers still, that need no conversion at each step
    sums = (shares * used).cumsum()  # of the bins of all pixels up to each bin
    below = shares.cumsum()[:-1]
    moment = strength.size * sums[:-1] - sums[-1] * below
    best = (moment * moment / (below * (strength.size - below))).argmax()
    return int(used[best] + used[best + 1] + 1) / 2 * high / 256


def grain(strength: Grey) -> float:
    """Return the standard deviation of (h, w) strengths in small blocks: what a share of these, `PAPER`, stays below.

    It is 0.5 at least, as rounding alone makes it, or if there is no whole block.
    """
    height, width = (side // GRAIN * GRAIN for side in strength.shape)
    blocks = strength[:height, :width].reshape(height // GRAIN, GRAIN, width // GRAIN, GRAIN)
    return max(quantile(blocks.std((1, 3)), PAPER), 0.5) if blocks.size else 0.5


def quantile(values: NDArray[Any], share: float) -> float:
    """Return the value below which a share of the others lies; NumPy's own takes ten times as long for few."""
    at = int(share * (values.size - 1))
    flat = values.flatten()
    flat.partition(at)
    return float(flat[at])
