"""Ask a network about pictures in this process, as the service does: again about the whole, where it is unsure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from digits.image import Sight
from digits.judgements import DIGITS, Judgements, is_surer, may_be_surer
from digits.network import Network


def judge(reader: Network, sights: Sequence[Sight]) -> Judgements:
    """Return (n, 11) judgements of n pictures, n ≥ 1."""
    rows = reader.judge(np.stack([sight.pixels for sight in sights]))
    for row, sight in zip(rows, sights, strict=True):
        if sight.whole and may_be_surer(row):
            (again,) = reader.judge(sight.whole.pixels[np.newaxis])
            if is_surer(again, row):
                row[:] = again
    return rows


def read(reader: Network, sights: Sequence[Sight]) -> list[int]:
    """Return the most probable digit of each of n pictures, n ≥ 1, as if nothing were refused."""
    return [int(digit) for digit in judge(reader, sights)[:, DIGITS].argmax(1)]
