"""Make a network as sure as it is right: one temperature, fitted on the validation set (Guo and others 2017)."""

from __future__ import annotations

import keras
import numpy as np

from digits.network import Probabilities
from trainer.dataset import Labels

TEMPERATURES = np.geomspace(0.25, 4, 401)
BINS = 15  # of confidence, of equal width
LEAST = 1e-12  # probability whose logarithm is taken at least


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """Return the temperature at which (n, 10) probabilities of (n,) labels have the lowest cross-entropy."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST))
    return float(min(TEMPERATURES, key=lambda temperature: cross_entropy(logits / temperature, labels)))


def cross_entropy(logits: np.ndarray[tuple[int, int], np.dtype[np.float64]], labels: Labels) -> float:
    chosen = logits[np.arange(len(labels)), labels]
    return float((np.logaddexp.reduce(logits, axis=1) - chosen).mean())


def cool(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a network whose last layer is Dense with a softmax; whoever reads it needs not know."""
    last = model.layers[-1]
    last.set_weights([weight / temperature for weight in last.get_weights()])


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart in bins of equal width."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(which, confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(labels))
