"""Train a network, and tell whoever watches how it goes; knows nothing of files."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from tqdm import tqdm

from digits.image import Pixels
from digits.judgements import Probabilities
from digits.sizes import CLASSES
from trainer import devices
from trainer.batches import Batches, Teacher, network_input, one_hot
from trainer.config import Config
from trainer.dataset import Part
from trainer.errors import Diverged

if TYPE_CHECKING:  # it imports JAX
    from trainer import scan

STEPS_AT_ONCE = 10  # steps between two returns to Python; saves a tenth of an epoch on a CPU
WARM_UP = 0.1  # share of all steps in which the learning rate rises

Callbacks = Sequence[keras.callbacks.Callback]
History = dict[str, list[float]]  # "accuracy", "loss", "val_accuracy", "val_loss", "seconds": one value an epoch


def fit(
    build: Callable[[], keras.Model], train: Part, validation: Part, config: Config,
    teacher: Teacher | keras.Model | None = None, callbacks: Callbacks = (),
) -> tuple[keras.Model, History]:  # fmt: skip
    """Train a network for `config.epochs`; returns it, and what each epoch came to. The last weights stay.

    A teacher is a network of Keras if `devices.compiles_epochs()`, and else a function of pixels. Raises `Diverged`.
    """
    with precision(config.mixed_precision):
        model = build()
    whole = devices.compiles_epochs()
    batches = Batches(train, config, None if whole else teacher)
    progress = Progress(config.epochs, len(batches))
    watching = [progress, *callbacks]
    with giving_logits(model):
        if whole:
            history = in_whole_epochs(model, batches, teacher, validation, watching)
        else:
            history = in_steps(model, batches, validation, watching)
    if not np.isfinite(history["val_loss"][-1]):
        raise Diverged
    return in_float32(model, build), history | {"seconds": progress.seconds}


def in_steps(model: keras.Model, batches: Batches, validation: Part, callbacks: Callbacks) -> History:
    """Train by the loop of Keras."""
    model.compile(
        optimizer=optimizer(batches.config, len(batches)),
        loss=open_set_loss,
        metrics=[Accuracy()],
        steps_per_execution=min(STEPS_AT_ONCE, len(batches)),
        jit_compile=devices.pays_to_compile(),
    )
    held_out = network_input(validation.pixels), one_hot(validation.labels)
    fitted = model.fit(
        batches, epochs=batches.config.epochs, verbose=0, callbacks=list(callbacks), validation_data=held_out
    )
    return {key: [float(value) for value in values] for key, values in fitted.history.items()}


def in_whole_epochs(
    model: keras.Model, batches: Batches, teacher: keras.Model | None, validation: Part, callbacks: Callbacks
) -> History:
    """Train by programs of JAX, an epoch each; `scan.fit` says what callbacks can count on."""
    from trainer import scan

    return scan.fit(compilable(model, batches, teacher), validation, callbacks)


def compilable(model: keras.Model, batches: Batches, teacher: keras.Model | None = None) -> scan.Epochs:
    """Return what is to be compiled to train a network that gives logits."""
    from trainer import scan

    adam = optimizer(batches.config, len(batches))
    return scan.Epochs(model, adam, open_set_loss, accuracy, batches, teacher)


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
    """Return Adam for so many steps an epoch, its weights averaged if that is asked for (Polyak and Juditsky 1992)."""
    rate = schedule(config.learning_rate, steps * config.epochs)
    return keras.optimizers.Adam(rate, use_ema=config.average > 0, ema_momentum=config.average or None)


def open_set_loss(targets: Any, logits: Any) -> Any:
    """Return the cross-entropy of (n, 11) targets and ten logits, beside which that of no digit is 0.

    So the logits say which digit there is, and how large they are all together whether there is one:
    the negative free energy of Liu and others (2020), learnt from outliers (Hendrycks and others 2019).
    """
    logits = keras.ops.cast(logits, "float32")  # those of a network of one's own may be bfloat16
    every = keras.ops.concatenate([logits, keras.ops.zeros_like(logits[:, :1])], axis=-1)
    return -keras.ops.sum(targets * keras.ops.log_softmax(every), axis=-1)


def accuracy(targets: Any, logits: Any) -> Any:
    """Return the share of images with a digit that are read right; those without one count for nothing."""
    right, counted = judged(targets, logits)
    return keras.ops.sum(right * counted) / keras.ops.sum(counted)


def judged(targets: Any, logits: Any) -> tuple[Any, Any]:
    """Return for each image whether its likeliest digit is the one of its target, and whether it holds one, 0 or 1."""
    digits = targets[:, :CLASSES]
    right = keras.ops.argmax(digits, axis=-1) == keras.ops.argmax(logits, axis=-1)
    holds_one = keras.ops.sum(digits, axis=-1) > 0.5
    return keras.ops.cast(right, "float32"), keras.ops.cast(holds_one, "float32")


class Accuracy(keras.metrics.Mean):  # type: ignore[misc]  # Keras has no types
    """The `accuracy` of all images of an epoch; Keras takes the mean of a function's over batches, small or not."""

    def __init__(self) -> None:
        super().__init__(name="accuracy", dtype="float32")

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> None:
        right, counted = judged(targets, logits)
        super().update_state(right, sample_weight=counted)


def schedule(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rise linearly to `highest`, then fall to zero along half a cosine (Loshchilov and Hutter 2016)."""
    rising = max(1, round(steps * WARM_UP))
    return keras.optimizers.schedules.CosineDecay(
        highest / 10, max(1, steps - rising), warmup_target=highest, warmup_steps=rising
    )


def predict(model: keras.Model, pixels: Pixels) -> Probabilities:
    with devices.exactly():
        return np.asarray(model.predict(network_input(pixels), batch_size=500, verbose=0))


def as_csv(history: History) -> str:
    """Return the history as a table, one line an epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    writer.writerows([epoch, *values] for epoch, values in enumerate(zip(*history.values(), strict=True), 1))
    return text.getvalue()


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A bar with rate and time left on a terminal, and one line an epoch anywhere."""

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()
        self.bar = tqdm(
            total=self.steps, desc=f"epoch {epoch + 1}/{self.epochs}", unit="step",
            leave=False, disable=None,  # on anything but a terminal
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
            file=sys.stderr, flush=True,
        )  # fmt: skip
