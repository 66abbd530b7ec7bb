"""Train a network, and tell whoever watches how it goes; knows nothing of files."""

from __future__ import annotations

import csv
import io
import sys
import time
from typing import Any, TextIO

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from digits.image import Pixels
from trainer import pen
from trainer.augment import augment
from trainer.config import Config
from trainer.dataset import CLASSES, Labels, Part
from trainer.outliers import outliers

STEPS_AT_ONCE = 10  # steps between two returns to Python; saves a tenth of an epoch on a CPU
WARM_UP = 0.1  # share of all steps in which the learning rate rises
OUTLIERS = 0.25  # images without a digit in each batch, for each that has one
VARIETY = 0.5  # such images in all, for each of the training set; they are varied as the others are
DRAWN = 0.2  # digits drawn by `trainer.pen`, for each of the training set: of hands that it has none of

History = dict[str, list[float]]  # "accuracy", "loss", "val_accuracy", "val_loss", "seconds": one value an epoch


def fit(model: keras.Model, train: Part, validation: Part, config: Config, out: TextIO = sys.stderr) -> History:
    """Train for `config.epochs` and return what each epoch came to; the last weights stay."""
    batch_size = min(config.batch_size, len(train))
    variants = Variants(train, batch_size, config.seed)
    steps = len(variants)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule(config.learning_rate, steps * config.epochs)),
        loss="categorical_crossentropy",
        metrics=[accuracy],
        steps_per_execution=min(STEPS_AT_ONCE, steps),
        jit_compile=pays_to_compile(),
    )
    progress = Progress(config.epochs, steps, out)
    fitted = model.fit(
        variants, epochs=config.epochs, verbose=0, callbacks=[progress],
        validation_data=(network_input(validation.pixels), one_hot(validation.labels)),
    )  # fmt: skip
    return {key: [float(value) for value in values] for key, values in fitted.history.items()} | {
        "seconds": progress.seconds
    }


def accuracy(targets: Any, probabilities: Any) -> Any:
    """Return the share of images with a digit that are read right; those without one count for nothing."""
    sure = keras.ops.cast(keras.ops.max(targets, axis=-1) > 0.5, "float32")
    same = keras.ops.argmax(targets, axis=-1) == keras.ops.argmax(probabilities, axis=-1)
    return keras.ops.sum(sure * keras.ops.cast(same, "float32")) / keras.ops.sum(sure)


class Variants(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of a training set, in another order and varied otherwise in each epoch; alike for equal seeds.

    Among them are images without a digit, whose target is that each digit is as likely.
    """

    def __init__(self, part: Part, batch_size: int, seed: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.random = np.random.default_rng(seed)
        self.part = with_drawn(part, self.random)
        self.outliers = outliers(part.pixels, round(VARIETY * len(part)), self.random)
        self.order = self.random.permutation(len(self.part))

    def __len__(self) -> int:
        return -(-len(self.part) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        none = self.random.integers(len(self.outliers), size=round(OUTLIERS * len(chosen)))
        varied = augment(np.concatenate([self.part.pixels[chosen], self.outliers[none]]), self.random)
        unsure = np.full((len(none), CLASSES), 1 / CLASSES, np.float32)
        return varied[..., np.newaxis], np.concatenate([one_hot(self.part.labels[chosen]), unsure])

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.part))


def with_drawn(part: Part, random: np.random.Generator) -> Part:
    labels = random.integers(CLASSES, size=max(1, round(DRAWN * len(part)))).astype(np.uint8)
    drawn = pen.digits(labels, random)
    return Part(np.concatenate([part.pixels, drawn]), np.concatenate([part.labels, labels]))


def schedule(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rise linearly to `highest`, then fall to zero along half a cosine (Loshchilov and Hutter 2016)."""
    rising = max(1, round(steps * WARM_UP))
    return keras.optimizers.schedules.CosineDecay(
        highest / 10, max(1, steps - rising), warmup_target=highest, warmup_steps=rising
    )


def network_input(pixels: Pixels) -> NDArray[np.float32]:
    """Return (n, 28, 28, 1) floats in [0, 1]."""
    return np.asarray(pixels[..., np.newaxis], np.float32) / np.float32(255)


def one_hot(labels: Labels) -> NDArray[np.float32]:
    return np.eye(CLASSES, dtype=np.float32)[labels]


def describe_device() -> str:
    """Say what the training runs on: the backend of Keras, and its GPUs if it sees any."""
    return f"{keras.config.backend()} on {', '.join(accelerators()) or 'the CPU'}"


def pays_to_compile() -> bool:
    """Tell whether XLA is worth it; with it, TensorFlow takes ten times as long on a CPU."""
    return keras.config.backend() != "tensorflow" or bool(accelerators())


def accelerators() -> list[str]:
    """Return the GPUs or TPUs that Keras uses; without any, it lists the processor."""
    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]


def as_csv(history: History) -> str:
    """Return the history as a table, one line an epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    writer.writerows([epoch, *values] for epoch, values in enumerate(zip(*history.values(), strict=True), 1))
    return text.getvalue()


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A bar with rate and time left on a terminal, and one line an epoch anywhere."""

    def __init__(self, epochs: int, steps: int, out: TextIO) -> None:
        super().__init__()
        self.epochs, self.steps, self.out = epochs, steps, out
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()
        self.bar = tqdm(
            total=self.steps, desc=f"epoch {epoch + 1}/{self.epochs}", unit="step",
            file=self.out, leave=False, disable=not self.out.isatty(),
        )  # fmt: skip

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.bar.update(min(batch + 1, self.steps) - self.bar.n)
        self.bar.set_postfix(logs or {}, refresh=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.bar.close()
        self.seconds.append(time.perf_counter() - self.started)
        figures = logs or {}
        print(
            f"epoch {epoch + 1:>2}/{self.epochs}"
            f"  training accuracy {figures['accuracy']:.4f} loss {figures['loss']:.4f}"
            f"  validation accuracy {figures['val_accuracy']:.4f} loss {figures['val_loss']:.4f}"
            f"  {self.seconds[-1]:.1f} s",
            file=self.out, flush=True,
        )  # fmt: skip
