"""Put a trained network on disk, prove it there, and only then have it served.

    model.save -> read back by the kernel -> equal to Keras? right through the front door?
    -> manifest -> bundle -> golden images -> good enough? -> current

Knows nothing of how the network was trained.
"""

from __future__ import annotations

import io
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits import bundle, image, network
from digits.bundle import Bundle, Manifest
from digits.cores import cores
from digits.errors import Refused
from digits.image import Pixels
from digits.lattice import beliefs
from digits.network import Network, Probabilities
from trainer import compare
from trainer.augment import as_pixels, augment
from trainer.config import Config
from trainer.dataset import CLASSES, Dataset, Part
from trainer.outliers import outliers

PARITY_IMAGES = 1000
PARITY_TOLERANCE = 1e-5
DOUBTED = 1e-3  # share of the varied digits of a validation set that may be taken for none
VARIANTS = 4  # of each of them
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
    config: Config,
) -> Bundle:
    """Write, prove and promote a bundle. `probabilities` are those of Keras for the test images.

    `report` makes the page of the bundle from its whole manifest.

    Raises `NotServed` when the proof or the target isn't met, or what is served is better, and
    `BadModel`, `BadBundle` or `OSError` when nothing could be written.
    """
    rival = served(models)
    with bundle.draft(models) as path:
        for name, content in files.items():
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(content)
        model.save(path / bundle.H5_NAME)
        read_back = network.load((path / bundle.H5_NAME).read_bytes())
        proof = prove(read_back, data.test, probabilities)
        facts |= thresholds(read_back, data.validation, config.augmented)
        facts |= {"compared": compared(read_back, rival, data.validation)}
        made = bundle.commit(path, facts | describe(model, data.test, probabilities, proof), report)
    bundle.check_golden(made, read_back)
    refusal = why_not(proof, config.target_accuracy) or (None if config.force else why_worse(made.manifest["compared"]))
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


def served(models: Path) -> Bundle | None:
    """Return what a service would take up now, if it would anything."""
    try:
        return bundle.read_served(models, bundle.DEFAULT_MODEL)
    except Refused:
        return None


def compared(read_back: Network, rival: Bundle | None, validation: Part) -> dict[str, Any] | None:
    """Return which images of the validation set a network and the one that is served differ about."""
    try:
        other = network.load(rival.h5) if rival else None
    except Refused:
        other = None
    if rival is None or other is None:
        return None
    found = compare.mcnemar(compare.right(read_back, validation), compare.right(other, validation))
    return {
        "with": rival.version, "images": found.images, "only_this_right": found.only_first,
        "only_that_right": found.only_second, "p_value": found.p_value,
    }  # fmt: skip


def why_worse(facts: Mapping[str, Any] | None) -> str | None:
    if not facts or facts["only_this_right"] >= facts["only_that_right"] or facts["p_value"] >= compare.SIGNIFICANT:
        return None
    return f"what is served is better: {against(facts)}; --force serves it all the same"


def against(facts: Mapping[str, Any]) -> str:
    """Say how a network did against the one that was served."""
    return (
        f"of {facts['images']:,} validation images {facts['only_this_right']} are read rightly by it alone, and "
        f"{facts['only_that_right']} by {facts['with']} alone (McNemar's p = {facts['p_value']:.2g})"
    )


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


def thresholds(reader: Network, validation: Part, augmented: float) -> Manifest:
    """Return the presence of a digit, and the belief in one within a number, that nearly all varied digits reach.

    And how well presence tells them from images without a digit: the area under its ROC curve, and the share
    that is refused, of outliers made of digits that the network has not seen.
    """
    random = np.random.default_rng(0)
    digits = [as_pixels(augment(validation.pixels, random, augmented)) for _ in range(VARIANTS)]
    judged = np.concatenate([reader.judge(batch) for batch in digits])
    presence, belief = judged[:, CLASSES], beliefs(judged).max(1)
    limits = {"presence": presence, "confidence": belief}
    least = {name: round(float(np.quantile(values, DOUBTED)), 3) for name, values in limits.items()}
    none = reader.judge(outliers(validation.pixels, len(validation), random))[:, CLASSES]
    refused = float((none < least["presence"]).mean())
    return {"thresholds": least, "outliers": {"auroc": auroc(presence, none), "refused": refused, "images": len(none)}}


def auroc(higher: NDArray[np.float32], lower: NDArray[np.float32]) -> float:
    """Return how often one of the first is higher than one of the others (Hanley and McNeil 1982); ties count half."""
    order = np.sort(lower)
    below = np.searchsorted(order, higher, "left") + np.searchsorted(order, higher, "right")
    return float(below.mean() / (2 * len(lower)))


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
