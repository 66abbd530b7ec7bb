"""python -m trainer: a training, from its flags to its exit code. `COMMANDS` are what else it does."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digits import bundle, network
from digits.errors import BadModel, Refused
from digits.network import Network
from trainer import dataset, tensorboard
from trainer.architectures import BadArchitecture
from trainer.config import COMMANDS, Config
from trainer.dataset import BadData, Dataset

PUBLISHED, NOT_SERVED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit codes


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        return int(importlib.import_module(f"trainer.{given[0]}").main(given[1:]))
    return train(Config.from_args(given))


def train(config: Config) -> int:
    if config.if_missing and (served := already_served(config)):
        say(f"{served} is published already; nothing to do")
        return PUBLISHED
    try:
        data = dataset.load(config.data, validation=config.validation, share=config.share)
        if config.show_augmentation:
            return show_augmentation(config.show_augmentation, config, data)
        tensorboard.check(config)
        check_output(config)  # better to learn it now than after the training
        taught_by = network.load(config.teacher.read_bytes()) if config.teacher else None
        return run(config, data, taught_by)
    except (BadData, BadModel, BadArchitecture, OSError) as exc:
        say(f"error: {exc}")
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted; nothing was published")
        return INTERRUPTED


def run(config: Config, data: Dataset, teacher: Network | None) -> int:
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with timed(seconds, "import"):  # of Keras, which takes seconds, so that bad flags and bad data are reported before
        silence_imports()
        from trainer import fit, publish, takeover, training

        training.prepare(config)
        build = training.builder(config)
    say(f"training on {len(data.train):,} images, {fit.describe_device()}")
    with timed(seconds, "train"):
        trained = training.train(build, config, data, teacher)
    with timed(seconds, "evaluate"):
        tested = training.test(trained, data.test)
    error = tested.calibration["test_error"]
    say(f"test accuracy {tested.report.accuracy:.4f} loss {tested.report.loss:.4f} on {len(data.test):,} images")
    say(f"calibrated by a temperature of {trained.temperature:.2f}: error {error:.4f} on the test set")
    try:
        made = training.offer(trained, tested, data, config, seconds)
    except (publish.NotServed, Refused, OSError) as exc:
        say(f"not served: {exc}")
        return NOT_SERVED
    if against := made.manifest["compared"]:
        anyway = " by --force, though what was served is better" if takeover.why_worse(against) else ""
        say(f"takes over{anyway}: {takeover.against(against)}")
    say(f"published {made.path}: {len(made.h5):,} bytes, {time.perf_counter() - started:.0f} s in all")
    return PUBLISHED


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Note how long the block took."""
    start = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - start, 2)


def silence_imports() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras calls .h5 legacy; it is what we are here for


def show_augmentation(path: Path, config: Config, data: Dataset) -> int:
    from trainer import plots

    path.write_bytes(plots.variants(data.train, config.variation))
    say(f"wrote {path}")
    return PUBLISHED


def check_output(config: Config) -> None:
    """Raises `BadData` if nothing can be written where the bundle shall go."""
    try:
        with bundle.draft(config.output):
            pass
    except OSError as exc:
        raise BadData(f"{config.output}: cannot be written to ({exc.strerror or exc})") from exc


def already_served(config: Config) -> str | None:
    """Return the version of the model that a service would take up, if it would."""
    try:
        found = bundle.read_current(config.output)
        bundle.check_golden(found, network.load(found.h5))
        return found.version
    except Refused as exc:
        say(f"nothing is published yet: {exc}")
        return None


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
