"""Write logs that TensorBoard shows while the training goes on, on any backend of Keras.

They lie in `<output>/tensorboard/<when>-seed-<seed>/`, beside the bundles, so that runs are seen side
by side: `tensorboard --logdir models/tensorboard`. A bundle's `history.csv` has the same figures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.config import Config
from trainer.errors import BadInput

FOLDER = "tensorboard"
HELD = "val_"  # what the names of figures of the validation set begin with


def check(config: Config) -> None:
    """Raises `BadInput` if logs are wanted and cannot be written; better before the training than after."""
    if config.tensorboard:
        try:
            import tensorboard  # noqa: F401
        except ImportError:
            raise BadInput("--tensorboard needs a package: pip install '.[tensorboard]', from a checkout") from None


def callbacks(config: Config) -> list[Any]:
    """Return what Keras has to call, or nothing if no logs are wanted."""
    if not config.tensorboard:
        return []
    import keras

    logs = Logs(config.output / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-seed-{config.seed}")
    return [keras.callbacks.LambdaCallback(on_epoch_end=logs.add, on_train_end=lambda _: logs.close())]


class Logs:
    """Two logs, of the training and of the validation set, in which a figure has the same name."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.train, self.held = (EventFileWriter(str(folder / name)) for name in ("train", "validation"))

    def add(self, epoch: int, figures: Mapping[str, float] | None) -> None:
        """Write what epoch 0, 1, … came to; TensorBoard shows it at 1, 2, …"""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, value in (figures or {}).items():
            writer = self.held if name.startswith(HELD) else self.train
            scalar = Summary.Value(tag=name.removeprefix(HELD), simple_value=float(value))
            writer.add_event(Event(wall_time=time.time(), step=epoch + 1, summary=Summary(value=[scalar])))
        for writer in (self.train, self.held):
            writer.flush()

    def close(self) -> None:
        for writer in (self.train, self.held):
            writer.close()
