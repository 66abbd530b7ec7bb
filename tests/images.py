"""Images of MNIST, and files of them. Knows of no model, so that the client's tests need none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.image import Pixels
from digits.image import as_png as png

__all__ = ["MNIST", "falling_light", "mnist", "npy", "png"]

MNIST = Path(__file__).parent.parent / "trainer" / "data" / "mnist.npz"


def mnist(count: int) -> tuple[Pixels, NDArray[np.uint8]]:
    """Return the first test images (count, 28, 28) and their labels."""
    with np.load(MNIST) as archive:
        return archive["x_test"][:count], archive["y_test"][:count]


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as `numpy.save` writes it, whatever it holds."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def falling_light(height: int, width: int) -> NDArray[np.float64]:
    """Return light that comes from the left, and falls off towards the edges."""
    y, x = np.linspace(-1, 1, height)[:, np.newaxis], np.linspace(-1, 1, width)
    return 230 * (1 - 0.06 * (x * x + y * y) - 0.05 * x)
