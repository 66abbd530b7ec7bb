"""Ask a network about pictures in this process, as the service does: again about the whole, where it is unsure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from digits.image import Sight
from digits.judgements import DIGITS, Judgements, take_surer, unsure
from digits.network import Network


def judge(reader: Network, sights: Sequence[Sight]) -> tuple[Judgements, list[Sight]]:
    """Return (n, 11) judgements of n pictures, n ≥ 1, and the sights that they are of."""
    rows, counting = reader.judge(np.stack([sight.pixels for sight in sights])), list(sights)
    wholes = {index: sight.whole for index, sight in enumerate(sights) if sight.whole}
    if asked := unsure(rows, wholes):
        again = reader.judge(np.stack([wholes[index].pixels for index in asked]))
        for index in take_surer(rows, asked, again):
            counting[index] = wholes[index]
    return rows, counting


def read(reader: Network, sights: Sequence[Sight]) -> list[int]:
    """Return the most probable digit of each of n pictures, n ≥ 1, as if nothing were refused."""
    rows, _ = judge(reader, sights)
    return [int(digit) for digit in rows[:, DIGITS].argmax(1)]
