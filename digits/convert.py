"""Turn a Keras `.h5` into an ONNX network that takes pixels and gives probabilities.

    bytes of .h5 -> digits.hdf5 -> configuration and weights -> digits.layers -> bytes of .onnx

As a program it does the same from standard input to standard output, so that a file from an
unknown hand can be read in a process of its own:

    python -m digits.convert [PARENT] < mnist_cnn_model.h5 > mnist_cnn_model.onnx

It ends with the process PARENT, if the one that starts it gives its id.

The network has one input, `pixels`, uint8 (n, 28, 28), and two outputs, both float32: `probabilities`
(n, 10), which are those of Keras, and `judgements` (n, 11), these and the presence of a digit. Keras
isn't needed for any of this.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from digits import __version__, hdf5
from digits.errors import EXIT_STATUS, BadModel
from digits.graph import Array, Graph, Shape, Tensor
from digits.hdf5 import SavedModel
from digits.layers import ARITHMETIC_FREE, LAYERS, Layer, apply, is_local, seen
from digits.parent import end_with_parent
from digits.sizes import CLASSES, SIDE

OPSET = 20
IR_VERSION = 9
MAX_MEMORY = 2 << 30  # bytes of address space for the program; its libraries alone map half of a gibibyte
MAX_CALLS = 1_000  # of layers, and of layers by the model
INPUT_SHAPES: tuple[Shape, ...] = ((SIDE, SIDE), (SIDE, SIDE, 1), (SIDE * SIDE,))
KINDS = {"Sequential", "Functional", "Model"}  # the last one is what Keras called a Functional before 2.5
MODULES = {"keras", "tf_keras", "tensorflow"}  # the top level of where Keras' own classes lie
LINEAR = {"Gemm", "MatMul", "Conv", "Add", "Mul"}  # operators whose results can be logits
BLENDING = {"Add", "Mul", "Mean"}  # operators that make no logits of a softmax
TRANSPARENT = {"Reshape", "Transpose", "GlobalAveragePool", "AveragePool"}  # what goes through stays what it is
Key = tuple[str, int]  # a layer's name and which of its calls
Weights = dict[str, Array]


def to_onnx(data: bytes) -> bytes:
    """Convert the bytes of a `.h5` file. Raises `BadModel`."""
    saved = hdf5.read(data)
    try:
        return bytes(build(saved).SerializeToString())
    except (BadModel, MemoryError):  # which says nothing of the file
        raise
    except Exception as exc:  # a configuration may put anything in any place
        raise BadModel("malformed", f"the configuration of the model makes no sense: {exc!r}") from exc


def build(saved: SavedModel) -> onnx.ModelProto:
    layers = read_layers(saved)
    graph = Graph(keras=3 if saved.keras_version.startswith("3") else 2)
    if saved.config["class_name"] == "Sequential":
        wiring = chain([layer for layer, _ in layers])
    else:
        wiring = follow(layers, saved.config["config"])
    probabilities, presence = as_answer(graph, connect(graph, wiring))
    graph.nodes.append(helper.make_node("Identity", [probabilities.name], ["probabilities"]))
    graph.nodes.append(helper.make_node("Concat", ["probabilities", presence.name], ["judgements"], axis=1))
    model = wrap(graph)
    helper.set_model_props(model, describe(saved, [layer for layer, _ in layers]))
    onnx.checker.check_model(model)
    return model


def wrap(graph: Graph) -> onnx.ModelProto:
    """Declare what goes in and what comes out."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])
    judgements = helper.make_tensor_value_info("judgements", TensorProto.FLOAT, ["n", CLASSES + 1])
    return helper.make_model(
        helper.make_graph(graph.nodes, "digits", [pixels], [probabilities, judgements], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="digits", producer_version=__version__,
    )  # fmt: skip


def describe(saved: SavedModel, layers: list[Layer]) -> dict[str, str]:
    return {
        "keras_version": saved.keras_version,
        "parameters": str(sum(array.size for layer in layers for array in layer.weights.values())),
        "layers": json.dumps([layer.kind for layer in layers]),
    }


# --- reading the configuration ------------------------------------------------------------------


def read_layers(saved: SavedModel) -> list[tuple[Layer, Any]]:
    """Return each layer with its own weights, and the description of its inputs (Functional models)."""
    kind, config = saved.config.get("class_name"), saved.config.get("config")
    refuse_custom(saved.config)
    if kind not in KINDS:
        raise BadModel("unsupported", f"the model is a {kind}; only Sequential and Functional ones are supported")
    entries: list[Any] = config["layers"] if isinstance(config, dict) else config or []  # a list before Keras 2.2.3
    if not entries or len(entries) > MAX_CALLS:
        raise BadModel("malformed", f"the model has {len(entries)} layers; from 1 to {MAX_CALLS:,} are read")
    for entry in entries:
        refuse_custom(entry)
        require_supported(entry)
    names = [str(entry["config"].get("name", entry.get("name", ""))) for entry in entries]
    weights = share_out(saved.weights, names)
    return [
        (
            Layer(entry["class_name"], name, entry["config"], own_weights(name, weights[name])),
            entry.get("inbound_nodes"),
        )
        for entry, name in zip(entries, names, strict=True)
    ]


def require_supported(entry: dict[str, Any]) -> None:
    kind = entry["class_name"]
    if kind != "InputLayer" and kind not in LAYERS:
        name = entry["config"].get("name")
        raise BadModel("unsupported", f"the layer {name!r} is a {kind}, which is not supported")


def refuse_custom(entry: dict[str, Any]) -> None:
    """Refuse classes from outside Keras; `registered_name` and `module` say where Keras 3 would import them from."""
    kind, registered, module = entry.get("class_name"), entry.get("registered_name"), entry.get("module")
    if registered not in (None, kind):
        raise BadModel("unsupported", f"the class {registered!r} is not one of Keras' own")
    if module is not None and str(module).partition(".")[0] not in MODULES:
        raise BadModel("unsupported", f"the class {kind!r} comes from {module!r}, not from Keras")


def share_out(weights: Weights, names: list[str]) -> dict[str, Weights]:
    """Give each array to the layer whose name begins its path, to the longest such: names may contain slashes."""
    shares: dict[str, Weights] = {name: {} for name in names}
    if len(shares) != len(names):
        raise BadModel("malformed", "two layers of the model have the same name")
    for path, array in weights.items():
        parts = path.split("/")
        prefixes = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
        owner = next((prefix for prefix in prefixes if prefix in shares), None)
        if owner is None:
            raise BadModel("mismatch", f"the file holds weights of no layer: {path}")
        shares[owner][path] = array
    return shares


def own_weights(layer: str, arrays: Weights) -> Weights:
    """Name arrays by the end of their path: `kernel`, without the `:0` of Keras 2."""
    weights = {path.rpartition("/")[2].removesuffix(":0"): array for path, array in arrays.items()}
    if len(weights) != len(arrays):
        raise BadModel("mismatch", f"the layer {layer!r} has two arrays of one name: {', '.join(arrays)}")
    return weights


# --- connecting the layers ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer; a layer that is shared has several."""

    key: Key
    layer: Layer
    inputs: list[Key]


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the layers are called, from one input of a given shape to one output."""

    calls: list[Call]
    source: Key
    target: Key
    shape: Shape


def chain(layers: list[Layer]) -> Wiring:
    """Wire a Sequential model. Keras 2 may do without an InputLayer: its first layer has the shape then."""
    first, rest = layers[0], layers[layers[0].kind == "InputLayer" :]
    keys = [(first.name, -1), *((layer.name, 0) for layer in rest)]
    calls = [Call(key, layer, [before]) for before, key, layer in zip(keys, keys[1:], rest, strict=False)]
    return Wiring(calls, keys[0], keys[-1], input_shape(first))


def follow(layers: list[tuple[Layer, Any]], config: dict[str, Any]) -> Wiring:
    """Wire a Functional model."""
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
    return Wiring(calls, source, target, input_shape(first))


def connect(graph: Graph, wiring: Wiring) -> Tensor:
    """Apply the layers in any order in which their inputs are known."""
    known = {wiring.source: input_tensor(graph, wiring)}
    waiting = wiring.calls
    while wiring.target not in known:
        ready = [call for call in waiting if call.inputs and all(key in known for key in call.inputs)]
        if not ready:
            raise BadModel("malformed", "the output of the model cannot be reached from its input")
        for call in ready:
            known[call.key] = apply(graph, call.layer, [known[key] for key in call.inputs])
        waiting = [call for call in waiting if call.key not in known]
    return known[wiring.target]


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


# --- both ends ----------------------------------------------------------------------------------


def input_tensor(graph: Graph, wiring: Wiring) -> Tensor:
    """Turn the uint8 pixels into what the network was trained on.

    That is [0, 1], but 0…255 where the network begins by scaling such values itself: a Rescaling
    by 1/255 or 1/127.5, say. Pixels on which nothing depends are cut off: the classic network looks
    at 26×26, and takes a tenth less time for these.
    """
    pixels, sides = cut(graph, wiring)
    floats = graph.add("Cast", [pixels], sides, to=TensorProto.FLOAT)
    if not scales_bytes(first_arithmetic(wiring)):
        floats = graph.add("Div", [floats, graph.constant(255.0)], sides)
    shape = wiring.shape if len(wiring.shape) < 3 else (*sides, 1)
    return floats if shape == sides else graph.reshape(floats, shape)


def cut(graph: Graph, wiring: Wiring) -> tuple[Tensor | str, Shape]:
    """Return the pixels on which the answer may depend, and how many rows and columns these are."""
    layers = local_layers(wiring) if len(wiring.shape) == 3 else []
    h, w = sides = seen(layers, SIDE, 0), seen(layers, SIDE, 1)
    if sides == (SIDE, SIDE):
        return "pixels", sides
    bounds = [graph.constant(np.array(pair, np.int64)) for pair in ((0, 0), (h, w), (1, 2))]
    return graph.add("Slice", ["pixels", *bounds], sides), sides


def local_layers(wiring: Wiring) -> list[Layer]:
    """Return the layers through which alone the pixels go first, up to one that needs all of them."""
    layers: list[Layer] = []
    at = wiring.source
    for _ in wiring.calls:  # no more often: they might go round in circles
        following = [call for call in wiring.calls if at in call.inputs]
        if at == wiring.target or len(following) != 1 or not is_local(following[0].layer):
            break
        layers.append(following[0].layer)
        at = following[0].key
    return layers


def first_arithmetic(wiring: Wiring) -> Layer | None:
    """Return the first layer on the way from the input that changes numbers, not only their places."""
    at = wiring.source
    for _ in wiring.calls:  # no more often: they might go round in circles
        call = next((call for call in wiring.calls if at in call.inputs), None)
        if call is None or call.layer.kind not in ARITHMETIC_FREE:
            return call.layer if call else None
        at = call.key
    return None


def scales_bytes(layer: Layer | None) -> bool:
    if layer is None or layer.kind != "Rescaling":
        return False
    scale = layer.get("scale", 1.0)
    return all(
        isinstance(value, float) and abs(value) < 1 / 16 for value in (scale if isinstance(scale, list) else [scale])
    )


def input_shape(first: Layer) -> Shape:
    """Return the shape that the first layer declares: `batch_shape` in Keras 3, `batch_input_shape` in Keras 2."""
    declared = first.config.get("batch_shape", first.config.get("batch_input_shape"))
    shape = tuple(declared[1:]) if isinstance(declared, list) else None
    if shape not in INPUT_SHAPES:
        raise BadModel("unsupported", f"the model takes {shape}; supported are {', '.join(map(str, INPUT_SHAPES))}")
    return shape


def as_answer(graph: Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities (10,), and how likely there is a digit at all (1,).

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


def main() -> int:
    if len(sys.argv) > 1:
        end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    limit_memory()
    try:
        sys.stdout.buffer.write(to_onnx(sys.stdin.buffer.read(hdf5.MAX_BYTES + 1)))
    except BadModel as exc:
        print(json.dumps({"code": exc.code, "message": str(exc)}), file=sys.stderr)
        return EXIT_STATUS
    return 0


def limit_memory() -> None:
    if sys.platform == "linux":  # elsewhere the limit is absent, or not kept
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = MAX_MEMORY if hard == resource.RLIM_INFINITY else min(MAX_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # to take the libraries down in good order takes a seventh of the whole
