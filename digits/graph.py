"""An ONNX graph in the making, that knows the shape of every value and which way it lies.

Keras computes with the channels last, ONNX with the channels first. A `Tensor` remembers which
way its values lie, so that a transposition is written only where the order changes. All shapes
are known before anything runs; what would need an absurd amount of memory or time is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from digits.errors import BadModel

MAX_ELEMENTS = 1 << 20  # floats in one tensor of one image: 4 MiB
MAX_TOTAL = 1 << 24  # floats in all of them together, which may be needed at once: 64 MiB
MAX_WORK = 6_000_000_000  # multiplications for one image, some 0.15 s; the classic network takes 2.6 million
MAX_NODES = 2_000

Shape = tuple[int, ...]  # without the batch, channels last: (28, 28, 1)
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value in the graph: `shape` is channels last, `channels_first` says which way it lies."""

    name: str
    shape: Shape
    channels_first: bool = False


@dataclass(slots=True)
class Graph:
    """An ONNX graph in the making. `keras` is the major version that wrote the file."""

    keras: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    elements: int = 0  # in all tensors of one image
    work: int = 0  # multiplications for one image, or what takes as long

    def add(
        self, operator: str, inputs: Sequence[Tensor | str], shape: Shape, *, each: int = 1, **attributes: Any
    ) -> Tensor:
        """Append a node, and return its output, which lies the way its first input does.

        `shape` is that of the output, without the batch and channels last, whichever way it lies; each of its
        numbers takes `each` multiplications. Raises `BadModel` for more of anything than a graph may have.
        """
        if math.prod(shape) > MAX_ELEMENTS:
            raise BadModel("too_large", f"a layer's output of shape {shape} is more than {MAX_ELEMENTS:,} numbers")
        self.elements += math.prod(shape)
        if self.elements > MAX_TOTAL:
            raise BadModel("too_large", f"the outputs of all layers are more than {MAX_TOTAL:,} numbers")
        self.work += each * math.prod(shape)
        if self.work > MAX_WORK:
            raise BadModel("too_large", f"the model takes more than {MAX_WORK:,} multiplications an image")
        if len(self.nodes) >= MAX_NODES:
            raise BadModel("too_large", f"the model takes more than {MAX_NODES:,} operations")
        names = [item if isinstance(item, str) else item.name for item in inputs]
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        self.shapes[output] = shape
        first = inputs[0]
        return Tensor(output, shape, isinstance(first, Tensor) and first.channels_first)

    def constant(self, value: NDArray[Any] | float) -> str:
        array = np.asarray(value, np.float32) if not isinstance(value, np.ndarray) else value
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        target = self.constant(np.array([-1, *shape], np.int64))
        return replace(self.add("Reshape", [x, target], shape), channels_first=False)

    def channels_first(self, x: Tensor) -> Tensor:
        if x.channels_first:
            return x
        if len(x.shape) != 3:
            raise BadModel("unsupported", f"a layer for images of shape (h, w, c) is given {x.shape}")
        if x.shape[2] == 1:  # the same bytes either way
            h, w, c = x.shape
            return replace(self.reshape(x, (c, h, w)), shape=x.shape, channels_first=True)
        return replace(self.add("Transpose", [x], x.shape, perm=[0, 3, 1, 2]), channels_first=True)

    def channels_last(self, x: Tensor) -> Tensor:
        if not x.channels_first:
            return x
        return replace(self.add("Transpose", [x], x.shape, perm=[0, 2, 3, 1]), channels_first=False)

    def along_channels(self, x: Tensor, values: Array) -> str:
        """Return a constant that is broadcast along the last axis of Keras."""
        return self.constant(values.reshape(-1, 1, 1) if x.channels_first and values.ndim else values)
