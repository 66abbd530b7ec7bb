"""What a network answers: of each image the probabilities of the ten digits, and the presence of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits.sizes import CLASSES

DIGITS, PRESENCE, COLUMNS = slice(CLASSES), CLASSES, CLASSES + 1  # of judgements

Probabilities = NDArray[np.float32]  # (n, 10), each row sums to 1
Judgements = NDArray[np.float32]  # (n, 11), or (11,): probabilities, and then the presence of a digit, from 0 to 1

SURE = 0.3  # that a second look must be at least to count, and
SURER = 2.0  # times as sure as the first


def sureness(judgement: Judgements) -> float:
    """Return how sure a judgement (11,) is: how likely that there is a digit, and that it is the most probable one."""
    return float(judgement[DIGITS].max() * judgement[PRESENCE])


def may_be_surer(first: Judgements) -> bool:
    """Tell whether a second look at an image could count; none is surer than 1."""
    return sureness(first) < 1 / SURER


def is_surer(second: Judgements, first: Judgements) -> bool:
    """Tell whether the judgement (11,) of a second look at an image counts, not that of the first."""
    return sureness(second) >= SURE and sureness(second) > SURER * sureness(first)
