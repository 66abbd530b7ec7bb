"""Put a trained network on disk, prove it there, and only then have it served.

    model.save -> read back by the kernel -> equal to Keras? right through the front door?
    -> manifest -> bundle -> golden images -> good enough? -> current

Knows nothing of how the network was trained.
"""

from __future__ import annotations

import io
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from digits import bundle, image, network
from digits.bundle import Bundle, Manifest
from digits.cores import cores
from digits.image import Pixels
from digits.network import Judgements, Network, Probabilities
from trainer.dataset import CLASSES, Dataset, Part

PARITY_IMAGES = 1000
PARITY_TOLERANCE = 1e-5
DOUBTED = {  # share of the digits of a validation set that may be taken for none
    "presence": 0.0015,  # of images
    "confidence": 0.0003,  # within numbers, where other digits stand beside them
}
PACKAGES = ("keras", "tensorflow", "jax", "numpy", "h5py", "onnx", "onnxruntime", "pillow")


class NotServed(Exception):
    """The bundle was written but `current` was left alone; the message says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the kernel made of a saved network. `parity` is the largest difference from Keras."""

    parity: float
    parity_images: int
    front_door_accuracy: float  # of test images that went in as PNG files
    front_door_images: int


def publish(
    models: Path,
    model: keras.Model,
    data: Dataset,
    probabilities: Probabilities,
    facts: Manifest,
    files: dict[str, bytes],
    report: Callable[[Manifest], bytes],
    *,
    target_accuracy: float,
) -> Bundle:
    """Write, prove and promote a bundle. `probabilities` are those of Keras for the test images.

    `report` makes the page of the bundle from its whole manifest.

    Raises `NotServed` when the proof or the target isn't met, and `BadModel`, `BadBundle` or
    `OSError` when nothing could be written.
    """
    with bundle.draft(models) as path:
        for name, content in files.items():
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(content)
        model.save(path / bundle.H5_NAME)
        read_back = network.load((path / bundle.H5_NAME).read_bytes())
        proof = prove(read_back, data.test, probabilities)
        facts |= {"thresholds": thresholds(read_back.judge(data.validation.pixels))}
        made = bundle.commit(path, facts | describe(model, data.test, probabilities, proof), report)
    bundle.check_golden(made, read_back)
    refusal = why_not(proof, target_accuracy)
    if refusal:
        raise NotServed(f"{refusal}; the bundle is kept as {made.path}, and what was served before still is")
    bundle.promote(made)
    return made


def prove(read_back: Network, test: Part, probabilities: Probabilities) -> Proof:
    """Compare the kernel with Keras, and ask it about the test set as a client would."""
    count = min(PARITY_IMAGES, len(test))
    difference = np.abs(read_back(test.pixels[:count]) - probabilities[:count]).max()
    through_the_door = np.stack([image.read(encode(pixels)) for pixels in test.pixels])
    digits = read_back(through_the_door).argmax(1)
    return Proof(float(difference), count, float((digits == test.labels).mean()), len(test))


def why_not(proof: Proof, target_accuracy: float) -> str | None:
    if not proof.parity <= PARITY_TOLERANCE:
        return f"the kernel differs from Keras by {proof.parity:.2g}, more than {PARITY_TOLERANCE:g}"
    if proof.front_door_accuracy < target_accuracy:
        return f"{proof.front_door_accuracy:.2%} of the test images are right, less than {target_accuracy:.2%}"
    return None


def describe(model: keras.Model, test: Part, probabilities: Probabilities, proof: Proof) -> Manifest:
    return {
        "model": {"architecture": model.name, "parameters": model.count_params()},
        "checks": {
            "parity": {"max_difference": proof.parity, "images": proof.parity_images},
            "front_door": {"accuracy": proof.front_door_accuracy, "images": proof.front_door_images},
        },
        "made_with": {"machine": machine(), "python": platform.python_version(), "backend": keras.config.backend()}
        | installed(),
        "golden": golden_images(test, probabilities),
    }


def golden_images(test: Part, probabilities: Probabilities) -> list[dict[str, Any]]:
    """Return the first test image of each digit, with what Keras said of it."""
    index = [int(np.flatnonzero(test.labels == digit)[0]) for digit in range(CLASSES)]
    return [bundle.golden(digit, encode(test.pixels[i]), probabilities[i].tolist()) for digit, i in enumerate(index)]


def thresholds(judged: Judgements) -> dict[str, float]:
    """Return what all but the shares of `DOUBTED` of the digits in a validation set reach, from 0 to 1.

    The confidence is that of a digit and that there is one, both together.
    """
    presence = judged[:, CLASSES]
    reached = {"presence": presence, "confidence": judged[:, :CLASSES].max(1) * presence}
    return {name: round(float(np.quantile(reached[name], share)), 3) for name, share in DOUBTED.items()}


def data_facts(data: Dataset) -> dict[str, Any]:
    return {
        "source": data.source,
        "sha256": data.sha256,
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
    }


def encode(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {cores()} cores"


def installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
