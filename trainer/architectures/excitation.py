"""Squeeze and excitation (Hu, Shen and Sun 2018), which more than one architecture has."""

from __future__ import annotations

from typing import Any

from keras import layers


def excited(x: Any, squeezed: int, activation: str) -> Any:
    """Weigh the channels of (n, rows, columns, channels) by what all of the image says of them."""
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(squeezed, 1, activation=activation)(weights)
    weights = layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])
