"""MBConv blocks with squeeze and excitation (Tan and Le 2019), scaled to 28x28: 81,000 parameters.

Few weights and few multiplications, 5 million; a GPU likes them, a CPU takes as long as for the
residual network.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

BLOCKS = ((24, 1), (24, 1), (40, 2), (40, 1), (80, 2))  # channels, stride
EXPANSION = 4
SQUEEZE = 4  # channels of a block for each that its weights are made from


def build(dropout: float = 0.2) -> keras.Model:
    """Return the untrained network: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities."""
    image = keras.Input((28, 28, 1))
    x = activated(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image))  # (14, 14, 16)
    for channels, stride in BLOCKS:
        x = block(x, channels, stride)
    x = activated(layers.Conv2D(160, 1, use_bias=False)(x))  # (4, 4, 160)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", dtype="float32")(x), name="efficientnet")


def block(x: Any, channels: int, stride: int) -> Any:
    """Widen, look at each channel by itself, weigh the channels, narrow; added to what comes in if it fits."""
    c = x.shape[-1]
    y = activated(layers.Conv2D(EXPANSION * c, 1, use_bias=False)(x))
    y = activated(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y))
    y = layers.Conv2D(channels, 1, use_bias=False)(excited(y, c // SQUEEZE))
    y = layers.BatchNormalization()(y)
    return layers.Add()([x, y]) if stride == 1 and c == channels else y


def excited(x: Any, squeezed: int) -> Any:
    """Weigh the channels by what all of the image says of them (Hu, Shen and Sun 2018)."""
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(squeezed, 1, activation="swish")(weights)
    weights = layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])


def activated(x: Any) -> Any:
    return layers.Activation("swish")(layers.BatchNormalization()(x))
