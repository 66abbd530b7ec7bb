"""Hold confidence against how often it is right, in bins (DeGroot and Fienberg 1983)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.judgements import Probabilities
from trainer.calibrate import tempered
from trainer.dataset import Labels

BINS = 15  # of confidence, of equal width

Bins = list[dict[str, Any]]  # of each that has images: "confidence" and "accuracy", means, and "images"


def bins(probabilities: Probabilities, labels: Labels) -> Bins:
    """Sort (n, 10) probabilities of (n,) labels by confidence, the least sure bin first."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    places = bin_of(confidence)
    return [
        {
            "confidence": round(float(confidence[places == place].mean()), 6),
            "accuracy": round(float(right[places == place].mean()), 6),
            "images": int(np.count_nonzero(places == place)),
        }
        for place in np.unique(places)
    ]


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart in bins of equal width."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    gaps = np.bincount(bin_of(confidence), confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(labels))


def bin_of(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return for each confidence, from 0 to 1, its bin, the first of which is 0."""
    return np.minimum((confidence * BINS).astype(np.intp), BINS - 1)


def before_and_after(networks: Sequence[Probabilities], labels: Labels, temperature: float) -> dict[str, Any]:
    """Return what a manifest says of a temperature that was applied already, to all of some networks.

    Each gives (n, 10) probabilities; the mean of all is what counts.
    """
    before, after = np.mean([tempered(each, 1 / temperature) for each in networks], 0), np.mean(networks, 0)
    return {
        "temperature": temperature,
        "test_error": calibration_error(after, labels),
        "test_error_before": calibration_error(before, labels),
        "before": bins(before, labels),
        "after": bins(after, labels),
    }
