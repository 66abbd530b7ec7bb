"""Paths from the top of an array to its bottom that cost least, by dynamic programming.

As in seam carving (Avidan and Shamir 2007), but all of them at once. Knows nothing of what costs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float32]  # (h, w)
Paths = NDArray[np.intp]  # (n, h): the column of each path in each row


def cheapest(costs: Costs, aside: float, apart: int, most: float) -> Paths:
    """Return the paths to where the cost is lowest within `apart` columns of the last row, and at most `most`."""
    total, came_from = descend(costs, aside)
    ends = lowest(total[-1], apart, most)
    return np.asarray(ascend(came_from[:, np.newaxis], ends[np.newaxis])[0])


def refined(costs: Costs, paths: Paths, aside: float, reach: int) -> Paths:
    """Return the cheapest paths that stay within `reach` columns of given ones."""
    beside = np.arange(-reach, reach + 1)
    columns = np.clip(paths.T[..., np.newaxis] + beside, 0, costs.shape[1] - 1)  # (h, n, 2 · reach + 1)
    total, came_from = descend(costs[np.arange(len(costs))[:, np.newaxis, np.newaxis], columns], aside)
    found = ascend(came_from, total[-1].argmin(-1)[:, np.newaxis])[:, 0]  # (n, h)
    return np.asarray(np.take_along_axis(columns.transpose(1, 0, 2), found[..., np.newaxis], 2)[..., 0])


def descend(costs: Costs, aside: float) -> tuple[Costs, NDArray[np.int8]]:
    """Return what the cheapest path from the top to each pixel costs, and from which side its last step came.

    `costs` are (h, w), or (h, n, w) for n arrays at once.
    """
    total, came_from = costs.copy(), np.zeros(costs.shape, np.int8)
    padded = np.full((*costs.shape[1:-1], costs.shape[-1] + 2), np.inf, np.float32)
    for y in range(1, len(costs)):
        padded[..., 1:-1] = total[y - 1] + np.float32(aside)
        left, right = padded[..., :-2], padded[..., 2:]
        best = np.minimum(np.minimum(left, right), total[y - 1])
        came_from[y] = np.where(best == total[y - 1], 0, np.where(best == left, -1, 1))
        total[y] += best
    return total, came_from


def ascend(came_from: NDArray[np.int8], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (n, k, h): the columns of the paths that end in (n, k) columns of the last row of (h, n, w)."""
    h, n = came_from.shape[:2]
    paths = np.empty((*ends.shape, h), np.intp)
    each = np.arange(n)[:, np.newaxis]
    at = ends
    for y in range(h - 1, -1, -1):
        paths[..., y] = at
        at = at + came_from[y, each, at]
    return paths


def lowest(costs: NDArray[np.float32], apart: int, most: float) -> NDArray[np.intp]:
    """Return the places whose cost is the lowest within `apart` places to each side, and low enough.

    Of several neighbours with one cost it is the middle one.
    """
    wide = np.pad(costs, apart, constant_values=np.inf)
    around = np.lib.stride_tricks.sliding_window_view(wide, 2 * apart + 1).min(1)
    found = np.flatnonzero((costs <= around) & (costs <= most))
    runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return np.array([run[len(run) // 2] for run in runs if len(run)], np.intp)


def on_course(gain: Costs, aside: float) -> Costs:
    """Return for each pixel what the best path through it gains that goes down, a step to the side -`aside`.

    A path may begin and end anywhere, as in local alignment (Smith and Waterman 1981).
    """
    return np.asarray(grown(gain, aside) + grown(gain[::-1], aside)[::-1] - gain)


def grown(gain: Costs, aside: float) -> Costs:
    """Return the most that a path which ends at each pixel can have gained on its way down."""
    best = np.empty_like(gain)
    padded = np.zeros(gain.shape[1] + 2, np.float32)
    for y, here in enumerate(gain):
        beside = np.maximum(padded[:-2], padded[2:]) - np.float32(aside)
        best[y] = np.maximum(np.maximum(padded[1:-1], beside), 0) + here
        padded[1:-1] = best[y]
    return best
