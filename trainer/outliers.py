"""Images that hold no digit, for a network to tell from digits.

Letters, signs, scribbles and stains are drawn by `trainer.pen`; several digits at once, and pieces of
one, are made of the training set. All have the geometry of MNIST, as whatever is served has, and all
chance comes from the generator that is given. What they teach is for `fit.open_set_loss` to say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from digits.image import Pixels
from digits.parts import components
from digits.sizes import SIDE
from trainer import pen
from trainer.pen import INKED, Drawing, cropped, normalised

SHARES = {
    "letter": 0.25, "sign": 0.18, "character": 0.08, "scribble": 0.06, "figure": 0.03, "blots": 0.03,
    "word": 0.05, "several": 0.14, "piece": 0.18,
}  # fmt: skip
DRAWN: dict[str, Callable[[Generator], Drawing]] = {
    "letter": pen.letter, "sign": pen.sign, "character": pen.character, "scribble": pen.scribble,
    "figure": pen.figure, "blots": pen.blots,
}  # fmt: skip
APART = (-6, 5)  # pixels of the network between two digits
PIECE = (0.25, 0.7)  # share of a digit that is left of it
SLIM = 2.5  # times as high as wide; a piece that is slimmer may well pass for a 1


def outliers(digits: Pixels, count: int, random: Generator) -> Pixels:
    """Return (count, 28, 28) images without a digit, some of them made of the given ones."""
    kinds = random.choice(list(SHARES), count, p=list(SHARES.values()))
    return np.stack([normalised(outlier(kind, digits, random)) for kind in kinds]) if count else digits[:0]


def outlier(kind: str, digits: Pixels, random: Generator) -> Drawing:
    if kind in DRAWN:
        return DRAWN[kind](random)
    first, second = (cropped(digits[index]) for index in random.integers(len(digits), size=2))
    if kind == "word":
        return several(letter(random), second if random.random() < 0.3 else letter(random), random)
    rest = piece(first, random)
    useless = looks_like_1(rest) or holds_ring(rest) or not rest.any()  # a cut may leave nothing of a digit
    return several(first, second, random) if kind == "several" or useless else rest


def letter(random: Generator) -> Drawing:
    """Draw a letter of the size of MNIST's digits."""
    return cropped(normalised(pen.letter(random)))


def several(first: Drawing, second: Drawing, random: Generator) -> Drawing:
    """Return two digits beside each other, apart, touching or overlapping; sometimes only a part of the second."""
    if random.random() < 0.4:
        second = second[:, : max(3, round(second.shape[1] * random.uniform(0.35, 1)))]
    at = max(first.shape[1] + int(random.integers(*APART)), 2)
    drop = int(random.integers(-4, 5))
    both = np.zeros((SIDE + 8, max(first.shape[1], at + second.shape[1])), np.float32)
    for drawing, top, left in ((first, 4, 0), (second, 4 + drop, at)):
        place = both[top : top + drawing.shape[0], left : left + drawing.shape[1]]
        np.maximum(place, drawing, out=place)
    return both


def piece(digit: Drawing, random: Generator) -> Drawing:
    """Return what a cut, more or less upright or across, leaves of a digit."""
    turned = digit if random.random() < 0.75 else digit.T
    h, w = turned.shape
    end = w * random.uniform(*PIECE) + random.uniform(-0.35, 0.35) * (h / 2 - np.arange(h))  # in each row
    kept = np.arange(w) < end[:, np.newaxis]
    left = np.where(kept if random.random() < 0.5 else kept[:, ::-1], turned, 0)
    return cropped(left if turned is digit else left.T)


def looks_like_1(drawing: Drawing) -> bool:
    return bool(drawing.shape[0] > SLIM * drawing.shape[1])


def holds_ring(drawing: Drawing) -> bool:
    """Tell whether strokes go all around some paper: what is left of a 6, 8 or 9 then is a 0 to many eyes."""
    paper = np.pad(drawing <= INKED, 1, constant_values=True)  # in one piece around what is drawn
    return len(components(paper)[1]) > 1
