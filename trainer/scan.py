"""Training where Keras runs on JAX: each epoch is one compiled program, and its data stay on the device.

    order, variants and targets of all batches  ->  one step a batch (`lax.scan`)  ->  weights, loss, accuracy

The loop of Keras asks Python for each batch and for each step; a GPU waits for it nine tenths of its
time. What a batch is, and what a step minimises, is said elsewhere, and the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import keras
from jax import Array, lax
from jax import numpy as jnp

from trainer.batches import Batches, composed, network_input, one_hot
from trainer.dataset import Part

ASKED = 2000  # images that a teacher is shown at once

State = list[list[Array]]  # weights that are trained, others, those of the optimizer
Figures = dict[str, Array]  # one number each


class Chance:
    """What `augment` asks of chance, within a compiled program: each call takes another key."""

    def __init__(self, key: Array) -> None:
        self.key = key

    def next(self) -> Array:
        self.key, key = jax.random.split(self.key)
        return cast(Array, key)

    def random(self, size: Any) -> Array:
        return jax.random.uniform(self.next(), size)

    def uniform(self, low: float, high: float, size: Any) -> Array:
        return jax.random.uniform(self.next(), size, minval=low, maxval=high)

    def normal(self, mean: float, deviation: float, size: Any) -> Array:
        return mean + deviation * jax.random.normal(self.next(), size)

    def integers(self, low: int, high: int, size: Any) -> Array:
        return jax.random.randint(self.next(), size, low, high)


@dataclass(frozen=True, slots=True)
class Epochs:
    """What compiled programs need to know of a training; weights and data are given to them each time."""

    model: keras.Model  # gives logits
    optimizer: keras.optimizers.Optimizer
    loss: Callable[[Any, Any], Any]
    accuracy: Callable[[Any, Any], Any]
    batches: Batches  # whose teacher is a network of Keras, or none

    def state(self) -> State:
        """Return the weights as they are, on the device."""
        self.optimizer.build(self.model.trainable_variables)
        return [[jnp.array(variable.value) for variable in variables] for variables in self.variables()]

    def keep(self, state: State) -> None:
        """Give the network the weights of a state, or their moving average where the optimizer has one."""
        for variables, values in zip(self.variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.optimizer.finalize_variable_values(self.model.trainable_variables)

    def variables(self) -> list[list[Any]]:
        model = self.model
        return [model.trainable_variables, model.non_trainable_variables, self.optimizer.variables]

    def data(self) -> dict[str, Any]:
        """Return what an epoch is made of, on the device: images, labels, and the weights of a teacher."""
        part, teacher = self.batches.part, cast(Any, self.batches.teacher)
        taught_by = [teacher.trainable_variables, teacher.non_trainable_variables] if teacher else []
        return {
            "digits": jnp.asarray(part.pixels),
            "labels": jnp.asarray(part.labels),
            "outliers": jnp.asarray(self.batches.outliers),
            "teacher": [[variable.value for variable in variables] for variables in taught_by],
        }

    def epoch(self, state: State, data: dict[str, Any], key: Array) -> tuple[State, Figures]:
        """Take a step for each batch of a new order; the last batch is filled up with the first images."""
        state, (losses, accuracies) = lax.scan(self.step, state, self.all_batches(data, Chance(key)))
        return state, {"accuracy": accuracies.mean(), "loss": losses.mean()}

    def all_batches(self, data: dict[str, Any], random: Chance) -> tuple[Array, Array]:
        """Return the images and targets of an epoch, (steps, n, 28, 28, 1) and (steps, n, 11)."""
        steps, size = len(self.batches), self.batches.batch_size
        order = jnp.resize(jax.random.permutation(random.next(), len(data["labels"])), (steps * size,))
        without = steps * self.batches.without_digit(size)
        none = random.integers(0, max(1, len(data["outliers"])), without)
        x, targets = composed(
            data["digits"][order], data["labels"][order], data["outliers"][none], random, self.batches.config,
            partial(self.said, data["teacher"]) if self.batches.teacher else None,
        )  # fmt: skip
        return mixed(x, steps * size, steps), mixed(targets, steps * size, steps)

    def said(self, weights: list[list[Array]], pixels: Array) -> Array:
        """Return what the teacher says of (n, 28, 28) pixels, some at a time; the last of them are filled up."""
        teacher: Any = self.batches.teacher
        x = jnp.resize(pixels, (-(-len(pixels) // ASKED) * ASKED, *pixels.shape[1:]))
        x = x.reshape(-1, ASKED, *self.model.input_shape[1:]).astype(jnp.float32) / 255
        said: Array = lax.map(lambda some: teacher.stateless_call(*weights, some)[0], x)
        return said.reshape(-1, said.shape[-1])[: len(pixels)]

    def step(self, state: State, batch: tuple[Array, Array]) -> tuple[State, tuple[Array, Array]]:
        trained, others, moments = state
        (loss, (accuracy, others)), gradients = jax.value_and_grad(self.judge, has_aux=True)(trained, others, *batch)
        trained, moments = self.optimizer.stateless_apply(moments, gradients, trained)
        return [trained, others, moments], (loss, accuracy)

    def judge(
        self, trained: list[Array], others: list[Array], x: Array, targets: Array, training: bool = True
    ) -> tuple[Array, tuple[Array, list[Array]]]:
        logits, others = self.model.stateless_call(trained, others, x, training=training)
        return self.loss(targets, logits).mean(), (self.accuracy(targets, logits), others)

    def validate(self, state: State, x: Array, targets: Array) -> Figures:
        loss, (accuracy, _) = self.judge(state[0], state[1], x, targets, training=False)
        return {"val_accuracy": accuracy, "val_loss": loss}


def mixed(every: Array, first: int, steps: int) -> Array:
    """Return (steps, n, …): in each batch its share of the first so many, and then of the others."""
    parts = jnp.split(every, [first])
    return jnp.concatenate([part.reshape(steps, -1, *part.shape[1:]) for part in parts], 1)


def fit(run: Epochs, validation: Part, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, list[float]]:
    """Train for as many epochs as are asked for; the network has the weights then. Returns what each came to."""
    epoch, validate = jax.jit(run.epoch, donate_argnums=0), jax.jit(run.validate)
    state, data, chance = run.state(), run.data(), jax.random.key(run.batches.config.seed)
    held_out = jnp.asarray(network_input(validation.pixels)), jnp.asarray(one_hot(validation.labels))
    watching = keras.callbacks.CallbackList(list(callbacks), model=run.model)
    history: dict[str, list[float]] = {}
    watching.on_train_begin()
    for number in range(run.batches.config.epochs):
        watching.on_epoch_begin(number)
        state, figures = epoch(state, data, jax.random.fold_in(chance, number))
        logs = {name: float(value) for name, value in (figures | validate(state, *held_out)).items()}
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        watching.on_epoch_end(number, logs)
    run.keep(state)
    watching.on_train_end()
    return history
