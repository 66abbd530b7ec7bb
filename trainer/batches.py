"""Batches to train on: images of digits, varied, and among them images that hold none.

A target is (11,): the probabilities of the ten digits, and that there is none. Knows nothing of
networks but that a teacher is a function from pixels to probabilities.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from digits.image import Pixels
from digits.network import CLASSES, Probabilities
from trainer import pen
from trainer.augment import as_pixels, augment
from trainer.config import Config
from trainer.dataset import Labels, Part
from trainer.outliers import outliers

VARIETY = 0.5  # images without a digit in all, for each of the training set; they are varied as the others are
TAUGHT = 0.5  # share of a target that its teacher says
SOFTNESS = 2.0  # temperature of what it says (Hinton, Vinyals and Dean 2015)

Teacher = Callable[[Pixels], Probabilities]
Targets = NDArray[np.float32]  # (n, 11)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """A training set in another order, and varied otherwise, in each epoch; alike for equal seeds."""

    def __init__(self, part: Part, config: Config, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        self.batch_size = min(config.batch_size, len(part))
        self.random = np.random.default_rng(config.seed)
        self.part = with_drawn(part, config.drawn, self.random)
        self.outliers = outliers(part.pixels, round(VARIETY * len(part)) if config.outliers else 0, self.random)
        self.order = self.random.permutation(len(self.part))

    def __len__(self) -> int:
        return -(-len(self.part) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Targets]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        none = self.random.integers(max(1, len(self.outliers)), size=round(self.config.outliers * len(chosen)))
        pixels = np.concatenate([self.part.pixels[chosen], self.outliers[none]])
        x = augment(pixels, self.random, self.config.variation)
        targets = smoothed(one_hot(self.part.labels[chosen]), self.config.label_smoothing)
        if self.teacher is not None:
            said = softened(self.teacher(as_pixels(x[: len(chosen)])))
            targets[:, :CLASSES] += TAUGHT * (said - targets[:, :CLASSES])
        return x[..., np.newaxis], np.concatenate([targets, no_digit(len(none))])

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.part))


def with_drawn(part: Part, share: float, random: np.random.Generator) -> Part:
    if not share:
        return part
    labels = random.integers(CLASSES, size=max(1, round(share * len(part)))).astype(np.uint8)
    drawn = pen.digits(labels, random)
    return Part(np.concatenate([part.pixels, drawn]), np.concatenate([part.labels, labels]))


def one_hot(labels: Labels) -> Targets:
    return np.eye(CLASSES + 1, dtype=np.float32)[labels]


def no_digit(count: int) -> Targets:
    return one_hot(np.full(count, CLASSES, np.uint8))


def smoothed(targets: Targets, share: float) -> Targets:
    """Give a share of each target to all digits alike (Szegedy and others 2016)."""
    targets *= 1 - share
    targets[:, :CLASSES] += share / CLASSES
    return targets


def softened(probabilities: Probabilities) -> Probabilities:
    """Return (n, 10) probabilities at a higher temperature."""
    powers = probabilities ** (1 / SOFTNESS)
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)
