"""Do Keras and the kernel answer alike? Of one network, on some images. Imports no Keras."""

from __future__ import annotations

import numpy as np

from digits.judgements import Probabilities

IMAGES = 1000  # that are asked about, if there are so many
TOLERANCE = 1e-5  # on each probability


def difference(one: Probabilities, other: Probabilities) -> float:
    """Return the largest difference of two (n, 10) probabilities of the same images."""
    return float(np.abs(one - other).max())


def holds(difference: float) -> bool:
    return difference <= TOLERANCE  # and so not for NaN
