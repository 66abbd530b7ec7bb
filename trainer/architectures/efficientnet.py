"""EfficientNetV2 (Tan and Le 2021), scaled to 28x28: 355,000 parameters, 36 million multiplications.

Where the image is large the blocks are fused, one convolution in the place of two, since a processor
does those sooner; where it is small they look at each channel by itself, with squeeze and excitation.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from trainer.architectures.excitation import excited

FUSED = ((32, 1), (56, 2))  # channels, stride
BLOCKS = ((72, 1), (72, 1), (112, 2), (112, 1))
WIDER, WIDER_FUSED = 4, 2  # channels within a block for each that comes in
SQUEEZED_BY = 4  # channels that come in for each that the weights of all are made from


def build(dropout: float = 0.2) -> keras.Model:
    """Return the untrained network: (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities."""
    image = keras.Input((28, 28, 1))
    x = activated(layers.Conv2D(24, 3, use_bias=False)(image))  # (26, 26, 24)
    for channels, stride in FUSED:
        x = fused_block(x, channels, stride)  # (13, 13, 56) in the end
    for channels, stride in BLOCKS:
        x = block(x, channels, stride)  # (7, 7, 112) in the end
    x = activated(layers.Conv2D(160, 1, use_bias=False)(x))  # (7, 7, 160)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", dtype="float32")(x), name="efficientnet")


def fused_block(x: Any, channels: int, stride: int) -> Any:
    """Widen by a convolution, narrow; added to what comes in if it fits."""
    wider = WIDER_FUSED * x.shape[-1]
    y = activated(layers.Conv2D(wider, 3, strides=stride, padding="same", use_bias=False)(x))
    return added(x, narrowed(y, channels))


def block(x: Any, channels: int, stride: int) -> Any:
    """Widen, look at each channel by itself, weigh the channels, narrow; added to what comes in if it fits."""
    c = x.shape[-1]
    y = activated(layers.Conv2D(WIDER * c, 1, use_bias=False)(x))
    y = activated(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y))
    return added(x, narrowed(excited(y, c // SQUEEZED_BY, "swish"), channels))


def narrowed(x: Any, channels: int) -> Any:
    return layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(x))


def added(x: Any, y: Any) -> Any:
    return layers.Add()([x, y]) if x.shape == y.shape else y


def activated(x: Any) -> Any:
    return layers.Activation("swish")(layers.BatchNormalization()(x))
