"""Small real models for tests, written as Keras writes them but without Keras.

`templates` reads digits well enough to tell right from wrong: it compares an image with the mean
image of each digit, which is a Dense layer on the flattened pixels.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits import bundle, network
from digits.bundle import Bundle
from digits.image import Pixels

MNIST = Path(__file__).parent.parent / "trainer" / "data" / "mnist.npz"


def mnist(count: int) -> tuple[Pixels, NDArray[np.uint8]]:
    """Return the first test images (count, 28, 28) and their labels."""
    with np.load(MNIST) as archive:
        return archive["x_test"][:count], archive["y_test"][:count]


def templates(scale: float = 1.0) -> bytes:
    """Return a `.h5` that is right about 82 % of MNIST; `scale` makes it surer, and its bytes others."""
    with np.load(MNIST) as archive:
        pixels, labels = archive["x_train"][:6000] / np.float32(255), archive["y_train"][:6000]
    means = np.stack([pixels[labels == digit].mean(0).ravel() for digit in range(10)])  # (10, 784)
    return dense_h5((means.T * scale).astype(np.float32), (-(means**2).sum(1) / 2 * scale).astype(np.float32))


def dense_h5(kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """Return Input(28, 28, 1) -> Flatten -> Dense(softmax) as Keras 3 saves it."""
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 28, 28, 1], "name": "input_layer"}},
        {"class_name": "Flatten", "config": {"name": "flatten"}},
        {
            "class_name": "Dense",
            "config": {"name": "dense", "units": len(bias), "activation": "softmax", "use_bias": True},
        },
    ]
    config = {"class_name": "Sequential", "config": {"name": "templates", "layers": layers}}
    return h5_file(config, {"dense/templates/dense/kernel": kernel, "dense/templates/dense/bias": bias})


def h5_file(config: dict[str, Any], weights: dict[str, NDArray[np.float32]]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["keras_version"] = "3.15.1"
        h5.attrs["model_config"] = json.dumps(config)
        group = h5.create_group("model_weights")
        for path, array in weights.items():
            group[path] = array
    return file.getvalue()


def publish(models: Path, h5: bytes, *, golden: bool = True) -> Bundle:
    """Publish a bundle as a trainer would, with two plots, and golden images if wanted."""
    pixels, labels = mnist(3)
    rows = network.load(h5)(pixels)
    samples = [bundle.golden(int(y), png(x), row.tolist()) for x, y, row in zip(pixels, labels, rows, strict=True)]
    with bundle.draft(models) as path:
        (path / bundle.H5_NAME).write_bytes(h5)
        (path / bundle.PLOTS).mkdir()
        (path / bundle.PLOTS / "accuracy.png").write_bytes(png(pixels[0]))
        made = bundle.commit(path, {"golden": samples if golden else []})
    bundle.promote(made)
    return made


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
