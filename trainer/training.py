"""One training: a network is fitted and calibrated, asked about the test set, and offered to the service.

Imports Keras. Knows nothing of flags and exit codes, and prints nothing but the progress of `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from digits import bundle
from digits.bundle import Bundle, Manifest
from digits.network import Network, Probabilities
from trainer import architectures, calibrate, evaluate, fit, plots, publish, reliability, report, tensorboard
from trainer.architectures import Build
from trainer.config import Config
from trainer.dataset import Dataset, Part
from trainer.evaluate import Report
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
    report: Report
    calibration: dict[str, Any]


def prepare(config: Config) -> None:
    """Set what holds for this process: its memory, its seed, and whether sums come out the same each time."""
    keep_freed()
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        fit.be_deterministic()


def builder(config: Config) -> Build:
    """Return what makes the untrained network. Raises `BadArchitecture`."""
    return partial(architectures.find(config.architecture), dropout=config.dropout)


def train(build: Build, config: Config, data: Dataset, teacher: Network | None) -> Trained:
    """Fit a network, and its temperature on the validation set."""
    model, history = fit.fit(build, data.train, data.validation, config, teacher, tensorboard.callbacks(config))
    temperature = calibrate.fit_temperature(fit.predict(model, data.validation.pixels), data.validation.labels)
    calibrate.cool(model, temperature)
    return Trained(model, history, temperature)


def test(trained: Trained, part: Part) -> Tested:
    probabilities = fit.predict(trained.model, part.pixels)
    return Tested(
        probabilities,
        evaluate.evaluate(probabilities, part.labels),
        reliability.before_and_after(probabilities, part.labels, trained.temperature),
    )


def offer(trained: Trained, tested: Tested, data: Dataset, config: Config, seconds: Mapping[str, float]) -> Bundle:
    """Publish a network with all that is known of it, if it is good enough. Raises as `publish.publish` does."""
    pictures = draw(trained.history, tested, data, config)
    files = {f"{bundle.PLOTS}/{name}": picture for name, picture in pictures.items()}
    files["history.csv"] = fit.as_csv(trained.history).encode()
    page = partial(report.render, history=trained.history, pictures=pictures)
    facts = describe(tested, data, config) | {"seconds": dict(seconds)}
    return publish.publish(trained.model, data, tested.probabilities, facts, files, page, config)


def draw(history: History, tested: Tested, data: Dataset, config: Config) -> dict[str, bytes]:
    """Return all pictures of a bundle, PNG by name."""
    before, after = tested.calibration["before"], tested.calibration["after"]
    drawn = plots.draw(history, tested.report, data.test, tested.probabilities, before, after)
    return drawn | {"augmentation.png": plots.variants(data.train, config.variation)}


def describe(tested: Tested, data: Dataset, config: Config) -> Manifest:
    """Return what a manifest says of a training and of its test."""
    mistakes = evaluate.worst(tested.report, data.test.labels, tested.probabilities, plots.WORST)
    return {
        "data": data.summary(),
        "training": config.hyper_parameters(),
        "calibration": tested.calibration,
        "test": tested.report.summary() | {"worst": mistakes},
    }
