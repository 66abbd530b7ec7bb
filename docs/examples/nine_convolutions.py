"""An architecture of one's own: `python -m trainer --architecture docs/examples/nine_convolutions.py`.

Nine convolutions of 128 channels, about as Matuzas has them: 1,189,526 parameters, 666 million multiplications
an image. docs/training.md (AL, AN) says what it reaches. A file needs no more than `build`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from trainer.architectures.excitation import excited

CHANNELS = 128


def build(dropout: float = 0.2) -> keras.Model:
    """Return the untrained network: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities."""
    image = keras.Input((28, 28, 1))
    x = stage(stage(image))
    x = layers.AveragePooling2D(2)(x)  # (14, 14, 128)
    x = layers.AveragePooling2D(2)(stage(x))  # (7, 7, 128)
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])  # (256,)
    x = layers.Dropout(dropout)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", dtype="float32")(x), name="nine_convolutions")


def stage(x: Any) -> Any:
    """Convolve three times, and weigh the channels."""
    for _ in range(3):
        x = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")(x)
    return excited(layers.BatchNormalization()(x), CHANNELS // 32, "relu")
