"""Draw MNIST digits as they are met on paper: large, with a pen, in frames, on rules, in bad light.

Knows nothing of how they are read.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.image import Pixels

Paper = NDArray[np.float64]  # (h, w, 3) in 0...255
SIDE = 120  # pixels of a picture
PEN = (30, 40, 120)


def written(pixels: Pixels, *, side: int = SIDE, height: int = 84, left: float = 0.5, ink: float = 1.0) -> Paper:
    """Return white paper with a digit in blue, whose 28 x 28 are `height` pixels tall, its middle at `left`."""
    large = Image.fromarray(pixels).resize((height, height), Image.Resampling.BICUBIC)
    strokes = np.clip((np.asarray(large, float) / 255 - 0.3) / 0.3, 0, 1) * ink
    canvas = Image.new("L", (side, side))
    canvas.paste(
        Image.fromarray((strokes * 255).astype(np.uint8)), (int(left * side - height / 2), (side - height) // 2)
    )
    covered = np.asarray(canvas, float)[..., np.newaxis] / 255
    return np.full((side, side, 3), 240.0) * (1 - covered) + np.array(PEN) * covered


def framed(paper: Paper) -> Paper:
    paper[2:5], paper[-4:-1], paper[:, :3], paper[:, -5:-2] = 20, 20, 20, 20
    return paper


def half_framed(paper: Paper) -> Paper:
    paper[-6:-3], paper[:, 4:6] = (200, 110, 60), (200, 110, 60)
    return paper


def ruled(paper: Paper) -> Paper:
    paper[15::30] = np.minimum(paper[15::30], (150, 180, 220))
    return paper


def squared(paper: Paper) -> Paper:
    paper[:, 10::30] = np.minimum(paper[:, 10::30], (150, 180, 220))
    return ruled(paper)


def with_dark_edge(paper: Paper) -> Paper:
    paper[:, :12], paper[-9:] = 35, 50
    return paper


def in_shadow(paper: Paper) -> Paper:
    y, x = np.mgrid[0 : len(paper), 0 : len(paper)]
    return np.asarray(paper * np.where(x + y > len(paper), 0.5, 1.0)[..., np.newaxis])


def lit_from_one_side(paper: Paper) -> Paper:
    return paper * np.linspace(1.0, 0.55, len(paper))[:, np.newaxis]


def inverted(paper: Paper) -> Paper:
    return np.asarray(255 - paper)


def on_brown(paper: Paper) -> Paper:
    return np.asarray(paper * np.array([0.75, 0.6, 0.42]))


def beside_others(paper: Paper) -> Paper:
    paper[20:100, :6], paper[30:90, -5:] = PEN, PEN
    return paper


SURROUNDINGS: dict[str, Callable[[Paper], Paper]] = {
    drawn.__name__: drawn
    for drawn in (
        framed, half_framed, ruled, squared, with_dark_edge, in_shadow, lit_from_one_side, inverted, on_brown,
        beside_others,
    )
}  # fmt: skip


def picture(paper: Paper) -> Image.Image:
    return Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
