"""Pixels to probabilities, by ONNX Runtime, for any Keras `.h5` that `digits.convert` understands."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.conversion import convert
from digits.errors import BadModel
from digits.image import Pixels
from digits.judgements import Judgements, Probabilities
from digits.sizes import SIDE

AT_ONCE = 32  # images in one run: what lies between the layers of more does not stay in the cache
MOST_ELEMENTS = 1 << 25  # floats between the layers, in all of a run: 128 MiB; a huge network gets fewer images


class Network:
    """A network that is ready to run, on the thread that calls it; several may at once.

    `parameters` counts its weights, and `keras_version` is that of the Keras that saved it.
    """

    def __init__(self, model: bytes) -> None:
        onnxruntime = prepare()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # callers share the cores out by images, which wastes less of them
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime has a dozen classes of them, and no common one
            raise BadModel("unsupported", f"ONNX Runtime cannot run the model: {exc}") from exc
        properties = self._session.get_modelmeta().custom_metadata_map
        self.parameters = int(properties["parameters"])
        self._at_once = min(max(MOST_ELEMENTS // int(properties["elements"]), 1), AT_ONCE)
        self.keras_version = properties["keras_version"]

    def __call__(self, batch: Pixels) -> Probabilities:
        """Return (n, 10) probabilities for (n, 28, 28) pixels, n ≥ 1."""
        return self._run("probabilities", batch)

    def judge(self, batch: Pixels) -> Judgements:
        """Return (n, 11) judgements for (n, 28, 28) pixels, n ≥ 1.

        Presence is `sigmoid(logsumexp(logits))`, an energy score (Liu et al. 2020). It means something only
        for networks trained with images without a digit; for others it stays near 1.
        """
        return self._run("judgements", batch)

    def _run(self, output: str, batch: Pixels) -> NDArray[np.float32]:
        if batch.dtype != np.uint8 or batch.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"a batch is uint8 (n, 28, 28), not {batch.dtype} {batch.shape}")
        if len(batch) <= self._at_once:
            return np.asarray(self._session.run([output], {"pixels": batch})[0])
        starts = range(0, len(batch), self._at_once)
        return np.concatenate([self._run(output, batch[start : start + self._at_once]) for start in starts])


def prepare() -> Any:
    """Import ONNX Runtime, which otherwise happens when the first network is made."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, on import; else it reports to its makers
    import onnxruntime

    return onnxruntime


def load(data: bytes) -> Network:
    """Make a network of the bytes of a `.h5`. Raises `BadModel`."""
    return Network(convert(data))
