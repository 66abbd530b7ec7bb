"""What the commands that publish have in common: what they look at before, and say to whoever watches."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from digits import bundle
from digits.bundle import Bundle
from digits.errors import Refused
from trainer import takeover
from trainer.config import Config
from trainer.errors import BadInput, NotServed

if TYPE_CHECKING:  # it imports Keras, which takes seconds
    from trainer.training import Tested


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def reason(exc: Exception) -> str:
    """Say what is wrong; of what the system refused, which file that was, and no numbers."""
    return f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) and exc.filename else str(exc)


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Note how long the block took."""
    start = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - start, 2)


def silence_imports() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read on import; TensorFlow calls it an error to find no GPU
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras calls .h5 legacy; it is what we are here for


def check_output(config: Config) -> None:
    """Raises `BadInput` if nothing can be written where the bundle shall go; waits for nobody who publishes there."""
    try:
        config.output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=config.output):
            os.close(bundle.opened_lock(config.output))  # of which another user may have left one
    except OSError as exc:
        raise BadInput(f"{config.output}: cannot be written to ({reason(exc)})") from exc


def say_tested(tested: Tested) -> None:
    evaluation, calibration = tested.evaluation, tested.calibration
    say(f"test accuracy {evaluation.accuracy:.4f} loss {evaluation.loss:.4f} on {len(tested.probabilities):,} images")
    error = calibration["test_error"]
    say(
        f"temperature {calibration['temperature']:.2f}, with which the calibration error is {error:.4f} on the test set"
    )


def publish(offer: Callable[[], Bundle], started: float) -> None:
    """Have something published, and say what came of it. Raises `NotServed`, whatever it was that failed."""
    try:
        made = offer()
    except (Refused, OSError) as exc:
        raise NotServed(reason(exc)) from exc
    say(takeover.sentence(made.manifest["compared"]))
    say(f"published {made.path}: {len(made.h5):,} bytes, {time.perf_counter() - started:.0f} s in all")
