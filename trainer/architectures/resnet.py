"""A wide residual network (He and others 2016; Zagoruyko and Komodakis 2016): 1,221,000 parameters.

500 million multiplications an image, for accuracy and not for speed: strokes are seen by 128 channels
before anything is made smaller. Activations come before convolutions, channels are weighed in each
block, and the last layer knows of each channel its mean and its maximum.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from trainer.architectures.excitation import excited

CHANNELS = 128
STAGES = ((2, 1), (2, 2))  # blocks, stride of the first
SQUEEZED = 16  # channels that the weights of all are made from


def build(dropout: float = 0.2) -> keras.Model:
    """Return the untrained network: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities."""
    image = keras.Input((28, 28, 1))
    x = layers.Conv2D(CHANNELS, 3, use_bias=False)(image)  # (26, 26, 128)
    for blocks, stride in STAGES:
        for index in range(blocks):
            x = block(x, 1 if index else stride)  # (13, 13, 128) in the end
    x = normalised(x)
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])  # (256,)
    x = layers.Dropout(dropout)(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", dtype="float32")(x), name="resnet")


def block(x: Any, stride: int) -> Any:
    """Add two convolutions to what comes in, or to its projection where the shape changes."""
    y = normalised(x)
    way = layers.Conv2D(CHANNELS, 1, strides=stride, use_bias=False)(y) if stride > 1 else x
    y = layers.Conv2D(CHANNELS, 3, strides=stride, padding="same", use_bias=False)(y)
    y = layers.Conv2D(CHANNELS, 3, padding="same", use_bias=False)(normalised(y))
    return layers.Add()([way, excited(y, SQUEEZED, "relu")])


def normalised(x: Any) -> Any:
    return layers.Activation("relu")(layers.BatchNormalization()(x))
