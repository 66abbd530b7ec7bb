"""The parts of a mask: what hangs together, where it lies, and how large it is.

Masks are (h, w) of bool. Knows nothing of ink and of strokes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # (h, w), true for ink
Runs = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]  # group, row, start, end


class Part(NamedTuple):  # a page of specks has hundreds of thousands: a dataclass takes five times as long to make
    """A connected piece of ink: its number of pixels, its centre, and its box, ends excluded."""

    area: int
    y: float
    x: float
    top: int
    bottom: int
    left: int
    right: int

    @property
    def side(self) -> int:
        return max(self.bottom - self.top, self.right - self.left)

    def touches(self, shape: tuple[int, ...]) -> bool:
        """Tell whether it reaches the border of a picture."""
        return self.top == 0 or self.left == 0 or self.bottom == shape[0] or self.right == shape[1]

    def gaps(self, other: Part) -> tuple[int, int]:
        """Return how many pixels lie between two boxes, from top to bottom and from left to right."""
        return (
            max(self.top - other.bottom, other.top - self.bottom, 0),
            max(self.left - other.right, other.left - self.right, 0),
        )


def components(mask: Mask) -> tuple[NDArray[np.int32], list[Part]]:
    """Label the pieces that hang together, as `labelled`, and measure them."""
    labels, runs = labelled(mask)
    return labels, measured(*runs)


def labelled(mask: Mask) -> tuple[NDArray[np.int32], Runs]:
    """Label the pieces that hang together, corners included: 0 for paper, then the number of the piece.

    By runs of ink within rows, and union-find over those that touch (Rosenfeld and Pfaltz 1966).
    """
    h, w = mask.shape
    beyond = np.zeros((h, 1), np.int8)
    steps = np.diff(np.concatenate([beyond, mask, beyond], axis=1), axis=1)  # (h, w + 1)
    row, start = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    group = grouped(len(row), *touching(row * (w + 2) + start, row * (w + 2) + end, w + 2))
    change = np.zeros((h, w + 1), np.int32)
    change[row, start] += group + 1
    change[row, end] -= group + 1
    labels = np.cumsum(change, axis=1, dtype=np.int32)[:, :w]
    return labels, (group, row, start, end)


def touching(start: NDArray[np.intp], end: NDArray[np.intp], stride: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of runs, by index, that touch from one row to the next; both are given as row · stride + x."""
    first = np.searchsorted(end, start + stride, "left")
    last = np.searchsorted(start, end + stride, "right")
    count = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(start)), count)
    lower = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    return upper, lower


def grouped(count: int, a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return for each of `count` things the number of its group, 0, 1, …, where a[i] and b[i] are of one."""
    root = np.arange(count)
    while (root[a] != root[b]).any():
        lowest = np.minimum(root[a], root[b])
        np.minimum.at(root, root[a], lowest)
        np.minimum.at(root, root[b], lowest)
        while (root[root] != root).any():
            root = root[root]
    return (np.cumsum(root == np.arange(count)) - 1)[root]


def measured(
    group: NDArray[np.intp], row: NDArray[np.intp], start: NDArray[np.intp], end: NDArray[np.intp]
) -> list[Part]:
    """Return the parts that runs [start, end) of rows make up, by their groups."""
    count = int(group.max()) + 1 if group.size else 0
    length = end - start
    area = np.bincount(group, length, count)
    y = np.bincount(group, row * length, count) / np.maximum(area, 1)
    x = np.bincount(group, (start + end - 1) / 2 * length, count) / np.maximum(area, 1)
    far = np.iinfo(np.intp).max
    low, high = np.full((2, count), far), np.zeros((2, count), np.intp)
    for axis, (first, last) in enumerate(((row, row + 1), (start, end))):
        np.minimum.at(low[axis], group, first)
        np.maximum.at(high[axis], group, last)
    columns = (area.astype(np.intp), y, x, low[0], high[0], low[1], high[1])
    return list(map(Part._make, zip(*(column.tolist() for column in columns), strict=True)))
