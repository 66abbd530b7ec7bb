"""The head of a network: from what its last layer gives to probabilities and presence.

    last tensor -> its softmax, or one for its logits -> probabilities
                -> the logits of that softmax -> presence of a digit

Knows nothing of the layers, only of the nodes that they left in the graph.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper

from digits.errors import BadModel
from digits.graph import Graph, Tensor
from digits.sizes import CLASSES

LINEAR = {"MatMul", "Conv", "Add", "Mul"}  # operators whose results can be logits
BLENDING = {"Add", "Mul", "Mean"}  # operators that make no logits of a softmax
TRANSPARENT = {"Reshape", "Transpose", "GlobalAveragePool", "AveragePool"}  # what goes through stays what it is


def as_answer(graph: Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities (10,), and how likely there is a digit at all (1,). Raises `BadModel`.

    The latter is the sigmoid of the negative free energy of the logits (Liu and others 2020); of
    several networks, or of several places in the image, the mean, as for the probabilities.
    """
    probabilities = as_probabilities(graph, x)
    every = [presence(graph, softmax) for softmax in ends(graph, probabilities.name)]
    return probabilities, graph.add("Mean", every, (1,)) if len(every) > 1 else every[0]


def presence(graph: Graph, softmax: onnx.NodeProto) -> Tensor:
    """Return the presence that the logits of a softmax tell of, which are (10,), or (h, w, 10) before a pooling."""
    name, axis = softmax.input[0], helper.get_node_attr_value(softmax, "axis")
    logits = Tensor(name, graph.shapes[name], channels_first=axis == 1)
    places = math.prod(logits.shape) // CLASSES
    rows = graph.reshape(graph.channels_last(logits), (places, CLASSES))
    energies = graph.add("ReduceLogSumExp", [rows, graph.constant(np.array([2], np.int64))], (places,), keepdims=0)
    each = graph.add("Sigmoid", [energies], (places,))
    return each if places == 1 else graph.add("ReduceMean", [each, graph.constant(np.array([1], np.int64))], (1,))


def as_probabilities(graph: Graph, x: Tensor) -> Tensor:
    """Check that ten numbers come out, and that they are probabilities; logits get their softmax here."""
    if x.shape != (CLASSES,):
        raise BadModel("unsupported", f"the model gives {x.shape}; ten probabilities are needed")
    last = ends(graph, x.name)
    if all(node.op_type == "Softmax" and graph.shapes[node.output[0]][-1] == CLASSES for node in last):
        return x
    kind = last[0].op_type if len(last) == 1 else "Mean"
    if kind not in LINEAR:
        raise BadModel("unsupported", f"the model ends in {kind}, which gives no probabilities; use softmax")
    if blends_softmax(graph, x.name):
        message = "the model ends in sums or products of a softmax, which are no probabilities; use softmax, or Average"
        raise BadModel("unsupported", message)
    return graph.add("Softmax", [x], x.shape, axis=-1)


def blends_softmax(graph: Graph, name: str) -> bool:
    """Tell whether a value comes from a softmax by way of nothing but sums, products, means and shapes."""
    makers = {node.output[0]: node for node in graph.nodes}
    waiting, seen = [name], set[str]()
    while waiting:
        node = makers.get(at := waiting.pop())
        if node is None or at in seen:  # a constant, or known
            continue
        seen.add(at)
        if node.op_type == "Softmax":
            return True
        if node.op_type in BLENDING | TRANSPARENT:
            waiting += node.input
    return False


def ends(graph: Graph, name: str) -> list[onnx.NodeProto]:
    """Return the node that made a value; for a mean, those that made what it is the mean of."""
    makers = {node.output[0]: node for node in graph.nodes}
    last = last_arithmetic(makers, name)
    return [last_arithmetic(makers, part) for part in last.input] if last.op_type == "Mean" else [last]


def last_arithmetic(makers: dict[str, onnx.NodeProto], name: str) -> onnx.NodeProto:
    """Return the node that made a value, in another shape perhaps; a mean over places is one."""
    node = makers[name]
    while node.op_type in TRANSPARENT:
        node = makers[node.input[0]]
    return node
