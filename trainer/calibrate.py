"""Make a network as sure as it is right: one temperature, fitted on the validation set (Guo and others 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits.judgements import Probabilities
from trainer.dataset import Labels

if TYPE_CHECKING:  # it takes seconds, and only its networks are cooled
    import keras

TEMPERATURES = np.geomspace(0.25, 4, 401)
LEAST = 1e-30  # probability whose logarithm is taken at least; float32 has smaller ones, but none that tells more


def fit_temperature(networks: Sequence[Probabilities], labels: Labels) -> float:
    """Return the temperature at which the mean of (n, 10) probabilities has the lowest cross-entropy of (n,) labels.

    It divides the logits of each network, and is found for the mean of all: the mean of networks
    that are as sure as they are right is less sure than that (Rahaman and Thiery 2021).
    """
    logits = logits_of(np.stack(networks))  # (k, n, 10)
    return float(min(TEMPERATURES, key=lambda temperature: cross_entropy(logits / temperature, labels)))


def logits_of(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return logits whose softmax, over the last axis, some probabilities are."""
    return np.log(np.maximum(probabilities.astype(np.float64), LEAST))


def cross_entropy(logits: NDArray[np.float64], labels: Labels) -> float:
    """Return the cross-entropy of the mean of k softmaxes, of (k, n, 10) logits."""
    shares = np.exp(logits - logits.max(2, keepdims=True))
    chosen = shares[:, np.arange(len(labels)), labels] / shares.sum(2)  # (k, n)
    return float(-np.log(chosen.mean(0)).mean())


def cool(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a network whose last layer is Dense with a softmax; whoever reads it need not know."""
    last = model.layers[-1]
    last.set_weights([weight / temperature for weight in last.get_weights()])


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return the probabilities whose logits are divided by a temperature; by 1 / temperature undoes it."""
    logits = logits_of(probabilities) / temperature
    scaled = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(scaled / scaled.sum(1, keepdims=True), np.float32)
