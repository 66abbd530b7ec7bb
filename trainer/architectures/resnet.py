"""A residual network with pre-activation (He and others 2016): 383,000 parameters, 16 million multiplications.

Wide where the image is small, since that is where a multiplication is worth most: 32 channels at
13x13, 64 at 7x7, 128 at 4x4.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

STAGES = ((32, 1, 1), (64, 2, 2), (128, 1, 2))  # channels, blocks, stride of the first


def build(dropout: float = 0.2) -> keras.Model:
    """Return the untrained network: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities."""
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(32, 3, use_bias=False)(image)  # (26, 26, 32)
    x = layers.MaxPooling2D(2)(x)  # (13, 13, 32)
    for channels, blocks, stride in STAGES:
        for index in range(blocks):
            x = block(x, channels, 1 if index else stride)
    x = layers.GlobalAveragePooling2D()(normalised(x))  # (128,)
    x = layers.Dropout(dropout)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", dtype="float32")(x), name="resnet")


def block(x: Any, channels: int, stride: int) -> Any:
    """Add two convolutions to what comes in, or to its projection where the shape changes."""
    y = normalised(x)
    changes = stride > 1 or x.shape[-1] != channels
    way = layers.Conv2D(channels, 1, strides=stride, use_bias=False)(y) if changes else x
    y = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(y)
    y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(normalised(y))
    return layers.Add()([way, y])


def normalised(x: Any) -> Any:
    return layers.Activation("relu")(layers.BatchNormalization()(x))
