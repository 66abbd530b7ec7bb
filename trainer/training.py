"""One training: a network is fitted and calibrated, asked about the test set, and offered to the service.

Imports Keras. Knows nothing of flags and exit codes, and prints nothing but the progress of `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from digits import bundle, network
from digits.bundle import Bundle, Manifest
from digits.errors import BadModel
from digits.judgements import Probabilities
from trainer import (
    architectures,
    averaging,
    calibrate,
    devices,
    evaluate,
    fit,
    parity,
    plots,
    publish,
    reliability,
    report,
    tensorboard,
)
from trainer.architectures import Build
from trainer.batches import Teacher
from trainer.config import Config
from trainer.dataset import Dataset, Part
from trainer.evaluate import Evaluation
from trainer.fit import History
from trainer.memory import keep_freed


@dataclass(frozen=True, slots=True)
class Trained:
    """A network whose logits were divided by `temperature`, and what each epoch came to."""

    model: keras.Model
    history: History
    temperature: float


@dataclass(frozen=True, slots=True)
class Tested:
    """What a network made of the test set; `calibration` is `reliability.before_and_after`."""

    probabilities: Probabilities  # (n, 10)
    evaluation: Evaluation
    calibration: dict[str, Any]


def prepare(config: Config) -> None:
    """Set what holds for this process: its memory, its seed, and whether sums come out the same each time."""
    keep_freed()
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        devices.be_deterministic()


def builder(config: Config) -> Build:
    """Return what makes the untrained network. Raises `BadArchitecture`."""
    return partial(architectures.find(config.architecture), dropout=config.dropout)


def taught_by(h5: bytes, images: Part) -> Teacher | keras.Model:
    """Return a teacher from a `.h5`: the kernel's network, or the one of Keras where an epoch is one program.

    Raises `BadModel`, for one thing if that does not answer some images as the kernel's does.
    """
    kernels = network.load(h5)
    if not devices.compiles_epochs():
        return kernels
    model, some = averaging.as_served(h5), images.pixels[: parity.IMAGES]
    difference = parity.difference(fit.predict(model, some), kernels(some))
    if not parity.holds(difference):
        raise BadModel(
            "unsupported", f"Keras differs from what is served by {difference:.2g}, and cannot be the teacher"
        )
    return model


def train(build: Build, config: Config, data: Dataset, teacher: Teacher | keras.Model | None) -> Trained:
    """Fit a network, and its temperature on the validation set. Raises `Diverged`."""
    model, history = fit.fit(build, data.train, data.validation, config, teacher, tensorboard.callbacks(config))
    temperature = calibrate.fit_temperature([fit.predict(model, data.validation.pixels)], data.validation.labels)
    calibrate.cool(model, temperature)
    return Trained(model, history, temperature)


def test(trained: Trained, part: Part) -> Tested:
    probabilities = fit.predict(trained.model, part.pixels)
    calibration = reliability.before_and_after([probabilities], part.labels, trained.temperature)
    return Tested(probabilities, evaluate.evaluate(probabilities, part.labels), calibration)


def offer(
    trained: Trained, tested: Tested, data: Dataset, config: Config, teacher: bytes | None, seconds: Mapping[str, float]
) -> Bundle:  # fmt: skip
    """Publish a network with all that is known of it, if it is good enough. Raises as `publish.publish` does."""
    pictures = plots.learning(trained.history) | draw(tested, data.test)
    pictures |= {report.AUGMENTATION: plots.variants(data.train, config.variation)}
    files = in_folder(pictures) | {"history.csv": fit.as_csv(trained.history).encode()}
    page = partial(report.render, history=trained.history, pictures=pictures)
    facts = describe(tested, data) | {"training": config.hyper_parameters(teacher), "seconds": dict(seconds)}
    return publish.publish(publish.Offer(trained.model, tested.probabilities, facts, files, page), data, config)


def draw(tested: Tested, part: Part) -> dict[str, bytes]:
    """Return the pictures of a test, PNG by name."""
    before, after = tested.calibration["before"], tested.calibration["after"]
    return plots.draw(tested.evaluation, part, tested.probabilities, before, after)


def in_folder(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{bundle.PLOTS}/{name}": picture for name, picture in pictures.items()}


def describe(tested: Tested, data: Dataset) -> Manifest:
    """Return what a manifest says of the data and of a test."""
    mistakes = evaluate.worst(tested.evaluation, data.test.labels, tested.probabilities, plots.WORST)
    return {
        "data": data.summary(),
        "calibration": tested.calibration,
        "test": tested.evaluation.summary() | {"worst": mistakes},
    }
