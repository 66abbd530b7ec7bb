"""Train a network, and tell whoever watches how it goes; knows nothing of files."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from digits.image import Pixels
from digits.network import CLASSES, Probabilities
from trainer.batches import Batches, Teacher, one_hot
from trainer.config import Config
from trainer.dataset import Part

STEPS_AT_ONCE = 10  # steps between two returns to Python; saves a tenth of an epoch on a CPU
WARM_UP = 0.1  # share of all steps in which the learning rate rises

History = dict[str, list[float]]  # "accuracy", "loss", "val_accuracy", "val_loss", "seconds": one value an epoch


def fit(
    build: Callable[[], keras.Model], train: Part, validation: Part, config: Config,
    teacher: Teacher | None = None, callbacks: Sequence[keras.callbacks.Callback] = (), out: TextIO = sys.stderr,
) -> tuple[keras.Model, History]:  # fmt: skip
    """Train a network for `config.epochs`; returns it, and what each epoch came to. The last weights stay."""
    with precision(config.mixed_precision):
        model = build()
    batches = Batches(train, config, teacher)
    steps = len(batches)
    progress = Progress(config.epochs, steps, out)
    with giving_logits(model):
        model.compile(
            optimizer=optimizer(config, steps * config.epochs),
            loss=open_set_loss,
            metrics=[accuracy],
            steps_per_execution=min(STEPS_AT_ONCE, steps),
            jit_compile=pays_to_compile(),
        )
        fitted = model.fit(
            batches, epochs=config.epochs, verbose=0, callbacks=[progress, *callbacks],
            validation_data=(network_input(validation.pixels), one_hot(validation.labels)),
        )  # fmt: skip
    history = {key: [float(value) for value in values] for key, values in fitted.history.items()}
    return in_float32(model, build), history | {"seconds": progress.seconds}


@contextmanager
def precision(mixed: bool) -> Iterator[None]:
    """Have networks that are built meanwhile compute in bfloat16, or not."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if mixed else before)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


@contextmanager
def giving_logits(model: keras.Model) -> Iterator[None]:
    """Take the softmax off a network, for a loss that needs more than the probabilities."""
    last = model.layers[-1]
    softmax, last.activation = last.activation, keras.activations.linear
    try:
        yield
    finally:
        last.activation = softmax


def in_float32(model: keras.Model, build: Callable[[], keras.Model]) -> keras.Model:
    """Return a network with the same weights that computes, and is saved, in float32."""
    fresh = build()
    fresh.set_weights(model.get_weights())
    return fresh


def optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """Return Adam, whose weights are averaged where that is asked for (Polyak and Juditsky 1992)."""
    rate = schedule(config.learning_rate, steps)
    return keras.optimizers.Adam(rate, use_ema=config.average > 0, ema_momentum=config.average or None)


def open_set_loss(targets: Any, logits: Any) -> Any:
    """Return the cross-entropy of (n, 11) targets and ten logits, beside which that of no digit is 0.

    So the logits say which digit there is, and how large they are all together whether there is one:
    the negative free energy of Liu and others (2020), learnt from outliers (Hendrycks and others 2019).
    """
    every = keras.ops.concatenate([logits, keras.ops.zeros_like(logits[:, :1])], axis=-1)
    return -keras.ops.sum(targets * keras.ops.log_softmax(every), axis=-1)


def accuracy(targets: Any, logits: Any) -> Any:
    """Return the share of images with a digit that are read right; those without one count for nothing."""
    digits = targets[:, :CLASSES]
    sure = keras.ops.cast(keras.ops.sum(digits, axis=-1) > 0.5, "float32")
    same = keras.ops.argmax(digits, axis=-1) == keras.ops.argmax(logits, axis=-1)
    return keras.ops.sum(sure * keras.ops.cast(same, "float32")) / keras.ops.sum(sure)


def schedule(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rise linearly to `highest`, then fall to zero along half a cosine (Loshchilov and Hutter 2016)."""
    rising = max(1, round(steps * WARM_UP))
    return keras.optimizers.schedules.CosineDecay(
        highest / 10, max(1, steps - rising), warmup_target=highest, warmup_steps=rising
    )


def be_deterministic() -> None:
    """Have TensorFlow use no kernel whose sums depend on which thread comes first; JAX has none on a CPU."""
    if keras.config.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def predict(model: keras.Model, pixels: Pixels) -> Probabilities:
    return np.asarray(model.predict(network_input(pixels), batch_size=500, verbose=0))


def network_input(pixels: Pixels) -> NDArray[np.float32]:
    """Return (n, 28, 28, 1) floats in [0, 1]."""
    return np.asarray(pixels[..., np.newaxis], np.float32) / np.float32(255)


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
