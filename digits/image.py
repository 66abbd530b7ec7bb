"""Turn the bytes of a picture into the 28x28 pixels that a network reads.

    bytes -> identify -> decode -> image -> panel -> grey -> ink -> strokes of one digit -> shrink -> centre -> pixels

The target is the geometry of MNIST itself, as measured on its 70,000 images: ink bright on
black, the longest side of the digit 20 px, and the centre of mass at index 14 (not 13.5) after a
shift by whole pixels. This module knows nothing of networks, bundles or HTTP.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from digits.blocks import Block
from digits.decode import decode, identify
from digits.grey import Grey, direct, factor, grey, reduce, uncoloured
from digits.ink import (
    FAINTEST,
    SHADE,
    SMALL,
    averaged,
    differing,
    even_paper,
    evenly_lit,
    grain,
    ink,
    otsu,
    quantile,
    running,
)
from digits.panels import panels_of_digits, within_edges
from digits.parts import Mask
from digits.plain import decode_plain
from digits.resampling import MOST_SIDES, area_weights, cubic_weights
from digits.sizes import SIDE
from digits.specks import without_specks
from digits.strokes import Choice, fills, is_alone, one_digit, stroke_width
from digits.whole import shrunk

Pixels = NDArray[np.uint8]  # (28, 28), ink is 255; a batch of them is (n, 28, 28)
Box = tuple[float, float, float, float]  # left, top, width, height

BOX_SIDE = 20  # pixels on the longest side of its digit
CENTRE = 14.0  # index of its centre of mass

CUT_OUT = 24  # pixels on the longest side, below which nothing is taken away from what is in a picture
LOOK = 120  # pixels on the longest side that is looked at; a larger picture is averaged down first
PANEL = 480  # pixels on the longest side of a panel; a larger one is averaged down first
FINE = 40  # pixels on the longest side of a digit, below which it is looked at again, closer
MARGIN = 0.4  # of that side, on each side of it, when it is
CLEAR = 12.0  # standard deviations of a picture's grain, from which on a digit is seen as well as without any
GRAINS = 6.0  # the same, below which faint ink is grain
STROKE = 0.12  # of the longest side: what it is widened to
PROPORTION = 0.75  # of width to height; MNIST's mean is 0.8
FULL = 0.6  # quantile of the ink that is made fully bright
WITHIN = 0.15  # of the height of a picture, above and below a digit that does not fill it
EVENLY = 0.75  # of the strength of one part of a digit, that another has at least
SOME = 40  # of 255, from which on a pixel counts as ink there


@dataclass(frozen=True, slots=True)
class Sight:
    """What the network is given of a picture, and how that came about."""

    pixels: Pixels
    unchanged: bool = False  # because the picture has the geometry of MNIST
    inverted: bool = False  # because its ink is darker than its paper
    box: Box | None = None  # of what is in them, in pixels of the picture; None where there is no ink, and if unchanged
    shift: tuple[int, int] = (0, 0)  # of the digit from the middle of the 28x28, to the right and down
    lines: int = 0  # ruled lines and frames that were removed
    others: int = 0  # further digits that there seem to be
    contrast: float = 0.0  # between ink and paper, of 255
    side: int = BOX_SIDE  # pixels on the longest side of the box, in those of the network
    whole: Sight | None = None  # the same picture with nothing chosen or taken away, for where the network is unsure

    @property
    def scale(self) -> float:
        """Pixels of the network for each pixel of the picture."""
        return self.side / max(self.box[2:]) if self.box else 1.0


def read(data: bytes) -> Pixels:
    """Return the (28, 28) pixels of an encoded picture, which may be read-only. Raises `BadImage`."""
    return (see_plain(data) or see(identify(data))).pixels


def as_png(pixels: Pixels) -> bytes:
    """Encode (h, w) pixels, of one image or of several beside each other."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def see_plain(data: bytes) -> Sight | None:
    """Look at a plain PNG of 28x28 pixels the short way; None for any other, which is for `see`."""
    pixels = decode_plain(data)
    if pixels is None:
        return None
    return as_it_is(pixels) or beside_whole(find_digit(array := pixels.astype(np.float32)), array, (SIDE, SIDE))


def see(identified: Image.Image) -> Sight:
    """Decode and look at what was identified; a large JPEG is decoded smaller. Raises `BadImage`."""
    decoded = decode(identified)
    return enlarged(look(decoded.image), decoded.by, decoded.size)


def look(image: Image.Image) -> Sight:
    """Find the digit in a picture and bring it to MNIST's geometry; of a blank one, zeros. Raises `BadImage`.

    A picture that has this geometry already stays as it is, bit for bit.
    """
    if image.size == (SIDE, SIDE) and image.mode in ("RGB", "P"):
        image = uncoloured(image)  # three equal values may stand for one
    array = grey(image, side=LOOK)
    panels = panels_of_digits(array) if min(array.shape) >= SMALL else []
    if not panels:
        return beside_whole(look_twice(image, array), array, image.size)
    return replace(seen := look_on(panels[0], image), others=seen.others + len(panels) - 1)


def beside_whole(sight: Sight, array: Grey, size: tuple[int, int]) -> Sight:
    """Return the sight of a picture of this size with that of the whole of it, whose brightness is given.

    In this nothing is told of other digits: where the network is sure of the whole, there is hardly more than one.
    """
    if sight.box is None or not (found := shrunk(array)):
        return sight
    whole = Sight(found.pixels, inverted=found.dark, box=(0, 0, *size), contrast=found.contrast, side=found.side)
    return replace(sight, whole=whole)


def look_on(panel: Block, image: Image.Image) -> Sight:
    """Find the digit on a panel of a picture, without what is around."""
    by, inner = factor(image.size, LOOK), within_edges(panel)
    top, bottom, left, right = bounds(inner)
    x, y = by * (panel.left + left), by * (panel.top + top)
    beyond = min(x + by * (right - left), image.width), min(y + by * (bottom - top), image.height)
    within = image.crop((x, y, *beyond))
    alone = on_surface(within, inner[top:bottom, left:right])
    return moved(enlarged(look_twice(alone, grey(alone, side=LOOK)), factor(within.size, PANEL), within.size), x, y)


def on_surface(image: Image.Image, inner: Mask) -> Image.Image:
    """Return a panel, averaged down if it is large, in the colour of its surface wherever a coarse mask is false."""
    alone = reduce(direct(image), PANEL)
    inside = Image.fromarray(inner).resize(alone.size)
    surface = np.atleast_1d(np.median(np.asarray(alone)[np.asarray(inside)], axis=0))
    alone.paste(surface.item() if alone.mode == "F" else tuple(map(int, surface)), mask=ImageChops.invert(inside))
    return alone


def look_twice(image: Image.Image, array: Grey) -> Sight:
    """Find the digit in a picture whose brightness is given; a small one is looked at again, closer."""
    by = factor(image.size, LOOK)
    seen = enlarged(fit(array), by, image.size)
    if by == 1 or seen.box is None or max(seen.box[2:]) >= FINE * by:
        return seen
    left, top, right, bottom = around(seen.box, image.size)
    closer = image.crop((left, top, right, bottom))
    again = moved(enlarged(fit(grey(closer, side=LOOK)), factor(closer.size, LOOK), closer.size), left, top)
    return replace(again, lines=seen.lines, others=seen.others)  # of which less is to be seen from so near


def around(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a box with a margin, within a picture."""
    left, top, width, height = box
    margin = MARGIN * max(width, height)
    return (
        max(0, int(left - margin)), max(0, int(top - margin)),
        min(size[0], int(left + width + margin) + 1), min(size[1], int(top + height + margin) + 1),
    )  # fmt: skip


def enlarged(sight: Sight, by: float, size: tuple[int, int]) -> Sight:
    """Return a sight whose box is in pixels of a picture of this size, that was seen smaller."""
    if sight.box is None or by == 1:
        return sight
    left, top, width, height = (by * value for value in sight.box)
    right, bottom = min(left + width, size[0]), min(top + height, size[1])  # the last block may reach beyond
    whole = sight.whole and enlarged(sight.whole, by, size)
    return replace(sight, box=(left, top, right - left, bottom - top), whole=whole)


def moved(sight: Sight, x: int, y: int) -> Sight:
    if sight.box is None:
        return sight
    left, top, width, height = sight.box
    return replace(sight, box=(left + x, top + y, width, height))


def fit(array: Grey) -> Sight:
    """Return what is seen in brightnesses: these themselves, if they look like MNIST's."""
    small = array.shape == (SIDE, SIDE)  # what is fainter than one level of 255 is no ink then
    return (as_it_is(array.astype(np.uint8)) if small else None) or find_digit(array)


def as_it_is(pixels: Pixels) -> Sight | None:
    """Return a sight of (28, 28) pixels that leaves them as they are, if they look like MNIST's."""
    return as_given(pixels) if looks_like_mnist(pixels) else None


def as_given(pixels: Pixels) -> Sight:
    """Return a sight of (28, 28) pixels that leaves them as they are."""
    return Sight(pixels, unchanged=True, contrast=float(pixels.max()))


@dataclass(frozen=True)
class DigitInk:
    """The ink in a picture, and which of it is the digit."""

    strength: Grey  # (h, w), 0 for paper
    mask: Mask  # (h, w)
    threshold: float
    dark: bool  # ink that is darker than its paper
    choice: Choice

    @property
    def is_unchosen(self) -> bool:
        """Tell whether all of it is taken: no digit was looked for in it, or none was found."""
        return self.choice.mask is self.mask

    @property
    def place(self) -> tuple[slice, slice]:
        top, bottom, left, right = bounds(self.choice.mask)
        return np.s_[top:bottom, left:right]

    @property
    def margin(self) -> float:
        """Return how much paper is above the digit, or below it if that is less, as a share of the picture's height."""
        top, bottom = rows_of(self.choice.mask)
        return min(top, len(self.mask) - bottom) / len(self.mask)

    def stands_out(self, times: float) -> bool:
        """Tell whether most of the digit is so many times as strong as the grain of the picture."""
        return self.contrast >= times * grain(self.strength)

    @cached_property
    def contrast(self) -> float:
        """How strong most of the digit is; 0 if there is none."""
        ink = self.strength[self.choice.mask]
        return quantile(ink, 0.5) if ink.size else 0.0


def find_digit(array: Grey) -> Sight:
    """Find the digit in brightnesses, and bring it to MNIST's geometry."""
    if max(array.shape) < SMALL:  # a larger one is averaged instead, where its grain is strong
        array = without_specks(array)
    if CUT_OUT <= max(array.shape) < SMALL:
        return sight_of_alone(array) or enlarged(find_digit(twice(array)), 1 / 2, (array.shape[1], array.shape[0]))
    found = find_ink(array)
    if max(array.shape) >= SMALL:
        if not found.stands_out(CLEAR):
            array = averaged(array)
            found = find_ink(array)
        if found.contrast < SHADE:
            return sight_of_faint(array, found)
    return sight_of(found) if found.contrast else blank(found)


def sight_of_alone(array: Grey) -> Sight | None:
    """Return what is seen in a picture where there is nothing but a digit and its paper, which takes little time."""
    paper = even_paper(array)
    if paper is None:
        return None
    found = ink_over_threshold(*differing(array, paper))
    return sight_of(found) if is_alone(found.mask) else None


def twice(array: Grey) -> Grey:
    """Return (2h, 2w): what a small picture would be if it had been taken from nearer."""
    down, across = (cubic_weights(side, 2 * side) for side in array.shape)
    return np.asarray(np.clip(down @ array @ across.T, 0, 255), np.float32)


def sight_of_faint(array: Grey, found: DigitInk) -> Sight:
    """Look again where there may be nothing but light and grain."""
    if even_paper(array) is None:
        found = find_ink(evenly_lit(array))
    nothing = found.is_unchosen and not fills(found.mask)
    return blank(found) if nothing or not found.stands_out(GRAINS) else sight_of(found)


def blank(found: DigitInk) -> Sight:
    return Sight(np.zeros((SIDE, SIDE), np.uint8), inverted=found.dark)


def find_ink(array: Grey) -> DigitInk:
    """Find the ink, and choose what of it is the digit: all, where the picture was cut out along it."""
    paper = even_paper(array)
    all_ink = ink_over_threshold(*ink(array, paper))
    if max(array.shape) < CUT_OUT or not np.count_nonzero(all_ink.mask):
        return all_ink
    usual = replace(all_ink, choice=one_digit(all_ink.mask))
    return whole_if_cut_out(array, paper, all_ink, usual) or usual


def whole_if_cut_out(array: Grey, paper: float | None, all_ink: DigitInk, usual: DigitInk) -> DigitInk | None:
    """Return all ink of a picture that was cut out along its digit, or None.

    Strokes that are thick, or run along the border, are best told from paper that is the same everywhere; where the
    light is not, ink is what differs from what surrounds it.
    """
    flat = ink_over_threshold(*differing(array, paper))
    if usual.margin > WITHIN and not is_even(usual.choice.mask, flat):
        return None
    return next((found for found in (flat, all_ink) if fills(found.mask)), None)


def is_even(digit: Mask, flat: DigitInk) -> bool:
    """Tell whether a digit is about as strong as what else seems to be ink: the rest of its strokes, and no shadow."""
    rest = flat.strength[flat.mask & ~digit]
    if not rest.size:
        return True
    low, high = sorted((quantile(rest, 0.5), quantile(flat.strength[digit], 0.5)))
    return low >= EVENLY * high


def ink_over_threshold(strength: Grey, dark: bool) -> DigitInk:
    threshold = otsu(strength)
    mask = strength > max(threshold, FAINTEST)
    return DigitInk(strength, mask, threshold, dark, Choice(mask))


def sight_of(found: DigitInk) -> Sight:
    """Bring the digit to MNIST's geometry."""
    place, whole, contrast = found.place, found.mask.shape, found.contrast
    chosen = found.choice.mask[place]
    strokes = solid(found.strength[place], found.threshold / 2, contrast)
    if not found.is_unchosen:
        strokes[found.mask[place] & ~chosen] = 0
    ink_alone = thicken(strokes, chosen)
    pixels, shift = centre(shrink(narrowed(ink_alone) if chosen.shape == whole else ink_alone))
    box = (place[1].start, place[0].start, chosen.shape[1], chosen.shape[0])
    return Sight(
        pixels,
        inverted=found.dark,
        box=box,
        shift=shift,
        lines=found.choice.lines,
        others=found.choice.others,
        contrast=contrast,
    )


def looks_like_mnist(pixels: Pixels) -> bool:
    """Tell whether (28, 28) pixels have MNIST's polarity, box and centre; all of its 70,000 images have.

    Bytes are asked where they can tell: each call of NumPy costs more than what it does here.
    """
    flat = pixels.tobytes()
    bright = 255 in flat or 254 in flat
    if not bright or not BOX_SIDE - 1 <= max(rows_with_ink(flat), rows_with_ink(pixels.T.tobytes())) <= BOX_SIDE:
        return False  # also where the paper is bright, which leaves no such box
    y, x = centre_of_mass(pixels)
    return max(abs(y - CENTRE), abs(x - CENTRE)) < 0.53  # 0.5 by rule, 0.52 in one image


def rows_with_ink(flat: bytes) -> int:
    """Return how many rows of 28 pixels lie between the first ink and the last."""
    return -(-len(flat.rstrip(b"\0")) // SIDE) - (len(flat) - len(flat.lstrip(b"\0"))) // SIDE


def solid(strength: Grey, floor: float, full: float) -> Grey:
    """Return 0 for paper and 255 for full ink; keeps the soft edge of a stroke, drops the grain of the paper."""
    return np.asarray(np.minimum(np.maximum((strength - floor) / (full - floor), 0), 1) * 255, np.float32)


def thicken(strokes: Grey, mask: Mask) -> Grey:
    """Widen strokes that are thinner than MNIST's: a fine pen, drawn on something large."""
    missing = round(STROKE * max(mask.shape) - stroke_width(mask))
    if missing < 1:
        return strokes
    height, width = strokes.shape
    wide = np.zeros((height + 2 * missing, width + 2 * missing), strokes.dtype)  # np.pad takes ten times as long
    wide[missing : missing + height, missing : missing + width] = strokes
    for _ in (0, 1):
        wide = running(np.maximum, wide, missing + 1).T
    top, bottom, left, right = bounds(wide > min(127, wide.max() / 2))  # in faint strokes nothing is above 127
    return np.asarray(wide[top:bottom, left:right])


def narrowed(strokes: Grey) -> Grey:
    """Narrow strokes that touch all four borders to the usual proportions of a digit: their true ones are unknown."""
    height, width = strokes.shape
    target = round(PROPORTION * height)
    if width <= target:
        return strokes
    return np.asarray(strokes @ area_weights(width, target).T, np.float32)


def shrink(strokes: Grey) -> Grey:
    """Average the strokes by area into a (20, 20) box, in the middle of a square of their longest side.

    Between the pixels of smaller ones is interpolated by cubics: linear interpolation blurs the strokes.
    """
    height, width = strokes.shape
    side = max(height, width)
    if side == 0:
        return np.zeros((BOX_SIDE, BOX_SIDE), np.float32)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = strokes
    weights = area_weights(side, BOX_SIDE) if side >= BOX_SIDE else cubic_weights(side, BOX_SIDE)
    return brighten(np.maximum(weights @ square @ weights.T, 0))  # beside an edge, cubics fall below 0


def brighten(box: Grey) -> Grey:
    """Make most of the ink fully bright, as it is in MNIST, however thin the strokes."""
    some = box[box > min(SOME, box.max() / 2)]
    return np.asarray(np.minimum(box * np.float32(255 / max(quantile(some, FULL), 1e-6)), 255), np.float32)


def centre(box: Grey) -> tuple[Pixels, tuple[int, int]]:
    """Place the (20, 20) box in (28, 28) so that the centre of mass comes nearest to index 14; tells the shift."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    if not np.count_nonzero(box):
        return pixels, (0, 0)
    y, x = centre_of_mass(box)
    top, left = (min(max(round(CENTRE - at), 0), SIDE - BOX_SIDE) for at in (y, x))
    pixels[top : top + BOX_SIDE, left : left + BOX_SIDE] = np.rint(box)
    middle = (SIDE - BOX_SIDE) // 2
    return pixels, (left - middle, top - middle)


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of what is true, ends excluded."""
    return *rows_of(mask), *rows_of(mask.T)


def rows_of(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first row in which anything is true, and the one after the last; NumPy's `any` takes twice as long."""
    flat, width = mask.tobytes(), mask.shape[1]
    return flat.find(1) // width, flat.rfind(1) // width + 1


def centre_of_mass(array: Grey | Pixels) -> tuple[float, float]:
    """Return the mean row and column index, weighted by brightness, of an array that isn't all zero."""
    h, w = array.shape
    (total, across), (down, _) = (sum_and_moment(h) @ array.astype(np.float64) @ sum_and_moment(w).T).tolist()
    return down / total, across / total


@lru_cache(MOST_SIDES)
def sum_and_moment(n: int) -> NDArray[np.float64]:
    """Return (2, n) to multiply n values with: their sum, and the sum of each times its index."""
    return np.stack([np.ones(n), np.arange(n)])
