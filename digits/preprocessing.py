"""From pixels to what a network was trained on, as the first nodes of its graph.

pixels -> those on which the answer depends -> floats, in [0, 1] or not -> the shape of the input
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from digits.graph import Graph, Shape, Tensor
from digits.layers import ARITHMETIC_FREE, Layer, is_local, seen
from digits.sizes import SIDE
from digits.topology import Topology


def input_tensor(graph: Graph, topology: Topology) -> Tensor:
    """Turn the uint8 pixels into what the network was trained on.

    That is [0, 1], but 0…255 where the network begins by scaling such values itself: a Rescaling
    by 1/255 or 1/127.5, say. Pixels on which nothing depends are cut off: the classic network looks
    at 26×26, and takes a tenth less time for these.
    """
    pixels, sides = cut(graph, topology)
    floats = graph.add("Cast", [pixels], sides, to=TensorProto.FLOAT)
    if not scales_bytes(first_arithmetic(topology)):
        floats = graph.add("Div", [floats, graph.constant(255.0)], sides)
    shape = topology.shape if len(topology.shape) < 3 else (*sides, 1)
    return floats if shape == sides else graph.reshape(floats, shape)


def cut(graph: Graph, topology: Topology) -> tuple[Tensor | str, Shape]:
    """Return the pixels on which the answer may depend, and how many rows and columns these are."""
    layers = local_layers(topology) if len(topology.shape) == 3 else []
    h, w = sides = seen(layers, SIDE, 0), seen(layers, SIDE, 1)
    if sides == (SIDE, SIDE):
        return "pixels", sides
    bounds = [graph.constant(np.array(pair, np.int64)) for pair in ((0, 0), (h, w), (1, 2))]
    return graph.add("Slice", ["pixels", *bounds], sides), sides


def local_layers(topology: Topology) -> list[Layer]:
    """Return the layers through which alone the pixels go first, up to one that needs all of them."""
    layers: list[Layer] = []
    at = topology.source
    for _ in topology.calls:  # no more often: they might go round in circles
        following = [call for call in topology.calls if at in call.inputs]
        if at == topology.target or len(following) != 1 or not is_local(following[0].layer):
            break
        layers.append(following[0].layer)
        at = following[0].key
    return layers


def first_arithmetic(topology: Topology) -> Layer | None:
    """Return the first layer on the way from the input that changes numbers, not only their places."""
    at = topology.source
    for _ in topology.calls:  # no more often: they might go round in circles
        call = next((call for call in topology.calls if at in call.inputs), None)
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
