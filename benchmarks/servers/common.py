"""What the servers on ONNX Runtime share, so that they differ in the serving alone."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (n, 28, 28) -> (n, 10)


def load() -> Predict:
    """Return the network on one thread, warm."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["MODEL_ONNX"], options, providers=["CPUExecutionProvider"])

    def predict(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(["probabilities"], {"pixels": batch})[0])

    predict(np.zeros((1, 28, 28), np.uint8))
    return predict


def decode(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels (28, 28) of a picture."""
    image = Image.open(io.BytesIO(data)).convert("L")
    return np.asarray(image if image.size == (28, 28) else image.resize((28, 28)))


def answer(row: NDArray[np.float32]) -> dict[str, Any]:
    return {"digit": int(row.argmax()), "probabilities": row.tolist()}
