"""Draw the way from pictures to pixels, step by step, as `digits.image` goes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits import image
from digits.grey import grey
from digits.ink import ink, otsu
from digits.strokes import one_digit

SIDE = 112  # pixels of each step
GAP = 4


def draw(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return a column for each picture: itself, its ink, its ink above the threshold, the digit's, the 28 x 28."""
    columns = [steps(picture) for picture in pictures]
    height, width = (len(columns[0]) * (SIDE + GAP), len(columns) * (SIDE + GAP))
    sheet = Image.new("RGB", (width - GAP, height - GAP), "white")
    for x, column in enumerate(columns):
        for y, step in enumerate(column):
            scaled = step.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(scaled, (x * (SIDE + GAP), y * (SIDE + GAP)))
    return sheet


def steps(picture: Image.Image) -> list[Image.Image]:
    strength, _ = ink(grey(picture, side=image.LOOK))
    mask = strength > max(otsu(strength), image.FAINTEST)
    chosen = one_digit(mask).mask
    shown: list[NDArray[Any]] = [
        strength * (255 / max(float(strength.max()), 1.0)),
        mask * 255,
        chosen * 255,
        image.normalise(picture),
    ]
    return [picture, *(Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)) for array in shown)]
