"""Turn a Keras `.h5` into an ONNX network that takes pixels and gives probabilities.

    bytes of .h5 -> digits.hdf5 -> configuration and weights -> digits.layers -> bytes of .onnx

As a program it does the same from standard input to standard output, so that a file from an
unknown hand can be read in a process of its own:

    python -m digits.convert < mnist_cnn_model.h5 > mnist_cnn_model.onnx

The network has one input, `pixels`, uint8 (n, 28, 28), and one output, `probabilities`,
float32 (n, 10). Keras isn't needed for any of this.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from digits import __version__, hdf5
from digits.errors import BadModel
from digits.hdf5 import SavedModel
from digits.layers import Graph, Layer, Shape, Tensor, apply

OPSET = 20
IR_VERSION = 9
MAX_MEMORY = 2 << 30  # bytes of address space for the program; its libraries alone map half of a gibibyte
REFUSED = 65  # exit status: the input was bad (EX_DATAERR of sysexits.h)
CLASSES = 10
INPUT_SHAPES: tuple[Shape, ...] = ((28, 28), (28, 28, 1), (784,))
KINDS = {"Sequential", "Functional", "Model"}  # the last one is what Keras called a Functional before 2.5
MODULES = {"keras", "tf_keras", "tensorflow"}  # the top level of where Keras' own classes lie
LINEAR = {"Gemm", "MatMul", "Add", "Mul", "Reshape"}  # operators whose results can be logits
Key = tuple[str, int]  # a layer's name and which of its calls


def to_onnx(data: bytes) -> bytes:
    """Convert the bytes of a `.h5` file. Raises `BadModel`."""
    saved = hdf5.read(data)
    try:
        return build(saved).SerializeToString()
    except BadModel:
        raise
    except Exception as exc:  # a configuration may put anything in any place
        raise BadModel("malformed", f"the configuration of the model makes no sense: {exc!r}") from exc


def build(saved: SavedModel) -> onnx.ModelProto:
    layers = list(read_layers(saved))
    graph = Graph(keras=3 if saved.keras_version.startswith("3") else 2)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 28, 28])
    if saved.config["class_name"] == "Sequential":
        output = connect_sequential(graph, layers)
    else:
        output = connect_functional(graph, layers, saved.config["config"])
    output = as_probabilities(graph, output)
    graph.nodes.append(helper.make_node("Identity", [output.name], ["probabilities"]))
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])
    body = helper.make_graph(graph.nodes, "digits", [pixels], [probabilities], graph.constants)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="digits", producer_version=__version__,
    )  # fmt: skip
    helper.set_model_props(model, describe(saved, layers))
    onnx.checker.check_model(model)
    return model


def describe(saved: SavedModel, layers: list[tuple[Layer, Any]]) -> dict[str, str]:
    return {
        "keras_version": saved.keras_version,
        "parameters": str(sum(array.size for layer, _ in layers for array in layer.weights.values())),
        "layers": json.dumps([layer.kind for layer, _ in layers]),
    }


# --- reading the configuration ------------------------------------------------------------------


def read_layers(saved: SavedModel) -> Iterator[tuple[Layer, Any]]:
    """Yield each layer with its own weights, and the description of its inputs (Functional models)."""
    kind, config = saved.config.get("class_name"), saved.config.get("config")
    refuse_custom(saved.config)
    if kind not in KINDS:
        raise BadModel("unsupported", f"the model is a {kind}; only Sequential and Functional ones are supported")
    entries = config["layers"] if isinstance(config, dict) else config  # Keras before 2.2.3 had a bare list
    left = dict(saved.weights)
    for entry in entries:
        refuse_custom(entry)
        name = str(entry["config"].get("name", entry.get("name", "")))
        paths = [path for path in left if path.startswith(f"{name}/")]
        weights = own_weights(name, {path: left.pop(path) for path in paths})
        yield Layer(str(entry["class_name"]), name, entry["config"], weights), entry.get("inbound_nodes")
    if left:
        raise BadModel("mismatch", f"the file holds weights of no layer: {', '.join(sorted(left))[:200]}")


def refuse_custom(entry: dict[str, Any]) -> None:
    """Refuse classes from outside Keras; `registered_name` and `module` say where Keras 3 would import them from."""
    kind, registered, module = entry.get("class_name"), entry.get("registered_name"), entry.get("module")
    if registered not in (None, kind):
        raise BadModel("unsupported", f"the class {registered!r} is not one of Keras' own")
    if module is not None and str(module).partition(".")[0] not in MODULES:
        raise BadModel("unsupported", f"the class {kind!r} comes from {module!r}, not from Keras")


def own_weights(layer: str, arrays: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Name arrays by the end of their path: `kernel`, without the `:0` of Keras 2."""
    weights = {path.rpartition("/")[2].removesuffix(":0"): array for path, array in arrays.items()}
    if len(weights) != len(arrays):
        raise BadModel("mismatch", f"the layer {layer!r} has two arrays of one name: {', '.join(arrays)}")
    return weights


# --- connecting the layers ----------------------------------------------------------------------


def connect_sequential(graph: Graph, layers: list[tuple[Layer, Any]]) -> Tensor:
    first = layers[0][0]
    x = input_tensor(graph, first, [layer for layer, _ in layers if layer.kind != "InputLayer"][0])
    for layer, _ in layers[first.kind == "InputLayer" :]:
        x = apply(graph, layer, [x])
    return x


def connect_functional(graph: Graph, layers: list[tuple[Layer, Any]], config: dict[str, Any]) -> Tensor:
    """Follow the calls of each layer in any order in which their inputs are known."""
    source, target = single(config["input_layers"], "input"), single(config["output_layers"], "output")
    calls = [(layer, index, list(inputs(call))) for layer, nodes in layers for index, call in enumerate(nodes or [])]
    first = next((layer for layer, _, keys in calls if source in keys), None)
    start = next(layer for layer, _ in layers if layer.name == source[0])
    if first is None or start.kind != "InputLayer":
        raise BadModel("malformed", "the input of the model leads nowhere")
    known: dict[Key, Tensor] = {source: input_tensor(graph, start, first)}
    while target not in known:
        ready = [call for call in calls if call[2] and all(key in known for key in call[2])]
        if not ready:
            raise BadModel("malformed", "the output of the model cannot be reached from its input")
        for layer, index, keys in ready:
            known[layer.name, index] = apply(graph, layer, [known[key] for key in keys])
        calls = [call for call in calls if (call[0].name, call[1]) not in known]
    return known[target]


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
        for argument in call["args"]:
            for tensor in argument if isinstance(argument, list) else [argument]:
                yield key(tensor["config"]["keras_history"])
    else:
        for history in call:
            yield key(history)


# --- both ends ----------------------------------------------------------------------------------


def input_tensor(graph: Graph, first: Layer, following: Layer) -> Tensor:
    """Turn the uint8 pixels into what the network was trained on.

    That is [0, 1], but 0…255 where the network begins by scaling such values itself: a Rescaling
    by 1/255 or 1/127.5, say.
    """
    shape = input_shape(first)
    floats = graph.add("Cast", ["pixels"], (28, 28), to=TensorProto.FLOAT)
    takes_bytes = following.kind == "Rescaling" and following.number("scale", 1.0) < 1 / 16
    if not takes_bytes:
        floats = graph.add("Div", [floats, graph.constant(255.0)], (28, 28))
    return floats if shape == (28, 28) else graph.reshape(floats, shape)


def input_shape(first: Layer) -> Shape:
    """Return the shape that the first layer declares: `batch_shape` in Keras 3, `batch_input_shape` in Keras 2."""
    declared = first.config.get("batch_shape", first.config.get("batch_input_shape"))
    shape = tuple(declared[1:]) if isinstance(declared, list) else None
    if shape not in INPUT_SHAPES:
        raise BadModel("unsupported", f"the model takes {shape}; supported are {', '.join(map(str, INPUT_SHAPES))}")
    return shape


def as_probabilities(graph: Graph, x: Tensor) -> Tensor:
    """Check that ten numbers come out, and that they are probabilities; logits get their softmax here."""
    if x.shape != (CLASSES,):
        raise BadModel("unsupported", f"the model gives {x.shape}; ten probabilities are needed")
    end = next(node.op_type for node in graph.nodes if x.name in node.output)
    if end == "Softmax":
        return x
    if end not in LINEAR:
        raise BadModel("unsupported", f"the model ends in {end}, which gives no probabilities; end it with softmax")
    return graph.add("Softmax", [x], x.shape, axis=-1)


def main() -> int:
    limit_memory()
    try:
        sys.stdout.buffer.write(to_onnx(sys.stdin.buffer.read(hdf5.MAX_BYTES + 1)))
    except BadModel as exc:
        print(json.dumps({"code": exc.code, "message": str(exc)}), file=sys.stderr)
        return REFUSED
    return 0


def limit_memory() -> None:
    if sys.platform == "linux":  # elsewhere the limit is absent, or not kept
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = MAX_MEMORY if hard == resource.RLIM_INFINITY else min(MAX_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    sys.exit(main())
