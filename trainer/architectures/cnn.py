"""The network as everyone who has met MNIST in Keras knows it: 225,034 parameters, 2.6 million multiplications."""

from __future__ import annotations

import keras
from keras import layers


def build(dropout: float = 0.5) -> keras.Model:
    """Return the untrained classic: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities.

    `dropout` is the rate behind the dense layer; behind the poolings it is half as high, as in the classic.
    """
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),  # (26, 26, 32)
            layers.MaxPooling2D(2),  # (13, 13, 32)
            layers.Dropout(dropout / 2),
            layers.Conv2D(64, 3, activation="relu"),  # (11, 11, 64)
            layers.MaxPooling2D(2),  # (5, 5, 64)
            layers.Dropout(dropout / 2),
            layers.Flatten(),  # (1600,)
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ],
        name="cnn",
    )
