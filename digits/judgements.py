"""What a network answers: of each image the probabilities of the ten digits, and the presence of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def unsure(judgements: Judgements, indices: Iterable[int]) -> list[int]:
    """Return at which of the indices a second look could count: none is surer than 1."""
    return [index for index in indices if sureness(judgements[index]) < 1 / SURER]


def take_surer(judgements: Judgements, indices: Sequence[int], second: Judgements) -> list[int]:
    """Replace the judgements at the indices by those of a second look that are surer; return where."""
    taken = []
    for index, row in zip(indices, second, strict=True):
        if sureness(row) >= max(SURE, SURER * sureness(judgements[index])):
            judgements[index] = row
            taken.append(index)
    return taken
