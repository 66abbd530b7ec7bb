"""Vary training images as pens, hands and scanners do, so that the network reads more than MNIST.

    pixels -> thinner or thicker -> slanted, stretched, bent -> blurred, coarser -> fainter or fuller
           -> hidden in part -> noisy -> floats

Every function takes and returns (n, 28, 28) floats in [0, 1]. All chance comes from the generator
that is given. What is drawn here is what other collections of digits differ in: the slant and the
proportions, the width of strokes, the number of dots. The ranges were chosen by looking at results,
and by the validation set; none was fitted to anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digits.image import BOX, SIDE, Pixels

Floats = NDArray[np.float32]  # (n, 28, 28) in [0, 1], or what its comment says

MIDDLE = 13.75  # index about which images are turned, near their centre of mass
TURN = 7.0  # degrees, standard deviation; 20 at most
SLANT = 0.3  # columns a row, at most
GROWTH = (-0.22, 0.10)  # of the logarithm of the size
ASPECT = 0.22  # of its logarithm, at most, in each direction
MOVE = 1.5  # pixels at most
BEND = 0.9  # pixels, standard deviation, at each of 5 x 5 points
STRETCHED = 0.3  # share of images that fill their box whatever their proportions, as some scanners leave them
BLURRED = 0.2  # share that is seen out of focus, or small, and has broad soft strokes for it
COARSE = 0.25  # share that is seen in few dots, black or white
PATCH = 5  # pixels, the side of a square of paper that hides a part
NOISY, NOISE = 0.1, 0.08  # share with noise, and its standard deviation at most
GAMMA = 0.4  # of its logarithm, at most


@dataclass(frozen=True, slots=True)
class Variation:
    """Which images are varied, and how far."""

    share: float  # of the images that are varied at all
    strength: float  # 1: as far, and as often, as the constants above say
    hidden: float  # share of the varied ones of which a part is hidden


def augment(pixels: Pixels, random: Generator, variation: Variation) -> Floats:
    """Return (n, 28, 28) pixels as floats, a share of them varied; the others as what is served mostly looks."""
    plain = pixels.astype(np.float32) / np.float32(255)
    if not variation.share:
        return plain
    strength = variation.strength
    varied = bend(vary_strokes(plain, random, strength), extents(pixels), random, strength)
    varied = vary_ink(coarsen(blur(varied, random, strength), random, strength), random, strength)
    varied = add_noise(hide(varied, random, variation.hidden), random, strength)
    return np.where(chance(len(pixels), variation.share, random), varied, plain)


def as_pixels(varied: Floats) -> Pixels:
    return np.rint(varied * 255).astype(np.uint8)


def chance(n: int, share: float, random: Generator) -> NDArray[np.bool_]:
    """Return (n, 1, 1), true for about a share of n."""
    return random.random((n, 1, 1)) < share


def neighbours(x: Floats) -> list[Floats]:
    """Return images whose pixels are those, those above, those to the left, and those above these."""
    return [np.roll(x, (dy, dx), (1, 2)) for dy in (0, 1) for dx in (0, 1)]


def vary_strokes(x: Floats, random: Generator, strength: float) -> Floats:
    """Make strokes wider in three of ten images, and finer in two, by up to a pixel."""
    n = len(x)
    which, much = random.random((n, 1, 1)), np.float32(strength) * random.random((n, 1, 1), np.float32)
    around = np.stack(neighbours(x))
    wider, finer = around.max(0), around.min(0)
    thinned = np.where(which < 0.5, x + np.float32(0.7) * much * (finer - x), x)
    return np.where(which < 0.3, x + much * (wider - x), thinned)


def extents(pixels: Pixels) -> NDArray[np.float64]:
    """Return (n, 2): how many rows and columns of each image have ink."""
    rows, columns = pixels.max(2) > 60, pixels.max(1) > 60
    return np.stack([SIDE - row.argmax(1) - row[:, ::-1].argmax(1) for row in (rows, columns)], 1).astype(np.float64)


def bend(x: Floats, extent: NDArray[np.float64], random: Generator, strength: float) -> Floats:
    """Turn, slant, stretch, move and bend images (Simard, Steinkraus and Platt 2003)."""
    n = len(x)
    grid = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) - MIDDLE  # (2, 784): row and column of each target pixel
    turned = origins(scales(extent, random, strength), random, strength) @ grid
    places = turned + MIDDLE + strength * random.uniform(-MOVE, MOVE, (n, 2, 1))
    between = line_weights(5)  # (28, 5)
    field = between @ random.normal(0, strength * BEND, (n, 2, 5, 5)) @ between.T
    return sample(x, places + field.reshape(n, 2, -1))


def scales(extent: NDArray[np.float64], random: Generator, strength: float) -> NDArray[np.float64]:
    """Return (n, 2) factors for rows and columns; a share makes the digit fill its box."""
    n = len(extent)
    size, aspect = strength * random.uniform(*GROWTH, n), strength * random.uniform(-ASPECT, ASPECT, n)
    free = np.minimum(np.exp(np.stack([size - aspect, size + aspect], 1)), 1.25)
    rows, columns = random.uniform(0.8, 1.05, n) * BOX, random.uniform(0.55, 1.05, n) * BOX
    filling = np.stack([rows, columns], 1) / np.maximum(extent, 3)
    filling[:, 1] = np.clip(filling[:, 1], free[:, 1], 5)  # a 1 may become a block, and none gets narrower
    return np.where(chance(n, strength * STRETCHED, random)[:, 0], filling, free)


def origins(scale: NDArray[np.float64], random: Generator, strength: float) -> NDArray[np.float64]:
    """Return (n, 2, 2) matrices from where a pixel shall be to where it comes from."""
    n = len(scale)
    angle = strength * np.radians(np.clip(random.normal(0, TURN, n), -20, 20))
    slant = strength * random.uniform(-SLANT, SLANT, n)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.array([[cos, sin], [slant * cos - sin, cos + slant * sin]]).transpose(2, 0, 1)
    return np.asarray(turned / scale[:, np.newaxis])


def line_weights(points: int) -> NDArray[np.float64]:
    """Return (28, points): how much of each of some points, evenly spread, each of 28 pixels takes (linear)."""
    at = np.linspace(0, points - 1, SIDE)[:, np.newaxis]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(points)), 0, None))


def sample(x: Floats, places: NDArray[np.float64]) -> Floats:
    """Return the images at (n, 2, 784) places between their pixels, bilinearly; around them is paper."""
    n, wide = len(x), SIDE + 3
    padded = np.zeros((n, wide, wide), np.float32)
    padded[:, 1 : SIDE + 1, 1 : SIDE + 1] = x
    rows, columns = (np.clip(places[:, axis], -1, SIDE) + 1 for axis in (0, 1))
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    first = np.arange(n)[:, np.newaxis] * wide**2 + top * wide + left
    flat = padded.ravel()
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + wide] * (1 - right) + flat[first + wide + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32).reshape(x.shape)


def blur(x: Floats, random: Generator, strength: float) -> Floats:
    """Blur a share of the images, and make their ink bright again, more or less."""
    n = len(x)
    soft = np.mean([np.roll(x, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0, dtype=np.float32)
    soft *= random.uniform(1, 2, (n, 1, 1)).astype(np.float32)
    return np.where(chance(n, strength * BLURRED, random), np.minimum(soft, 1), x)


def coarsen(x: Floats, random: Generator, strength: float) -> Floats:
    """See a share of the images in dots that are black or white, half of them blurred again."""
    n = len(x)
    dots = (np.mean(neighbours(x), axis=0) > random.uniform(0.25, 0.6, (n, 1, 1))).astype(np.float32)
    soft = np.mean(neighbours(dots), axis=0, dtype=np.float32)
    return np.where(chance(n, strength * COARSE, random), np.where(chance(n, 0.5, random), dots, soft), x)


def vary_ink(x: Floats, random: Generator, strength: float) -> Floats:
    gamma = np.exp(strength * random.uniform(-GAMMA, GAMMA, (len(x), 1, 1))).astype(np.float32)
    return np.asarray(np.clip(x, 0, 1) ** gamma, np.float32)


def hide(x: Floats, random: Generator, share: float) -> Floats:
    """Lay a square of paper on a share of the images (DeVries and Taylor 2017), wherever ink may be."""
    n = len(x)
    corner = random.integers(4, SIDE - 4 - PATCH, (2, n, 1))
    rows, columns = (corner <= np.arange(SIDE)) & (np.arange(SIDE) < corner + PATCH)  # (n, 28) each
    patch = rows[:, :, np.newaxis] & columns[:, np.newaxis] & chance(n, share, random)
    return np.where(patch, np.float32(0), x)


def add_noise(x: Floats, random: Generator, strength: float) -> Floats:
    """Add what a camera adds in poor light to a share of the images."""
    chosen = np.flatnonzero(chance(len(x), strength * NOISY, random))
    deviation = NOISE * random.random((len(chosen), 1, 1), np.float32)
    noisy = x[chosen] + deviation * random.standard_normal((len(chosen), SIDE, SIDE), np.float32)
    x[chosen] = np.clip(noisy, 0, 1)
    return x
