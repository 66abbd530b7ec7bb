"""The presence below which an image counts as no digit.

Digits are those of the validation set, varied as for the training: as they are, MNIST's are too alike
to say where other hands end. Knows nothing of files.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from digits.bundle import Manifest
from digits.judgements import PRESENCE
from digits.lattice import beliefs
from digits.network import Network
from trainer.augment import Variation, as_pixels, augment
from trainer.dataset import Part
from trainer.outliers import outliers
from trainer.parallel import on_all_cores

DOUBTED = 1.5e-3  # share of the varied digits of a validation set that may be taken for none
VARIANTS = 4  # of each of them


def find(reader: Network, validation: Part, variation: Variation) -> Manifest:
    """Return what the manifest says of them, from digits that are varied as for the training.

    "thresholds": the presence of a digit, and the belief in one within a number, that nearly all reach.
    "outliers": how well presence tells them from images without a digit, made of digits that the network
    was not trained on: the area under its ROC curve, and the share that is refused.
    """
    random = np.random.default_rng(0)
    digits = [as_pixels(augment(validation.pixels, random, variation)) for _ in range(VARIANTS)]
    judged = on_all_cores(reader.judge, np.concatenate(digits))
    presence = judged[:, PRESENCE]
    least = {"presence": nearly_all(presence), "confidence": nearly_all(beliefs(judged).max(1))}
    none = on_all_cores(reader.judge, outliers(validation.pixels, len(validation), random))[:, PRESENCE]
    refused = float((none < least["presence"]).mean())
    return {"thresholds": least, "outliers": {"auroc": auroc(presence, none), "refused": refused, "images": len(none)}}


def nearly_all(values: NDArray[np.float32]) -> float:
    """Return what all but a share of `DOUBTED` reach, rounded down: of presences near 1 few would reach 1."""
    return math.floor(1000 * float(np.quantile(values, DOUBTED))) / 1000


def auroc(higher: NDArray[np.floating], lower: NDArray[np.floating]) -> float:
    """Return how often one of the first is higher than one of the others (Hanley and McNeil 1982); ties count half."""
    order = np.sort(lower)
    below = np.searchsorted(order, higher, "left") + np.searchsorted(order, higher, "right")
    return float(below.mean() / (2 * len(lower)))
