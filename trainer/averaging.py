"""Several Keras networks made one, whose answer is the mean of theirs. Knows nothing of manifests and data.

    .h5 -> keras.Model -> copy, its layers named anew -> their mean

The copies lie side by side in one flat Functional model, of layers that the kernel reads: a model
within a model it does not. Means of probabilities are what deep ensembles give (Lakshminarayanan
and others 2017).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from digits.errors import BadModel
from digits.image import Pixels
from digits.layers import ARITHMETIC_FREE, Layer
from digits.preprocessing import scales_bytes
from digits.sizes import CLASSES
from trainer import calibrate, fit
from trainer.architectures import TAKES

SHAPE = TAKES[1:]
ENDS = (keras.activations.softmax, keras.activations.linear)  # of a network that gives probabilities, or logits


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A network that answers with the mean of its parts, whose weights are its own; all take (n, 28, 28, 1)."""

    model: keras.Model
    parts: list[keras.Model]

    def answers(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the probabilities (1 + k, n, 10) of the mean, and then of each part, for (n, 28, 28) pixels."""
        outputs = [each.outputs[0] for each in (self.model, *self.parts)]
        return fit.predict(keras.Model(self.model.inputs[0], outputs), pixels)

    def cool(self, temperature: float) -> None:
        """Divide the logits of each part."""
        for each in self.parts:
            calibrate.cool(each, temperature)

    def h5(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.h5"
            self.model.save(path)
            return path.read_bytes()


def load(h5: bytes) -> keras.Model:
    """Return a network that can be a member, from a `.h5` that the kernel has read already. Raises `BadModel`."""
    return member(in_keras(h5))


def as_served(h5: bytes) -> keras.Model:
    """Return a network from (n, 28, 28, 1) in [0, 1] to probabilities, a single one or an ensemble of ours.

    Whether it answers as the kernel does is for whoever asks to see. Raises `BadModel`.
    """
    model = in_keras(h5)
    if isinstance(model.layers[-1], keras.layers.Average):
        return model
    image = keras.Input(SHAPE)
    return keras.Model(image, inlined(member(model), image, "teacher"))


def member(model: keras.Model) -> keras.Model:
    """Return the same network if it can be a member. Raises `BadModel`."""
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.units != CLASSES or last.activation not in ENDS:
        raise BadModel("unsupported", f"it ends in {last.name!r}, not in a Dense layer of ten, with a softmax or none")
    return model


def in_keras(h5: bytes) -> keras.Model:
    """Return what Keras makes of the bytes of a `.h5`. Raises `BadModel`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        path.write_bytes(h5)
        try:
            return keras.models.load_model(path, compile=False)
        except Exception as exc:  # a file of another version of Keras may raise anything
            reason = " ".join(str(exc).split())
            raise BadModel("unsupported", f"Keras {keras.__version__} cannot load it: {reason}") from exc


def mean_of(models: Sequence[keras.Model]) -> Ensemble:
    """Return the ensemble of copies of some networks."""
    image = keras.Input(SHAPE, name="image")
    answers = [inlined(model, image, f"member{number}") for number, model in enumerate(models, 1)]
    mean = keras.layers.Average(name="mean")(answers)
    return Ensemble(keras.Model(image, mean, name="ensemble"), [keras.Model(image, answer) for answer in answers])


def inlined(model: keras.Model, image: Any, name: str) -> Any:
    """Return the probabilities that a copy of a network gives for an image, every layer a layer of its own."""
    x = image
    if takes_bytes(model):
        x = keras.layers.Rescaling(255.0, name=f"{name}_bytes")(x)
    if model.input_shape[1:] != SHAPE:
        x = keras.layers.Reshape(model.input_shape[1:], name=f"{name}_input")(x)
    copy = keras.models.clone_model(
        keras.Model(model.inputs[0], model.outputs[0]),
        input_tensors=image,
        clone_function=lambda layer: renamed(layer, name, model.layers[-1]),
        call_function=lambda layer, *given, **more: layer(*with_(x, given, instead_of=image), **more),
    )  # and not model(x), which would make a layer of the whole
    copy.set_weights(model.get_weights())
    return copy.output


def with_(x: Any, given: Any, *, instead_of: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: x if tensor is instead_of else tensor, given)


def renamed(layer: keras.Layer, name: str, last: keras.Layer) -> keras.Layer:
    """Return a layer like another with a name that no other member has; the last one gives probabilities."""
    settings = layer.get_config() | {"name": f"{name}_{layer.name}"}
    if layer is last:
        settings["activation"] = "softmax"
    return type(layer).from_config(settings)


def takes_bytes(model: keras.Model) -> bool:
    """Tell whether a network is given 0 to 255, as the kernel does: one that begins by scaling them itself."""
    kinds = ((type(layer).__name__, layer) for layer in model.layers)
    first = next((pair for pair in kinds if pair[0] not in ARITHMETIC_FREE | {"InputLayer"}), None)
    return first is not None and scales_bytes(Layer(first[0], first[1].name, first[1].get_config(), {}))
