"""Turn a Keras `.h5` into an ONNX network that takes pixels and gives probabilities.

    bytes of .h5 -> hdf5 -> configuration -> topology -> preprocessing -> layers -> head -> bytes of .onnx

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
import os
import resource
import signal
import sys

import onnx
from onnx import TensorProto, helper

from digits import __version__, hdf5
from digits.configuration import read_layers
from digits.errors import EXIT_STATUS, BadModel
from digits.graph import Graph
from digits.hdf5 import SavedModel
from digits.head import as_answer
from digits.layers import Layer
from digits.parent import end_with_parent
from digits.preprocessing import input_tensor
from digits.sizes import CLASSES, SIDE
from digits.topology import connect, functional, sequential

OPSET = 20
IR_VERSION = 9
MAX_MEMORY = 2 << 30  # bytes of address space for the program; its libraries alone map half of a gibibyte


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
    """Return the network of a saved model. Raises `BadModel`, and anything where the configuration makes no sense."""
    described = read_layers(saved)
    layers = [layer for layer, _ in described]
    is_chain = saved.config["class_name"] == "Sequential"
    topology = sequential(layers) if is_chain else functional(described, saved.config["config"])
    graph = Graph(keras=3 if saved.keras_version.startswith("3") else 2)
    probabilities, presence = as_answer(graph, connect(graph, topology, input_tensor(graph, topology)))
    graph.nodes.append(helper.make_node("Identity", [probabilities.name], ["probabilities"]))
    graph.nodes.append(helper.make_node("Concat", ["probabilities", presence.name], ["judgements"], axis=1))
    model = wrap(graph)
    helper.set_model_props(model, describe(saved, layers) | {"elements": str(graph.elements)})
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
    }


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
