"""Read the layers of a model from its configuration, and give each its own weights.

    configuration and weights of the file -> what is none of Keras' own: refused -> layers

Knows nothing of how the layers are connected, which is `digits.topology`'s, nor of what they compute.
"""

from __future__ import annotations

from typing import Any

from digits.errors import BadModel
from digits.graph import Array
from digits.hdf5 import SavedModel
from digits.layers import LAYERS, Layer

MAX_LAYERS = 1_000
KINDS = {"Sequential", "Functional", "Model"}  # the last one is what Keras called a Functional before 2.5
MODULES = {"keras", "tf_keras", "tensorflow"}  # the top level of where Keras' own classes lie

Weights = dict[str, Array]


def read_layers(saved: SavedModel) -> list[tuple[Layer, Any]]:
    """Return each layer with its own weights, and what it is called on (Functional models). Raises `BadModel`."""
    kind, config = saved.config.get("class_name"), saved.config.get("config")
    refuse_custom(saved.config)
    if kind not in KINDS:
        raise BadModel("unsupported", f"the model is a {kind}; only Sequential and Functional ones are supported")
    entries: list[Any] = config["layers"] if isinstance(config, dict) else config or []  # a list before Keras 2.2.3
    if not entries or len(entries) > MAX_LAYERS:
        raise BadModel("malformed", f"the model has {len(entries)} layers; from 1 to {MAX_LAYERS:,} are read")
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
