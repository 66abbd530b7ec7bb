"""Training where Keras runs on JAX: each epoch is one compiled program, and its data stay on the device.

    order  ->  images and targets of all batches, some batches at once  ->  one step a batch (`lax.scan`)

The loop of Keras asks Python for each batch and for each step, and a GPU waits for it. What a batch
is, and what a step minimises, is said elsewhere, and the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import keras
from jax import Array, lax
from jax import numpy as jnp

from trainer.batches import Batches, composed, network_input, one_hot
from trainer.dataset import Part

COMPOSED = 32  # batches that are varied at once; more take more of the device's memory

State = list[list[Array]]  # weights that are trained, others, those of the optimizer
Data = dict[str, Any]  # images and labels, (n, 28, 28) and (n,), and the weights of a teacher
Figures = dict[str, Array]  # one number each


class Keys:
    """The `trainer.augment.Chance` of a compiled program: each call takes another key."""

    def __init__(self, key: Array) -> None:
        self.key = key

    def next(self) -> Array:
        self.key, key = jax.random.split(self.key)
        return cast(Array, key)

    def random(self, size: Any, /) -> Array:
        return jax.random.uniform(self.next(), size)

    def uniform(self, low: float, high: float, size: Any, /) -> Array:
        return jax.random.uniform(self.next(), size, minval=low, maxval=high)

    def normal(self, mean: float, deviation: float, size: Any, /) -> Array:
        return mean + deviation * jax.random.normal(self.next(), size)

    def integers(self, low: int, high: int, size: Any, /) -> Array:
        return jax.random.randint(self.next(), size, low, high)


@dataclass(frozen=True, slots=True)
class Epochs:
    """What compiled programs need to know of a training; weights and data are given to them each time."""

    model: keras.Model  # gives logits
    optimizer: keras.optimizers.Optimizer
    loss: Callable[[Any, Any], Any]
    accuracy: Callable[[Any, Any], Any]
    batches: Batches  # without a teacher of their own
    teacher: keras.Model | None  # from (n, 28, 28, 1) in [0, 1] to (n, 10) probabilities

    def compiled(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return `epoch`, which may overwrite the state that it is given, and `validate`."""
        return jax.jit(self.epoch, donate_argnums=0), jax.jit(self.validate)

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
        return [*variables(self.model), self.optimizer.variables]

    def data(self) -> Data:
        """Return what epochs are made of, on the device."""
        part = self.batches.part
        return {
            "digits": jnp.asarray(part.pixels),
            "labels": jnp.asarray(part.labels),
            "outliers": jnp.asarray(self.batches.outliers),
            "teacher": [[each.value for each in kind] for kind in variables(self.teacher)] if self.teacher else [],
        }

    def epoch(self, state: State, data: Data, key: Array) -> tuple[State, Figures]:
        """Take a step for each batch of a new order; the last batch is filled up with the first images."""
        state, (losses, accuracies) = lax.scan(self.step, state, self.all_batches(data, Keys(key)))
        return state, {"accuracy": accuracies.mean(), "loss": losses.mean()}

    def all_batches(self, data: Data, random: Keys) -> tuple[Array, Array]:
        """Return the images and targets of an epoch, (steps, n, 28, 28, 1) and (steps, n, 11)."""
        steps, size = len(self.batches), self.batches.batch_size
        order = jnp.resize(jax.random.permutation(random.next(), len(data["labels"])), (steps, size))
        none = random.integers(0, max(1, len(data["outliers"])), (steps, self.batches.without_digit(size)))
        keys = jax.random.split(random.next(), steps)

        def one(chosen: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            digits, without, key = chosen
            return composed(
                data["digits"][digits], data["labels"][digits], data["outliers"][without], Keys(key),
                self.batches.config, self.saying(data["teacher"]),
            )  # fmt: skip

        return cast(tuple[Array, Array], lax.map(one, (order, none, keys), batch_size=COMPOSED))

    def saying(self, weights: list[list[Array]]) -> Callable[[Array], Array] | None:
        """Return what the teacher says of (n, 28, 28) pixels."""
        teacher = self.teacher
        if teacher is None:
            return None
        return lambda pixels: teacher.stateless_call(*weights, pixels[..., jnp.newaxis].astype(jnp.float32) / 255)[0]

    def step(self, state: State, batch: tuple[Array, Array]) -> tuple[State, tuple[Array, Array]]:
        trained, others, moments = state
        (loss, (accuracy, others)), gradients = jax.value_and_grad(self.judge, has_aux=True)(trained, others, *batch)
        trained, moments = self.optimizer.stateless_apply(moments, gradients, trained)
        return [trained, others, moments], (loss, accuracy)

    def judge(
        self, trained: list[Array], others: list[Array], x: Array, targets: Array, training: bool = True
    ) -> tuple[Array, tuple[Array, list[Array]]]:
        """Return the loss, and what the network adds to it, with its accuracy and its other weights."""
        logits, others, added = self.model.stateless_call(trained, others, x, training=training, return_losses=True)
        return self.loss(targets, logits).mean() + sum(added), (self.accuracy(targets, logits), others)

    def validate(self, state: State, x: Array, targets: Array) -> Figures:
        """Return what the network makes of (n, 28, 28, 1) images with (n, 11) targets, all of which hold a digit."""

        def one(image: tuple[Array, Array]) -> tuple[Array, Array]:
            loss, (accuracy, _) = self.judge(state[0], state[1], image[0][None], image[1][None], training=False)
            return loss, accuracy

        size = self.batches.batch_size  # as in a step, whose convolutions are tuned by then
        losses, accuracies = lax.map(one, (x, targets), batch_size=size + self.batches.without_digit(size))
        return {"val_accuracy": accuracies.mean(), "val_loss": losses.mean()}


def variables(model: keras.Model) -> list[list[Any]]:
    """Return the variables that are trained, and the others, where chance is among them."""
    return [model.trainable_variables, model.non_trainable_variables]


def fit(run: Epochs, validation: Part, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, list[float]]:
    """Train for as many epochs as are asked for, and return what each came to.

    Callbacks are told when an epoch begins and what it came to; the network has its weights only at the end.
    """
    epoch, validate = run.compiled()
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
