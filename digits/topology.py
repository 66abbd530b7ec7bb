"""How the layers of a model are connected, from its input to its output.

    layers and what they are called on -> calls, from one input to one output -> applied in order

Knows nothing of what the layers compute, nor of what goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from digits.errors import BadModel
from digits.graph import Graph, Shape, Tensor
from digits.layers import Layer, apply
from digits.sizes import SIDE

MAX_CALLS = 1_000  # of layers by the model
INPUT_SHAPES: tuple[Shape, ...] = ((SIDE, SIDE), (SIDE, SIDE, 1), (SIDE * SIDE,))

Key = tuple[str, int]  # a layer's name and which of its calls


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer; a layer that is shared has several."""

    key: Key
    layer: Layer
    inputs: list[Key]


@dataclass(frozen=True, slots=True)
class Topology:
    """How the layers are called, from one input of a given shape to one output."""

    calls: list[Call]
    source: Key
    target: Key
    shape: Shape


def sequential(layers: list[Layer]) -> Topology:
    """Return the topology of a Sequential model. Raises `BadModel`.

    Keras 2 may do without an InputLayer: its first layer has the shape then.
    """
    first, rest = layers[0], layers[layers[0].kind == "InputLayer" :]
    keys = [(first.name, -1), *((layer.name, 0) for layer in rest)]
    calls = [Call(key, layer, [before]) for before, key, layer in zip(keys, keys[1:], rest, strict=False)]
    return Topology(calls, keys[0], keys[-1], input_shape(first))


def functional(layers: list[tuple[Layer, Any]], config: dict[str, Any]) -> Topology:
    """Return the topology of a Functional model, of layers and what each is called on. Raises `BadModel`."""
    source, target = single(config["input_layers"], "input"), single(config["output_layers"], "output")
    first = next((layer for layer, _ in layers if layer.name == source[0] and layer.kind == "InputLayer"), None)
    if first is None:
        raise BadModel("malformed", f"the input {source[0]!r} of the model is none of its layers")
    calls = [
        Call((layer.name, index), layer, list(inputs(call)))
        for layer, nodes in layers
        for index, call in enumerate(nodes or [])
    ]
    if len(calls) > MAX_CALLS:
        raise BadModel("too_large", f"the model calls its layers {len(calls):,} times; at most {MAX_CALLS:,}")
    return Topology(calls, source, target, input_shape(first))


def connect(graph: Graph, topology: Topology, x: Tensor) -> Tensor:
    """Apply the layers to an input, in any order in which theirs are known; returns the output. Raises `BadModel`."""
    known = {topology.source: x}
    waiting = topology.calls
    while topology.target not in known:
        ready = [call for call in waiting if call.inputs and all(key in known for key in call.inputs)]
        if not ready:
            raise BadModel("malformed", "the output of the model cannot be reached from its input")
        for call in ready:
            known[call.key] = apply(graph, call.layer, [known[key] for key in call.inputs])
        waiting = [call for call in waiting if call.key not in known]
    return known[topology.target]


def single(value: Any, what: str) -> Key:
    """Return the one end of a model: `["in", 0, 0]` (Keras 3) or `[["in", 0, 0]]`."""
    ends = [value] if value and isinstance(value[0], str) else value
    if len(ends) != 1:
        raise BadModel("unsupported", f"the model has {len(ends)} {what}s; only one is supported")
    return key(ends[0])


def key(history: Any) -> Key:
    name, node, tensor = history[:3]
    if tensor != 0:
        raise BadModel("unsupported", f"the layer {name!r} has more than one output")
    return str(name), int(node)


def inputs(call: Any) -> Iterator[Key]:
    """Yield which tensors a layer is called on.

    Keras 3 writes `{"args": [<tensor> or [<tensor>, …]], "kwargs": {…}}`, Keras 2 `[["name", 0, 0, {…}], …]`.
    """
    if isinstance(call, dict):
        refuse_arguments(call.get("kwargs", {}))
        for argument in call["args"]:
            for tensor in argument if isinstance(argument, list) else [argument]:
                yield key(tensor["config"]["keras_history"])
    else:
        for history in call:
            refuse_arguments(history[3] if len(history) > 3 else {})
            yield key(history)


def refuse_arguments(arguments: dict[str, Any]) -> None:
    """Refuse what changes a prediction: a Dropout that is called with training=True goes on dropping."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise BadModel("unsupported", f"a layer is called with {name}={value!r}")


def input_shape(first: Layer) -> Shape:
    """Return the shape that the first layer declares: `batch_shape` in Keras 3, `batch_input_shape` in Keras 2."""
    declared = first.config.get("batch_shape", first.config.get("batch_input_shape"))
    shape = tuple(declared[1:]) if isinstance(declared, list) else None
    if shape not in INPUT_SHAPES:
        raise BadModel("unsupported", f"the model takes {shape}; supported are {', '.join(map(str, INPUT_SHAPES))}")
    return shape
