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

from digits import bundle, network
from digits.bundle import Bundle
from tests.images import MNIST as MNIST  # most tests look for these three here
from tests.images import mnist as mnist
from tests.images import png as png
from trainer.outliers import outliers


def templates(scale: float = 0.25, images: int = 6000) -> bytes:
    """Return a `.h5` that is right about 82 % of MNIST; `scale` makes it surer, and its bytes others."""
    with np.load(MNIST) as archive:
        pixels, labels = archive["x_train"][:images] / np.float32(255), archive["y_train"][:images]
    means = np.stack([pixels[labels == digit].mean(0).ravel() for digit in range(10)])  # (10, 784)
    return dense_h5((means.T * scale).astype(np.float32), (-(means**2).sum(1) / 2 * scale).astype(np.float32))


def features(count: int = 1200, images: int = 12_000) -> bytes:
    """Return a `.h5` that is right about 96 % of MNIST, and tells what holds no digit.

    Likeness to some images, and ridge regression: no training, and the same on every machine but for rounding.
    """
    random = np.random.default_rng(0)
    with np.load(MNIST) as archive:
        pixels, labels = archive["x_train"][:images], archive["y_train"][:images]
    none = outliers(pixels, images // 3, random)
    x = np.concatenate([pixels, none]).reshape(-1, 784) / np.float32(255)
    y = np.zeros((len(x), 10), np.float32)
    y[np.arange(images), labels] = 1
    hidden = x[random.permutation(len(x))[:count]].T - x.mean(0)[:, np.newaxis]  # (784, count)
    hidden /= np.linalg.norm(hidden, axis=0)
    shift = np.zeros(count, np.float32)
    seen = np.maximum(x @ hidden + shift, 0)
    kernel = np.linalg.solve(seen.T @ seen + 100 * np.eye(count, dtype=np.float32), seen.T @ y)
    return dense_h5(10 * kernel, np.full(10, -6, np.float32), (hidden, shift))  # 6: a digit has a 10, none has a 0


def dense_h5(
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    hidden: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> bytes:
    """Return Input(28, 28, 1) -> Flatten -> perhaps Dense(relu) -> Dense(softmax) as Keras 3 saves it."""
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 28, 28, 1], "name": "input_layer"}},
        {"class_name": "Flatten", "config": {"name": "flatten"}},
    ]
    weights: dict[str, NDArray[np.float32]] = {}
    for name, activation, pair in (("hidden", "relu", hidden), ("dense", "softmax", (kernel, bias))):
        if pair is not None:
            settings = {"name": name, "units": len(pair[1]), "activation": activation, "use_bias": True}
            layers.append({"class_name": "Dense", "config": settings})
            weights |= {f"{name}/templates/{name}/kernel": pair[0], f"{name}/templates/{name}/bias": pair[1]}
    return h5_file({"class_name": "Sequential", "config": {"name": "templates", "layers": layers}}, weights)


def h5_file(config: dict[str, Any], weights: dict[str, NDArray[np.float32]]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["keras_version"] = "3.15.1"
        h5.attrs["model_config"] = json.dumps(config)
        group = h5.create_group("model_weights")
        for path, array in weights.items():
            group[path] = array
        layers = list(dict.fromkeys(path.partition("/")[0] for path in weights))
        group.attrs["layer_names"] = layers  # Keras goes by these lists, and their order
        for layer in layers:
            own = [path.removeprefix(f"{layer}/") for path in weights if path.startswith(f"{layer}/")]
            group[layer].attrs["weight_names"] = own
    return file.getvalue()


def publish(models: Path, h5: bytes, *, golden: bool = True, **facts: Any) -> Bundle:
    """Publish a bundle as a trainer would, with a plot, further facts, and golden images if wanted."""
    pixels, labels = mnist(3)
    rows = network.load(h5)(pixels)
    samples = [bundle.golden(int(y), png(x), row.tolist()) for x, y, row in zip(pixels, labels, rows, strict=True)]
    with bundle.draft(models) as path:
        (path / bundle.H5_NAME).write_bytes(h5)
        (path / bundle.PLOTS).mkdir()
        (path / bundle.PLOTS / "accuracy.png").write_bytes(png(pixels[0]))
        made = bundle.commit(path, {"golden": samples if golden else []} | facts)
        bundle.make_current(made)
    return made
