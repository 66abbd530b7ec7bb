"""Say how well probabilities agree with labels; knows nothing of Keras or of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.judgements import Probabilities
from digits.sizes import CLASSES
from trainer.dataset import Labels

Z = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a network did on a test set. `confusion[i, j]` counts images of i that were read as j."""

    loss: float  # mean categorical cross-entropy, in nats
    accuracy: float
    confusion: NDArray[np.int64]  # (10, 10)
    mistakes: NDArray[np.intp]  # indices of images read wrongly, the surest mistake first

    def per_class(self) -> list[dict[str, Any]]:
        """Return for each digit how many images there were, and how many of them were found."""
        seen, read = self.confusion.sum(1), self.confusion.sum(0)
        right = np.diag(self.confusion)
        return [
            {
                "digit": digit,
                "images": int(seen[digit]),
                "recall": share(right[digit], seen[digit]),
                "precision": share(right[digit], read[digit]),
            }
            for digit in range(CLASSES)
        ]

    def summary(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "images": int(self.confusion.sum()),
            "per_class": self.per_class(),
            "confusion": self.confusion.tolist(),
        }


def evaluate(probabilities: Probabilities, labels: Labels) -> Evaluation:
    """Compare (n, 10) probabilities with (n,) labels."""
    digits = probabilities.argmax(1)
    chosen = probabilities[np.arange(len(labels)), labels]  # (n,) what was given to the right digit
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(confusion, (labels, digits), 1)
    wrong = np.flatnonzero(digits != labels)
    return Evaluation(
        loss=float(-np.log(np.clip(chosen.astype(np.float64), 1e-7, 1)).mean()),  # Keras clips there too
        accuracy=float((digits == labels).mean()),
        confusion=confusion,
        mistakes=wrong[np.argsort(chosen[wrong], kind="stable")],
    )


def worst(evaluation: Evaluation, labels: Labels, probabilities: Probabilities, most: int) -> list[dict[str, Any]]:
    """Return what was read wrongly, the surest mistake first, with the index in the test set; not more than `most`."""
    return [
        {
            "index": int(index),
            "label": int(labels[index]),
            "digit": int(probabilities[index].argmax()),
            "confidence": round(float(probabilities[index].max()), 4),
        }
        for index in evaluation.mistakes[:most]
    ]


def interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of n (Wilson 1927)."""
    spread = Z**2 / n
    middle = (share + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return middle - reach, middle + reach


def share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
