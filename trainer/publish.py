"""Put a trained network on disk, prove it there, and only then have it served.

    model.save -> read back by the kernel -> equal to Keras? right through the front door?
    -> manifest -> bundle -> golden images -> good enough? -> current

Knows nothing of how the network was trained.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digits import bundle, image, network
from digits.bundle import Bundle, Manifest
from digits.cores import cores
from digits.judgements import Probabilities
from digits.network import Network
from trainer import devices, parity, takeover, thresholds
from trainer.config import Config
from trainer.dataset import Dataset, Part, first_of_each
from trainer.errors import NotServed
from trainer.machine import processor
from trainer.parallel import on_all_cores

PACKAGES = ("keras", "tensorflow", "jax", "numpy", "h5py", "onnx", "onnxruntime", "pillow")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the kernel made of a saved network. `parity` is the largest difference from Keras."""

    parity: float
    parity_images: int
    front_door_accuracy: float  # of test images that went in as PNG files
    front_door_images: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A network for the service, with all that goes into its bundle.

    `report` makes the page of the bundle from its whole manifest, to which `facts` are what a
    publisher cannot know.
    """

    model: keras.Model
    probabilities: Probabilities  # (n, 10), what Keras answers to the test images
    facts: Manifest
    files: Mapping[str, bytes]  # by their path in the bundle
    report: Callable[[Manifest], bytes]


def publish(offer: Offer, data: Dataset, config: Config) -> Bundle:
    """Write, prove and promote a bundle in `config.output`, while other publishers wait.

    Raises `NotServed` when the proof or the target isn't met, or what is served is better, and
    `BadModel`, `BadBundle` or `OSError` when nothing could be written.
    """
    with bundle.draft(config.output) as path:
        write(offer.files, path)
        offer.model.save(path / bundle.H5_NAME)
        read_back = network.load((path / bundle.H5_NAME).read_bytes())
        proof = prove(read_back, data.test, offer.probabilities)
        found = thresholds.find(read_back, data.validation, config.variation)
        compared = {"compared": takeover.compare_with_served(read_back, offer.facts, data, config)}
        described = describe(offer, data.test, proof)
        made = bundle.commit(path, offer.facts | found | compared | described, offer.report)
        bundle.check_golden(made, read_back)
        worse = None if config.force else takeover.why_worse(made.manifest["compared"])
        if refusal := why_not(proof, config.target_accuracy) or worse:
            raise NotServed(
                f"{refusal}; the bundle is kept as {made.path}, and what was served before still is: to serve "
                f"this one, write its name into {config.output / bundle.CURRENT}"
            )
        bundle.make_current(made)
    return made


def write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def prove(read_back: Network, test: Part, probabilities: Probabilities) -> Proof:
    """Compare the kernel with Keras, and ask it about the test set as a client would."""
    some = test.pixels[: parity.IMAGES]
    difference = parity.difference(read_back(some), probabilities[: len(some)])
    through_the_door = np.stack([image.read(image.as_png(pixels)) for pixels in test.pixels])
    digits = on_all_cores(read_back, through_the_door).argmax(1)
    return Proof(difference, len(some), float((digits == test.labels).mean()), len(test))


def why_not(proof: Proof, target_accuracy: float) -> str | None:
    if not parity.holds(proof.parity):
        return f"the kernel differs from Keras by {proof.parity:.2g}, more than {parity.TOLERANCE:g}"
    if proof.front_door_accuracy < target_accuracy:
        return f"{proof.front_door_accuracy:.2%} of the test images are right, less than {target_accuracy:.2%}"
    return None


def describe(offer: Offer, test: Part, proof: Proof) -> Manifest:
    return {
        "model": {"architecture": offer.model.name, "parameters": offer.model.count_params()},
        "checks": {
            "parity": {"max_difference": proof.parity, "images": proof.parity_images},
            "front_door": {"accuracy": proof.front_door_accuracy, "images": proof.front_door_images},
        },
        "made_with": machine() | {"python": platform.python_version(), "backend": keras.config.backend()} | installed(),
        "golden": golden_images(test, offer.probabilities),
    }


def golden_images(test: Part, probabilities: Probabilities) -> list[dict[str, Any]]:
    """Return the first test image of each digit, with what Keras said of it."""
    return [
        bundle.golden(digit, image.as_png(test.pixels[index]), probabilities[index].tolist())
        for digit, index in enumerate(first_of_each(test.labels))
    ]


def machine() -> dict[str, str]:
    """Return the system, the processor, and the GPU if Keras has one."""
    gpu = {"gpu": ", ".join(found)} if (found := devices.names()) else {}
    return {"machine": f"{platform.system()} {platform.machine()}, {cores()} cores", "cpu": processor(), **gpu}


def installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
