"""Vary training images as pens, hands and scanners do, so that the network reads more than MNIST.

    pixels -> thinner or thicker -> slanted, stretched, bent -> blurred, smaller, coarser
           -> fainter or fuller -> hidden in part -> noisy -> floats

Each step takes (n, 28, 28) floats and returns such, in [0, 1] at both ends. All chance comes from the
generator that is given. Arrays are NumPy's, or those of any library with its names and the array API
(JAX), for a device varies a whole epoch in the time that the processor takes for a batch. What is varied
is what other collections of digits differ in: the slant and the proportions, the width of strokes, the
number of dots. The ranges were chosen by eye and by the validation set; none was searched for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits.image import BOX_SIDE, Pixels
from digits.resampling import area_weights, cubic_weights
from digits.sizes import SIDE

Floats = Any  # (n, 28, 28) float32 in [0, 1], or what its comment says, of NumPy or of a library like it

MIDDLE = 13.75  # index about which images are turned, near their centre of mass
TURN = 7.0  # degrees, standard deviation; 20 at most
SLANT = 0.3  # columns a row, at most
GROWTH = (-0.22, 0.10)  # of the logarithm of the size
ASPECT = 0.22  # of its logarithm, at most, in each direction
BEND = 0.9  # pixels, standard deviation, at each of 5 x 5 points
STRETCHED = 0.3  # share of images that fill their box whatever their proportions, as some scanners leave them
BLURRED = 0.2  # share that is seen out of focus, or small, and has broad soft strokes for it
FEW_DOTS = 0.15  # share that is seen in few grey dots, as small pictures are
DOTS = (9, 20)  # so many on each side of the image, which has 28; of a digit, 20/28 of these
COARSE = 0.25  # share that is seen in coarse dots, black or white
NOISY, NOISE = 0.1, 0.08  # share with noise, and its standard deviation at most
GAMMA = 0.4  # of its logarithm, at most


@dataclass(frozen=True, slots=True)
class Variation:
    """Which images are varied, and how far."""

    share: float  # of the images that are varied at all
    strength: float  # 1: as far, and as often, as the constants above say
    hidden: float  # share of the varied ones of which a part is hidden
    moved: float  # pixels, up to which they are moved at strength 1
    patch: int  # pixels, the side of a square of paper that hides a part


class Chance(Protocol):
    """What is asked of chance; a `numpy.random.Generator` is one."""

    def random(self, size: Any, /) -> Any: ...
    def uniform(self, low: float, high: float, size: Any, /) -> Any: ...
    def normal(self, mean: float, deviation: float, size: Any, /) -> Any: ...
    def integers(self, low: int, high: int, size: Any, /) -> Any: ...


def augment(pixels: Pixels, random: Chance, variation: Variation) -> Floats:
    """Return (n, 28, 28) pixels as floats, a share of them varied; the others as what is served mostly looks."""
    plain = pixels.astype(np.float32) / np.float32(255)
    if not variation.share:
        return plain
    strength = variation.strength
    varied = bend(vary_strokes(plain, random, strength), extents(pixels), random, strength, variation.moved)
    varied = reduce(lambda seen, step: step(seen, random, strength), (blur, downscale, coarsen, vary_ink), varied)
    varied = add_noise(hide(varied, random, variation.hidden, variation.patch), random, strength)
    return namespace_of(plain).where(among(len(pixels), variation.share, random), varied, plain)


def namespace_of(x: Any) -> Any:
    """Return the array namespace of x: NumPy, or jax.numpy."""
    return x.__array_namespace__()


def as_pixels(varied: Floats) -> Any:
    return namespace_of(varied).rint(varied * 255).astype(np.uint8)


def among(n: int, share: float, random: Chance) -> Any:
    """Return (n, 1, 1), true for about a share of n."""
    return random.random((n, 1, 1)) < share


def floats(low: float, high: float, n: int, random: Chance) -> Floats:
    """Return (n, 1, 1) float32 between two bounds."""
    return random.uniform(low, high, (n, 1, 1)).astype(np.float32)


def shifted(x: Floats, down: int, right: int) -> Floats:
    """Move images by a pixel at most in each direction; paper follows."""
    padded = namespace_of(x).pad(x, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - down : 1 - down + SIDE, 1 - right : 1 - right + SIDE]


def cross(x: Floats) -> list[Floats]:
    """Return each pixel and its four neighbours."""
    return [x, *(shifted(x, *step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1)))]


def binomial(x: Floats) -> Floats:
    """Weigh each pixel by 4, its neighbours by 2, those at the corners by 1."""
    rows = (shifted(x, -1, 0) + 2 * x + shifted(x, 1, 0)) * np.float32(1 / 4)
    return (shifted(rows, 0, -1) + 2 * rows + shifted(rows, 0, 1)) * np.float32(1 / 4)


def vary_strokes(x: Floats, random: Chance, strength: float) -> Floats:
    """Make strokes wider in three of ten images, and finer in two, by up to half a pixel on both sides."""
    xp, n = namespace_of(x), len(x)
    which, much = random.random((n, 1, 1)), floats(0, strength / 2, n, random)
    around = cross(x)
    wider, finer = reduce(xp.maximum, around), reduce(xp.minimum, around)
    thinned = xp.where(which < 0.5, x + np.float32(0.7) * much * (finer - x), x)
    return xp.where(which < 0.3, x + much * (wider - x), thinned)


def extents(pixels: Pixels) -> Any:
    """Return (n, 2): how many rows and columns of each image have ink."""
    rows, columns = pixels.max(2) > 60, pixels.max(1) > 60
    return namespace_of(pixels).stack([SIDE - row.argmax(1) - row[:, ::-1].argmax(1) for row in (rows, columns)], 1)


def bend(x: Floats, extent: Any, random: Chance, strength: float, moved: float) -> Floats:
    """Turn, slant, stretch, move and bend images (Simard, Steinkraus and Platt 2003)."""
    n = len(x)
    grid = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) - MIDDLE  # (2, 784): row and column of each target pixel
    turned = origins(scales(extent, random, strength), random, strength) @ grid
    places = turned + MIDDLE + strength * random.uniform(-moved, moved, (n, 2, 1))
    between = line_weights(5)  # (28, 5)
    field = between @ random.normal(0, strength * BEND, (n, 2, 5, 5)) @ between.T
    return sample(x, places + field.reshape(n, 2, -1))


def scales(extent: Any, random: Chance, strength: float) -> Any:
    """Return (n, 2) factors for rows and columns; a share makes the digit fill its box."""
    xp, n = namespace_of(extent), len(extent)
    size, aspect = strength * random.uniform(*GROWTH, n), strength * random.uniform(-ASPECT, ASPECT, n)
    free = [xp.minimum(xp.exp(factor), 1.25) for factor in (size - aspect, size + aspect)]
    high, wide = random.uniform(0.8, 1.05, n) * BOX_SIDE, random.uniform(0.55, 1.05, n) * BOX_SIDE
    rows, columns = xp.maximum(extent, 3).T
    filling = [high / rows, xp.clip(wide / columns, free[1], 5)]  # a 1 may become a block, and none gets narrower
    return xp.where(among(n, strength * STRETCHED, random)[:, 0], xp.stack(filling, 1), xp.stack(free, 1))


def origins(scale: Any, random: Chance, strength: float) -> Any:
    """Return (n, 2, 2) matrices from where a pixel shall be to where it comes from."""
    xp, n = namespace_of(scale), len(scale)
    angle = strength * xp.radians(xp.clip(random.normal(0, TURN, n), -20, 20))
    slant = strength * random.uniform(-SLANT, SLANT, n)
    cos, sin = xp.cos(angle), xp.sin(angle)
    turned = xp.stack([cos, sin, slant * cos - sin, cos + slant * sin], 1).reshape(n, 2, 2)
    return turned / scale[:, np.newaxis]


def line_weights(points: int) -> NDArray[np.float64]:
    """Return (28, points): how much of each of some points, evenly spread, each of 28 pixels takes (linear)."""
    at = np.linspace(0, points - 1, SIDE)[:, np.newaxis]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(points)), 0, None))


def sample(x: Floats, places: Any) -> Floats:
    """Return the images at (n, 2, 784) places between their pixels, bilinearly; around them is paper."""
    xp, n, wide = namespace_of(x), len(x), SIDE + 3
    flat = xp.pad(x, ((0, 0), (1, 2), (1, 2))).reshape(-1)
    rows, columns = (xp.clip(places[:, axis], -1, SIDE) + 1 for axis in (0, 1))
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    first = np.arange(n, dtype=np.int32)[:, np.newaxis] * wide**2 + top * wide + left
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + wide] * (1 - right) + flat[first + wide + 1] * right
    return (upper * (1 - down) + lower * down).reshape(x.shape)


def blur(x: Floats, random: Chance, strength: float) -> Floats:
    """Blur a share of the images, and make their ink bright again, more or less."""
    xp, n = namespace_of(x), len(x)
    soft = sum(shifted(x, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) * np.float32(1 / 9)
    bright = xp.minimum(soft * floats(1, 2, n, random), 1)
    return xp.where(among(n, strength * BLURRED, random), bright, x)


def downscale(x: Floats, random: Chance, strength: float) -> Floats:
    """See a share of the images in few dots, enlarged as the kernel enlarges small pictures."""
    xp, n = namespace_of(x), len(x)
    weights = xp.asarray(through_dots())[random.integers(0, DOTS[1] - DOTS[0] + 1, n)]  # (n, 28, 28)
    few = weights @ x @ weights.swapaxes(1, 2)
    few = few / xp.maximum(few.max((1, 2), keepdims=True), 0.1)
    paper, ink = floats(0, 0.25, n, random), floats(0.6, 1, n, random)  # what the kernel takes for none, and for full
    return xp.where(among(n, strength * FEW_DOTS, random), xp.clip((few - paper) / (ink - paper), 0, 1), x)


def through_dots() -> NDArray[np.float32]:
    """Return (m, 28, 28) matrices for each number of dots: what each row looks like when seen in so many."""
    return np.stack([cubic_weights(dots, SIDE) @ area_weights(SIDE, dots) for dots in range(DOTS[0], DOTS[1] + 1)])


def coarsen(x: Floats, random: Chance, strength: float) -> Floats:
    """See a share of the images in dots that are black or white, half of them blurred again."""
    xp, n = namespace_of(x), len(x)
    dots = (binomial(x) > random.uniform(0.25, 0.6, (n, 1, 1))).astype(np.float32)
    seen = xp.where(among(n, 0.5, random), dots, binomial(dots))
    return xp.where(among(n, strength * COARSE, random), seen, x)


def vary_ink(x: Floats, random: Chance, strength: float) -> Floats:
    xp = namespace_of(x)
    return xp.clip(x, 0, 1) ** xp.exp(floats(-strength * GAMMA, strength * GAMMA, len(x), random))


def hide(x: Floats, random: Chance, share: float, side: int) -> Floats:
    """Lay a square of paper on a share of the images (DeVries and Taylor 2017), where MNIST has ink."""
    n = len(x)
    corner = random.integers(4, SIDE - 4 - side + 1, (2, n, 1))
    rows, columns = (corner <= np.arange(SIDE)) & (np.arange(SIDE) < corner + side)  # (n, 28) each
    patch = rows[:, :, np.newaxis] & columns[:, np.newaxis] & among(n, share, random)
    return namespace_of(x).where(patch, np.float32(0), x)


def add_noise(x: Floats, random: Chance, strength: float) -> Floats:
    """Add what a camera adds in poor light to a share of the images."""
    xp, n = namespace_of(x), len(x)
    noise = floats(0, NOISE, n, random) * random.normal(0, 1, x.shape).astype(np.float32)
    return xp.where(among(n, strength * NOISY, random), xp.clip(x + noise, 0, 1), x)
