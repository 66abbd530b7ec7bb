"""The weights that turn the values along one side of a picture into fewer, or more. Knows nothing of ink.

Both sides of a picture are multiplied by them: `down @ picture @ across.T`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_SIDES = 256  # lengths whose weights are kept


@lru_cache(MOST_SIDES)
def cubic_weights(n: int, m: int) -> NDArray[np.float32]:
    """Return (m, n): how much of each of n source pixels is in each of m, more, target pixels (Keys 1981, a = -0.5)."""
    return np.asarray(Image.fromarray(np.eye(n, dtype=np.float32)).resize((n, m), Image.Resampling.BICUBIC))


@lru_cache(MOST_SIDES)
def area_weights(n: int, m: int) -> NDArray[np.float32]:
    """Return (m, n): the share of each of n source pixels in each of m target pixels."""
    edges = np.linspace(0, n, m + 1)
    index = np.arange(n)
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    return np.asarray(np.clip(overlap, 0, None) * m / n, np.float32)
