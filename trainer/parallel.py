"""Ask a network of the kernel about many images; each call of it runs on one thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from digits.cores import cores
from digits.image import Pixels


def on_all_cores(ask: Callable[[Pixels], NDArray[np.float32]], batch: Pixels) -> NDArray[np.float32]:
    """Return what `ask` says of (n, 28, 28) pixels, n ≥ 1, a part of which is asked about on each core."""
    return in_threads(ask, batch, cores())


def in_threads(ask: Callable[[Pixels], NDArray[np.float32]], batch: Pixels, most: int) -> NDArray[np.float32]:
    """Do so in as many threads at most."""
    parts = np.array_split(batch, min(most, len(batch)))
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(ask, parts)))
