"""How soon a network reads 99 % of the test set on a GPU: the recipe `sprint`, many seeds in one process, warm.

    new weights -> every epoch -> what it makes of the test set; timed from the first to the last

Compiled before the clock starts, by a training that does not count, and the images are on the device
by then. Needs Keras on JAX.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer import dataset
from trainer.config import RECIPES, Config

if TYPE_CHECKING:  # it imports JAX
    from trainer.scan import Epochs

Result = tuple[float, float]  # share of the test set that is right, and seconds


def sprint(seeds: int) -> str:
    """Train with seeds 0, 1, …, two at least; returns what they came to. Raises `ValueError` if it cannot be done."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from trainer import devices

    if seeds < 2 or not devices.compiles_epochs():
        raise ValueError("it takes two seeds, JAX, and a GPU")
    right, seconds = (
        summary(column) for column in zip(*measure(range(seeds), Config(**RECIPES["sprint"])), strict=True)
    )
    return f"{seeds} seeds, {devices.described()}: {right} of the test set is right, in {seconds} seconds"


def summary(values: Sequence[float]) -> str:
    return f"{mean(values):.4f} ± {stdev(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def measure(seeds: Sequence[int], config: Config) -> list[Result]:
    """Return what became of each seed."""
    import jax

    from trainer import fit, training
    from trainer.batches import Batches, network_input, one_hot

    training.prepare(config)
    data = dataset.load(config.data, validation=config.validation, share=config.share)
    build, batches = training.builder(config), Batches(data.train, config)
    model = build()
    with fit.giving_logits(model):
        run = fit.compilable(model, batches)
        held_out = jax.device_put((network_input(data.test.pixels), one_hot(data.test.labels)))
        once = timed(run, build, held_out)
        return [once(seed) for seed in (seeds[0], *seeds)][1:]


def timed(run: Epochs, build: Callable[[], Any], held_out: tuple[Any, Any]) -> Callable[[int], Result]:
    """Return what trains with a seed; the first call compiles."""
    import jax
    import keras

    from trainer import scan

    epoch, validate = run.compiled()
    images = run.data()

    def once(seed: int) -> Result:
        started = time.perf_counter()
        keras.utils.set_random_seed(seed)
        for kind, fresh in zip(scan.variables(run.model), scan.variables(build()), strict=True):
            for variable, new in zip(kind, fresh, strict=True):
                variable.assign(new.value)
        state, chance = run.state(), jax.random.key(seed)
        for number in range(run.batches.config.epochs):
            state, _ = epoch(state, images, jax.random.fold_in(chance, number))
        right = float(np.asarray(validate(state, *held_out)["val_accuracy"]))
        return right, time.perf_counter() - started

    return once
