"""Say each supported Keras layer in the operators of ONNX.

This module knows nothing of files. Every function takes what a configuration says and distrusts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.activations import ACTIVATIONS
from digits.errors import BadModel
from digits.graph import Array, Graph, Shape, Tensor

MAX_NUMBER = 3.0e38  # float32 holds little more
STEP = 20  # multiplications of matrices that take no longer than one step of a window over a channel by itself


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as the file has it: its class, its configuration, its own arrays by name.

    All that is asked of it but by `get` is checked first; its methods raise `BadModel`.
    """

    kind: str
    name: str
    config: dict[str, Any]
    weights: dict[str, Array]

    def get(self, key: str, default: Any) -> Any:
        return self.config.get(key, default)

    def flag(self, key: str) -> bool:
        value = self.get(key, True)
        if not isinstance(value, bool):
            raise self.wrong(key, value)
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if not is_integer(value) or value < 1:
            raise self.wrong(key, value)
        return int(value)

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
            raise self.wrong(key, value)
        return float(value)

    def pair(self, key: str, default: Any = 1) -> tuple[int, int]:
        value = self.get(key, default)
        values = [value, value] if is_integer(value) else value
        if not isinstance(values, list) or len(values) != 2 or not all(is_integer(v) and 1 <= v < 1024 for v in values):
            raise self.wrong(key, value)
        return values[0], values[1]

    def weight(self, name: str, shape: Shape) -> Array:
        array = self.weights.get(name)
        if array is None:
            raise BadModel("mismatch", f"the layer {self.name!r} lacks its array {name!r}")
        if array.shape != shape:
            raise BadModel("mismatch", f"{self.name}/{name} has shape {array.shape}; its configuration says {shape}")
        return array

    def expect(self, *names: str) -> None:
        """Refuse arrays that the configuration doesn't account for."""
        extra = sorted(set(self.weights) - set(names))
        if extra:
            raise BadModel("mismatch", f"the layer {self.name!r} has unexpected arrays: {', '.join(extra)}")

    def wrong(self, key: str, value: Any) -> BadModel:
        return BadModel("unsupported", f"the layer {self.name!r} ({self.kind}) has {key}={str(value)[:60]!r}")


def apply(graph: Graph, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """Append a layer to the graph and return its output. Raises `BadModel`."""
    kind = LAYERS.get(layer.kind)
    if kind is None:
        raise BadModel("unsupported", f"the layer {layer.name!r}, a {layer.kind}, stands where it means nothing")
    if not kind.weighted:
        layer.expect()
    if not kind.merges and len(inputs) != 1:
        raise BadModel("unsupported", f"the layer {layer.name!r} has {len(inputs)} inputs")
    return kind.write(graph, layer, *inputs)


def is_local(layer: Layer) -> bool:
    """Tell whether each pixel that a layer gives comes from a window of those it is given, and none is made up."""
    kind = LAYERS.get(layer.kind)
    if kind is None:
        return False
    return kind.pointwise or (kind.windowed and layer.get("padding", "valid") == "valid")


def seen(layers: Sequence[Layer], n: int, axis: int) -> int:
    """Return how many of n rows (axis 0) or columns (axis 1) the result of some local layers depends on.

    A window that would reach over the edge is left out, so the last few pixels may count for nothing.
    """
    sliding = [(layer, geometry(layer)) for layer in layers if LAYERS[layer.kind].windowed]
    for layer, (size, strides, dilation) in sliding:
        n, _, _ = window(layer, n, size[axis], strides[axis], dilation[axis])
    for _, (size, strides, dilation) in reversed(sliding):
        n = (n - 1) * strides[axis] + (size[axis] - 1) * dilation[axis] + 1
    return n


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def require_channels_last(layer: Layer) -> None:
    if layer.get("data_format", "channels_last") not in ("channels_last", None):
        raise layer.wrong("data_format", layer.get("data_format", None))


# --- layers with weights ------------------------------------------------------------------------


def dense(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    x = graph.channels_last(x)
    units = layer.integer("units")
    c = x.shape[-1]
    kernel = layer.weight("kernel", (c, units))
    shape = (*x.shape[:-1], units)
    bias = layer.flag("use_bias")
    layer.expect("kernel", *["bias"] * bias)
    y = graph.add("MatMul", [x, graph.constant(kernel)], shape, each=c)
    if bias:
        y = graph.add("Add", [y, graph.constant(layer.weight("bias", (units,)))], shape)
    return activate(graph, layer, y, layer.get("activation", "linear"))


def conv2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    require_channels_last(layer)
    x = graph.channels_first(x)
    h, w, c = x.shape
    size, strides, dilation = geometry(layer)
    filters, groups = layer.integer("filters"), layer.integer("groups", 1)
    if c % groups or filters % groups:
        raise layer.wrong("groups", groups)
    kernel = layer.weight("kernel", (*size, c // groups, filters))
    names = ["kernel", "bias"] if layer.flag("use_bias") else ["kernel"]
    layer.expect(*names)
    inputs: list[Tensor | str] = [x, graph.constant(kernel.transpose(3, 2, 0, 1))]
    if "bias" in names:
        inputs.append(graph.constant(layer.weight("bias", (filters,))))
    (rows, columns), pads = windows(layer, (h, w))
    y = graph.add(
        "Conv", inputs, (rows, columns, filters), each=math.prod(size) * c // groups,
        strides=strides, dilations=dilation, group=groups, pads=pads,
    )  # fmt: skip
    return activate(graph, layer, y, layer.get("activation", "linear"))


def depthwise_conv2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    """Convolve each channel by itself; its kernel is called so by Keras 3, and `depthwise_kernel` by Keras 2."""
    require_channels_last(layer)
    x = graph.channels_first(x)
    bias = layer.flag("use_bias")
    name = "kernel" if "kernel" in layer.weights else "depthwise_kernel"
    layer.expect(name, *["bias"] * bias)
    y = by_channel(graph, layer, x, name, bias=bias)
    return activate(graph, layer, y, layer.get("activation", "linear"))


def separable_conv2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    """Convolve each channel by itself, then mix them."""
    require_channels_last(layer)
    y = by_channel(graph, layer, graph.channels_first(x), "depthwise_kernel", bias=False)
    filters, bias = layer.integer("filters"), layer.flag("use_bias")
    layer.expect("depthwise_kernel", "pointwise_kernel", *["bias"] * bias)
    mixing = layer.weight("pointwise_kernel", (1, 1, y.shape[2], filters))
    inputs: list[Tensor | str] = [y, graph.constant(mixing.transpose(3, 2, 0, 1))]
    if bias:
        inputs.append(graph.constant(layer.weight("bias", (filters,))))
    y = graph.add("Conv", inputs, (*y.shape[:2], filters), each=y.shape[2])
    return activate(graph, layer, y, layer.get("activation", "linear"))


def by_channel(graph: Graph, layer: Layer, x: Tensor, name: str, *, bias: bool) -> Tensor:
    """Convolve each of c channels with `depth_multiplier` kernels of its own, of an array (h, w, c, multiplier)."""
    h, w, c = x.shape
    size, strides, dilation = geometry(layer)
    many = layer.integer("depth_multiplier", 1)
    kernel = layer.weight(name, (*size, c, many))
    inputs: list[Tensor | str] = [x, graph.constant(kernel.transpose(2, 3, 0, 1).reshape(c * many, 1, *size))]
    if bias:
        inputs.append(graph.constant(layer.weight("bias", (c * many,))))
    (rows, columns), pads = windows(layer, (h, w))
    return graph.add(
        "Conv", inputs, (rows, columns, c * many), each=STEP * math.prod(size),
        strides=strides, dilations=dilation, group=c, pads=pads,
    )  # fmt: skip


def batch_normalization(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, as one factor and one offset per channel."""
    axis = layer.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not is_integer(axis) or axis not in (-1, len(x.shape)):
        raise layer.wrong("axis", axis)
    c = (x.shape[-1],)
    scale, center = layer.flag("scale"), layer.flag("center")
    names = ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]
    layer.expect(*names)
    gamma = layer.weight("gamma", c) if scale else np.ones(c, np.float32)
    beta = layer.weight("beta", c) if center else np.zeros(c, np.float32)
    mean, variance = layer.weight("moving_mean", c), layer.weight("moving_variance", c)
    spread = variance.astype(np.float64) + layer.number("epsilon", 1e-3)
    if (spread <= 0).any():
        raise BadModel("mismatch", f"the layer {layer.name!r} has a variance below zero")
    factor = gamma / np.sqrt(spread)
    offset = beta - mean * factor
    y = graph.add("Mul", [x, graph.along_channels(x, factor.astype(np.float32))], x.shape)
    return graph.add("Add", [y, graph.along_channels(x, offset.astype(np.float32))], x.shape)


# --- pooling and padding ------------------------------------------------------------------------


def pool2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    require_channels_last(layer)
    x = graph.channels_first(x)
    h, w, c = x.shape
    size, strides, _ = geometry(layer)
    (rows, columns), pads = windows(layer, (h, w))
    operator = "MaxPool" if layer.kind == "MaxPooling2D" else "AveragePool"  # neither counts what is padded
    return graph.add(
        operator, [x], (rows, columns, c), each=STEP * math.prod(size),
        kernel_shape=size, strides=strides, pads=pads,
    )  # fmt: skip


def global_pooling2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    require_channels_last(layer)
    x = graph.channels_first(x)
    h, w, c = x.shape
    y = graph.add(layer.kind.removesuffix("ing2D"), [x], (1, 1, c), each=h * w)  # GlobalAveragePool, GlobalMaxPool
    return y if layer.get("keepdims", False) is True else graph.reshape(y, (c,))


def zero_padding2d(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    require_channels_last(layer)
    x = graph.channels_first(x)
    h, w, c = x.shape
    (top, bottom), (left, right) = paddings(layer)
    pads = graph.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return graph.add("Pad", [x, pads], (h + top + bottom, w + left + right, c))


def paddings(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ((top, bottom), (left, right)) from 1, [1, 2] or [[1, 2], [3, 4]]."""
    value = layer.get("padding", 1)
    sides = [value, value] if is_integer(value) else value
    if not isinstance(sides, list) or len(sides) != 2:
        raise layer.wrong("padding", value)
    pairs = [[side, side] if is_integer(side) else side for side in sides]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(is_integer(n) and 0 <= n < 1024 for n in pair):
            raise layer.wrong("padding", value)
    (top, bottom), (left, right) = pairs
    return (top, bottom), (left, right)


def geometry(layer: Layer) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return size, strides and dilation of a convolution's or pooling's windows, each for rows and columns."""
    if LAYERS[layer.kind].weighted:  # a convolution
        return layer.pair("kernel_size", None), layer.pair("strides"), layer.pair("dilation_rate")
    size = layer.pair("pool_size", 2)
    strides = layer.pair("strides") if layer.get("strides", None) is not None else size
    return size, strides, (1, 1)


def windows(layer: Layer, sides: Shape) -> tuple[Shape, list[int]]:
    """Return how many rows and columns of windows there are, and what is padded at the top, left, bottom and right."""
    (rows, top, bottom), (columns, left, right) = (
        window(layer, *along) for along in zip(sides, *geometry(layer), strict=True)
    )
    return (rows, columns), [top, left, bottom, right]


def window(layer: Layer, n: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """Return output length and padding before and after, for one axis of n pixels.

    "same" pads as TensorFlow does: as much as ceil(n / stride) outputs need, the odd pixel behind.
    """
    reach = (kernel - 1) * dilation + 1
    match layer.get("padding", "valid"):
        case "valid":
            if reach > n:
                raise BadModel("mismatch", f"the layer {layer.name!r} reaches over {reach} of {n} pixels")
            return (n - reach) // stride + 1, 0, 0
        case "same":
            length = -(-n // stride)
            missing = max((length - 1) * stride + reach - n, 0)
            return length, missing // 2, missing - missing // 2
        case other:
            raise layer.wrong("padding", other)


# --- shapes -------------------------------------------------------------------------------------


def flatten(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    require_channels_last(layer)
    return graph.reshape(graph.channels_last(x), (math.prod(x.shape),))


def reshape(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    target, size = layer.get("target_shape", None), math.prod(x.shape)
    if not isinstance(target, list) or not target or not all(is_integer(n) and (n == -1 or n > 0) for n in target):
        raise layer.wrong("target_shape", target)
    rest = size // math.prod(n for n in target if n != -1)  # what the axis of -1 gets
    shape = tuple(rest if n == -1 else n for n in target)
    if math.prod(shape) != size:
        raise BadModel("mismatch", f"the layer {layer.name!r} cannot make {shape} of {x.shape}")
    return graph.reshape(graph.channels_last(x), shape)


def add(graph: Graph, layer: Layer, *tensors: Tensor) -> Tensor:
    return combine(graph, layer, "Add", tensors, tensors[0].shape)


def average(graph: Graph, layer: Layer, *tensors: Tensor) -> Tensor:
    return combine(graph, layer, "Mean", tensors, tensors[0].shape)


def multiply(graph: Graph, layer: Layer, *tensors: Tensor) -> Tensor:
    """Multiply alike shapes, or (h, w, c) and (1, 1, c), which weighs the channels (Hu, Shen and Sun 2018)."""
    shape = max((tensor.shape for tensor in tensors), key=math.prod)
    weights = (1, 1, shape[-1])
    return combine(graph, layer, "Mul", tensors, shape, alike={shape, weights} if len(shape) == 3 else {shape})


def concatenate(graph: Graph, layer: Layer, *tensors: Tensor) -> Tensor:
    """Put channels behind channels."""
    first = tensors[0].shape
    if layer.get("axis", -1) not in (-1, len(first)):
        raise layer.wrong("axis", layer.get("axis", -1))
    alike = {tensor.shape for tensor in tensors if tensor.shape[:-1] == first[:-1]}
    shape = (*first[:-1], sum(tensor.shape[-1] for tensor in tensors))
    axis = 1 if tensors[0].channels_first else len(first)
    return combine(graph, layer, "Concat", tensors, shape, alike=alike, axis=axis)


def combine(
    graph: Graph, layer: Layer, operator: str, tensors: Sequence[Tensor], shape: Shape,
    alike: set[Shape] | None = None, **attributes: Any,
) -> Tensor:  # fmt: skip
    """Make one tensor of several, whose shapes are `alike`, and which come to lie as the first one does."""
    shapes = [tensor.shape for tensor in tensors]
    if len(tensors) < 2 or not set(shapes) <= (alike or {shape}):
        raise BadModel("unsupported", f"the layer {layer.name!r} is given the shapes {shapes}; they must be alike")
    turned = [graph.channels_first(x) if tensors[0].channels_first else graph.channels_last(x) for x in tensors]
    y = turned[0]
    if operator in ("Concat", "Mean"):
        return graph.add(operator, turned, shape, **attributes)
    for other in turned[1:]:
        y = graph.add(operator, [y, other], shape)
    return y


# --- element by element -------------------------------------------------------------------------


def rescaling(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    scale, offset = (per_channel(layer, key, default, x) for key, default in (("scale", None), ("offset", 0.0)))
    y = graph.add("Mul", [x, graph.along_channels(x, scale)], x.shape)
    return graph.add("Add", [y, graph.along_channels(x, offset)], x.shape)


def per_channel(layer: Layer, key: str, default: float | None, x: Tensor) -> Array:
    """Return one number, or one for each channel, as a float32 array of shape () or (c,)."""
    value = layer.get(key, default)
    values = value if isinstance(value, list) else [value]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= MAX_NUMBER for v in values)
    if not numbers or (isinstance(value, list) and len(value) not in (1, x.shape[-1])):
        raise layer.wrong(key, value)
    return np.asarray(value, np.float32)


def relu(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    """f(x) = min(x, max_value) from the threshold on, negative_slope (x - threshold) below it."""
    slope, threshold = layer.number("negative_slope", 0.0), layer.number("threshold", 0.0)
    if threshold:
        limit = graph.constant(threshold)
        excess = graph.add("Sub", [x, limit], x.shape)
        below = graph.add("Mul", [excess, graph.constant(slope)], x.shape)
        y = graph.add("Where", [graph.add("GreaterOrEqual", [x, limit], x.shape), x, below], x.shape)
    else:
        y = graph.add("LeakyRelu", [x], x.shape, alpha=slope) if slope else graph.add("Relu", [x], x.shape)
    if layer.get("max_value", None) is None:
        return y
    return graph.add("Min", [y, graph.constant(layer.number("max_value", 0.0))], x.shape)


def softmax(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    if layer.get("axis", -1) not in (-1, len(x.shape)):
        raise layer.wrong("axis", layer.get("axis", -1))
    return activate(graph, layer, x, "softmax")


def activation(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    return activate(graph, layer, x, layer.get("activation", "linear"))


def identity(graph: Graph, layer: Layer, x: Tensor) -> Tensor:
    """Dropout and its kin do nothing when a network predicts."""
    return x


def activate(graph: Graph, layer: Layer, x: Tensor, name: Any) -> Tensor:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise layer.wrong("activation", name)
    return ACTIVATIONS[name](graph, x)


# --- all of them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know of a class of layers."""

    write: Callable[..., Tensor]  # into the graph: of this, the layer, and its inputs
    weighted: bool = False  # has arrays of its own
    windowed: bool = False  # each pixel it gives is made of a window of those it is given
    pointwise: bool = False  # each pixel it gives is made of the one in the same place
    merges: bool = False  # takes more than one input
    arithmetic_free: bool = False  # changes no number, only where it stands


IDENTITY = Kind(identity, pointwise=True, arithmetic_free=True)
LAYERS = {
    "Dense": Kind(dense, weighted=True),
    "Conv2D": Kind(conv2d, weighted=True, windowed=True),
    "DepthwiseConv2D": Kind(depthwise_conv2d, weighted=True, windowed=True),
    "SeparableConv2D": Kind(separable_conv2d, weighted=True, windowed=True),
    "BatchNormalization": Kind(batch_normalization, weighted=True, pointwise=True),
    "MaxPooling2D": Kind(pool2d, windowed=True),
    "AveragePooling2D": Kind(pool2d, windowed=True),
    "GlobalAveragePooling2D": Kind(global_pooling2d),
    "GlobalMaxPooling2D": Kind(global_pooling2d),
    "ZeroPadding2D": Kind(zero_padding2d, arithmetic_free=True),
    "Flatten": Kind(flatten, arithmetic_free=True),
    "Reshape": Kind(reshape, arithmetic_free=True),
    "Add": Kind(add, merges=True),
    "Average": Kind(average, merges=True),
    "Multiply": Kind(multiply, merges=True),
    "Concatenate": Kind(concatenate, merges=True),
    "Rescaling": Kind(rescaling, pointwise=True),
    "ReLU": Kind(relu, pointwise=True),
    "Softmax": Kind(softmax),
    "Activation": Kind(activation, pointwise=True),
    "Dropout": IDENTITY,
    "SpatialDropout2D": IDENTITY,
    "AlphaDropout": IDENTITY,
    "GaussianDropout": IDENTITY,
    "GaussianNoise": IDENTITY,
    "ActivityRegularization": IDENTITY,
}
ARITHMETIC_FREE = {name for name, kind in LAYERS.items() if kind.arithmetic_free}
