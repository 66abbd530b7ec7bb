"""Pixels to probabilities, by ONNX Runtime, for any Keras `.h5` that `digits.convert` understands.

The file is converted in a child process with bounded memory and time: what a damaged or hostile
one does to the HDF5 library stays there, and neither h5py nor onnx is loaded into this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import EXIT_STATUS, BadModel
from digits.image import SIDE, Pixels

CONVERSION_SECONDS = 60  # at most; the classic network takes about one
CONVERSION = (sys.executable, "-m", "digits.convert")

Probabilities = NDArray[np.float32]  # (n, 10), each row sums to 1


class Network:
    """A network that is ready to run, on the thread that calls it; several may at once.

    `parameters` counts its weights, `layers` names the kinds of its Keras layers in order, and
    `keras_version` is that of the Keras that saved it.
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
        self.layers: list[str] = json.loads(properties["layers"])
        self.keras_version = properties["keras_version"]

    def __call__(self, batch: Pixels) -> Probabilities:
        """Return (n, 10) probabilities for (n, 28, 28) pixels, n ≥ 1."""
        if batch.dtype != np.uint8 or batch.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"a batch is uint8 (n, 28, 28), not {batch.dtype} {batch.shape}")
        return np.asarray(self._session.run(["probabilities"], {"pixels": batch})[0])


def prepare() -> Any:
    """Import ONNX Runtime, which otherwise happens when the first network is made."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, on import; else it reports to its makers
    import onnxruntime

    return onnxruntime


def load(data: bytes) -> Network:
    """Make a network of the bytes of a `.h5`. Raises `BadModel`."""
    return Network(convert(data))


def convert(data: bytes, *, command: Sequence[str] = CONVERSION, seconds: float = CONVERSION_SECONDS) -> bytes:
    """Run a converter on the bytes of a `.h5`; returns those of an ONNX model. Raises `BadModel`."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as exc:
        raise BadModel("unreadable", f"reading the model took more than {seconds:g} s") from exc
    if done.returncode == EXIT_STATUS:
        raise refusal(done.stderr)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise BadModel("unreadable", f"reading the model failed (exit status {done.returncode}): {last}")
    return done.stdout


def refusal(report: bytes) -> BadModel:
    """Return the error that the converter wrote in the last line of its report."""
    try:
        return BadModel(**json.loads(report.strip().rpartition(b"\n")[2]))
    except (ValueError, TypeError):
        return BadModel("unreadable", "reading the model failed, and the converter said nothing of why")
