"""Batches to train on: images of digits, varied, and among them images that hold none.

A target is (11,): the probabilities of the ten digits, and that there is none. A teacher's are softened
before they become a part of it, and the network is trained towards that as it is, at a temperature of 1:
it learns to be as unsure as the softened teacher. Hinton, Vinyals and Dean (2015) have both at the higher
temperature, so that the student becomes as sure as its teacher; here a temperature is fitted afterwards.

Knows nothing of networks but that a teacher is a function from pixels to probabilities. Arrays are those
of NumPy, or of a library like it, as in `trainer.augment`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from digits.image import Pixels
from digits.sizes import CLASSES
from trainer import pen
from trainer.augment import Chance, as_pixels, augment, namespace_of
from trainer.config import Config
from trainer.dataset import Labels, Part
from trainer.outliers import outliers

VARIETY = 0.7  # images without a digit in all, for each of the training set; they are varied as the others are
SOFTNESS = 2.0  # temperature of what a teacher says; not of what its student does

Teacher = Callable[[Any], Any]  # (n, 28, 28) pixels to (n, 10) probabilities
Targets = Any  # (n, 11) float32


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
        none = self.random.integers(max(1, len(self.outliers)), size=self.without_digit(len(chosen)))
        digits, labels = self.part.pixels[chosen], self.part.labels[chosen]
        return composed(digits, labels, self.outliers[none], self.random, self.config, self.teacher)

    def without_digit(self, count: int) -> int:
        """Return how many images without a digit go with so many that have one."""
        return round(self.config.outliers * count)

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.part))


def composed(
    digits: Pixels, labels: Labels, none: Pixels, random: Chance, config: Config, teacher: Teacher | None
) -> tuple[Any, Any]:
    """Return images and targets, (n, 28, 28, 1) and (n, 11), of digits and then of images that have none."""
    xp = namespace_of(digits)
    x = augment(xp.concatenate([digits, none]), random, config.variation)
    targets = smoothed(one_hot(labels), config.label_smoothing)
    if teacher is not None:
        said = softened(teacher(as_pixels(x[: len(digits)])))
        targets = (1 - config.taught) * targets + config.taught * with_no_digit(said)
    nothing = one_hot(xp.full(len(none), CLASSES, np.uint8))
    return x[..., np.newaxis], xp.concatenate([targets, nothing])


def with_drawn(part: Part, share: float, random: np.random.Generator) -> Part:
    if not share:
        return part
    labels = random.integers(CLASSES, size=max(1, round(share * len(part)))).astype(np.uint8)
    drawn = pen.digits(labels, random)
    return Part(np.concatenate([part.pixels, drawn]), np.concatenate([part.labels, labels]))


def one_hot(labels: Labels) -> Targets:
    """Return (n, 11) targets; the last of them is the label of no digit."""
    return namespace_of(labels).eye(CLASSES + 1, dtype=np.float32)[labels]


def smoothed(targets: Targets, share: float) -> Targets:
    """Give a share of each target to all digits alike (Szegedy and others 2016)."""
    alike = np.array([1 / CLASSES] * CLASSES + [0], np.float32)
    return (1 - share) * targets + share * alike


def softened(probabilities: Any) -> Any:
    """Return (n, 10) probabilities whose logits are divided by `SOFTNESS`: their square roots, made to sum to 1."""
    powers = probabilities ** (1 / SOFTNESS)
    return powers / powers.sum(1, keepdims=True)


def with_no_digit(probabilities: Any) -> Targets:
    return namespace_of(probabilities).pad(probabilities, ((0, 0), (0, 1)))


def network_input(pixels: Pixels) -> NDArray[np.float32]:
    """Return (n, 28, 28, 1) floats in [0, 1]."""
    return np.asarray(pixels[..., np.newaxis], np.float32) / np.float32(255)
