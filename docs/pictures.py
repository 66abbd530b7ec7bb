"""python -m docs.pictures: draw docs/examples, digits of MNIST's training set as on paper that was photographed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from evaluation.drawing import Paper, lit_from_one_side, number, picture, written
from trainer.dataset import MNIST

FOLDER = Path(__file__).parent / "examples"
RULE = (150, 165, 190)
WARM = np.array([1.0, 0.97, 0.9])  # as lamps are


def main() -> None:
    random = np.random.default_rng(0)
    with np.load(MNIST) as archive:
        first = {digit: archive["x_train"][archive["y_train"] == digit][0] for digit in range(10)}
    seven = written(first[7], side=160, height=130, left=0.48)
    photographed(seven, random).quantize(32).save(FOLDER / "seven.png", optimize=True)
    form = number([first[digit] for digit in (9, 0, 2, 1, 0)], random, height=90, gap=(0.15, 0.35))
    form[140:142] = np.minimum(form[140:142], RULE)  # on which the digits stand, nearly
    photographed(form, random).save(FOLDER / "form.jpg", quality=80)


def photographed(paper: Paper, random: Generator) -> Image.Image:
    """Return paper as a camera sees it: turned a little, lit from one side, not quite sharp, and with noise."""
    turned = picture(paper).rotate(-2, Image.Resampling.BICUBIC, fillcolor=(240, 240, 240))
    lit = lit_from_one_side(np.asarray(turned.filter(ImageFilter.GaussianBlur(0.8)), float) * WARM)
    return picture(lit + random.normal(0, 3, lit.shape))


if __name__ == "__main__":
    main()
