"""Say each activation function of Keras in the operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from digits.graph import Graph, Tensor

Activation = Callable[[Graph, Tensor], Tensor]


def linear(graph: Graph, x: Tensor) -> Tensor:
    return x


def simple(operator: str, **attributes: Any) -> Activation:
    return lambda graph, x: graph.add(operator, [x], x.shape, **attributes)


def softmax_over_channels(graph: Graph, x: Tensor) -> Tensor:
    return graph.add("Softmax", [x], x.shape, axis=1 if x.channels_first else -1)


def relu6(graph: Graph, x: Tensor) -> Tensor:
    return graph.add("Clip", [x, graph.constant(0.0), graph.constant(6.0)], x.shape)


def hard_sigmoid(graph: Graph, x: Tensor) -> Tensor:
    """Keras 3 follows PyTorch, clip(x / 6 + 0.5, 0, 1); Keras 2 had a slope of 0.2."""
    return graph.add("HardSigmoid", [x], x.shape, alpha=0.2 if graph.keras < 3 else 1 / 6, beta=0.5)


def silu(graph: Graph, x: Tensor) -> Tensor:
    return graph.add("Mul", [x, graph.add("Sigmoid", [x], x.shape)], x.shape)


ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "relu": simple("Relu"),
    "relu6": relu6,
    "leaky_relu": simple("LeakyRelu", alpha=0.2),
    "elu": simple("Elu", alpha=1.0),
    "selu": simple("Selu", alpha=1.6732632423543772, gamma=1.0507009873554805),
    "gelu": simple("Gelu"),  # the exact one, with erf; the tanh approximation isn't Keras' default
    "silu": silu,
    "swish": silu,
    "mish": simple("Mish"),
    "softplus": simple("Softplus"),
    "softsign": simple("Softsign"),
    "tanh": simple("Tanh"),
    "sigmoid": simple("Sigmoid"),
    "hard_sigmoid": hard_sigmoid,
    "exponential": simple("Exp"),
    "softmax": softmax_over_channels,
}
