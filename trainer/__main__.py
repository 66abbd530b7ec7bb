"""python -m trainer: a training, from its flags to its exit code. `COMMANDS` are what else it does.

What any of them raises is said and made an exit code here.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from digits import bundle, network
from digits.errors import Refused
from trainer import dataset, tensorboard
from trainer.config import Config
from trainer.console import check_output, publish, reason, say, say_tested, silence_imports, timed
from trainer.dataset import Dataset
from trainer.errors import BAD_INPUT, DONE, FAILED, INTERRUPTED, BadInput, NotServed
from trainer.named import naming

COMMANDS = {  # of `python -m trainer`, beside the training; each is a module with a `main`
    "compare": "tell whether the difference between two models is more than noise",
    "ensemble": "publish the mean of several models as one",
    "report": "make the page of a bundle again, with practice sets",
    "runs": "train with many seeds and summarise",
}
OTHERS = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
NEEDED = {"jax", "keras", "matplotlib", "tensorflow"}  # of what a trainer has and a service has not


def main(given: list[str]) -> int:
    try:
        return do(given)
    except NotServed as exc:
        say(f"not served: {exc}")
        return FAILED
    except ModuleNotFoundError as exc:
        if exc.name not in NEEDED:
            raise
        say(f"error: {exc.name} is not installed; `make train` installs what it takes, some 2 GB")
    except (BadInput, Refused, OSError) as exc:
        say(f"error: {reason(exc)}")
    except KeyboardInterrupt:
        say("interrupted; what is served is what was served before")
        return INTERRUPTED
    return BAD_INPUT


def do(given: list[str]) -> int:
    """Run the command that is named, or else a training. Raises what `trainer.errors` has, `Refused` and `OSError`."""
    if given and given[0] in COMMANDS:
        return int(importlib.import_module(f"trainer.{given[0]}").main(given[1:]))
    if given and not given[0].startswith("-"):
        raise BadInput(f"there is no command {given[0]}, but {', '.join(COMMANDS)}; without one, with flags, it trains")
    train(Config.from_args(given, f"Other commands: {OTHERS}. Each has its own --help."))
    return DONE


def train(config: Config) -> None:
    if config.if_missing and (served := already_served(config)):
        say(f"{served} is published already; nothing to do")
        return
    data = dataset.load(config.data, validation=config.validation, share=config.share)
    if config.show_augmentation:
        show_augmentation(config.show_augmentation, config, data)
        return
    tensorboard.check(config)
    check_output(config)  # better to learn it now than after the training
    run(config, data, read_teacher(config.teacher) if config.teacher else None)


def read_teacher(path: Path) -> bytes:
    """Return the bytes of a `.h5` that the kernel can read. Raises `BadInput` and `OSError`."""
    teacher = path.read_bytes()
    with naming(path):
        network.load(teacher)
    return teacher


def run(config: Config, data: Dataset, teacher: bytes | None) -> None:
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    with timed(seconds, "import"):  # of Keras, which takes seconds, so that bad flags and bad data are reported before
        silence_imports()
        from trainer import devices, training

        training.prepare(config)
        build = training.builder(config)
    taught_by = training.taught_by(teacher, data.validation) if teacher is not None else None
    say(f"training on {len(data.train):,} images, {devices.described()}")
    with timed(seconds, "train"):
        trained = training.train(build, config, data, taught_by)
    with timed(seconds, "evaluate"):
        tested = training.test(trained, data.test)
    say_tested(tested)
    publish(lambda: training.offer(trained, tested, data, config, teacher, seconds), started)


def show_augmentation(path: Path, config: Config, data: Dataset) -> None:
    from trainer import plots

    path.write_bytes(plots.variants(data.train, config.variation))
    say(f"wrote {path}")


def already_served(config: Config) -> str | None:
    """Return the version of the model that a service would take up, if it would."""
    try:
        found = bundle.read_current(config.output)
        bundle.check_golden(found, network.load(found.h5))
        return found.version
    except Refused as exc:
        say(f"nothing is published yet: {exc}")
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
