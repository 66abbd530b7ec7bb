"""What it costs to find a digit: MNIST's test digits as they are, and drawn on large canvases and looked for.

Each is scaled, moved, perhaps inverted, tinted, lit unevenly and saved as a JPEG of quality 60. Runs
in this process, on the model that is served.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.random import Generator
from PIL import Image

from digits import image
from digits.decode import identify
from digits.image import Pixels
from digits.network import Network
from evaluation import judging
from evaluation.drawing import picture
from trainer.dataset import MNIST

QUALITY = 60


def compare(reader: Network, count: int) -> str:
    """Return a sentence with the accuracy of both, and the difference in points."""
    with np.load(MNIST) as archive:
        digits, labels = archive["x_test"][:count], archive["y_test"][:count]
    random = np.random.default_rng(0)
    found = [image.see(identify(rendered(pixels, random))) for pixels in digits]
    answers = reader(digits).argmax(1), judging.read(reader, found)
    plain, drawn = (100 * float((answer == labels).mean()) for answer in answers)
    return f"{len(digits):,} digits: {plain:.2f} % as they are, {drawn:.2f} % drawn and found, {plain - drawn:.2f} lost"


def rendered(pixels: Pixels, random: Generator) -> bytes:
    """Draw a digit somewhere on a canvas, and return it as a JPEG."""
    width, height = random.integers(200, 600, 2)
    side = int(random.uniform(0.3, 0.8) * min(width, height))
    strokes = np.zeros((height, width))
    top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
    large = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    strokes[top : top + side, left : left + side] = np.asarray(large, float) / 255
    paper, ink = random.uniform(170, 255, 3), random.uniform(0, 70, 3)
    colours = paper + (ink - paper) * strokes[..., np.newaxis]
    light = (
        np.linspace(1, random.uniform(0.5, 1), width) * np.linspace(1, random.uniform(0.7, 1), height)[:, np.newaxis]
    )
    lit = colours * light[..., np.newaxis]
    file = io.BytesIO()
    picture(255 - lit if random.random() < 0.3 else lit).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
