"""How soon a network reads 99 % of the test set on a GPU: the recipe `sprint`, many seeds in one process, warm.

    new weights -> every epoch -> what it makes of the test set; timed from the first to the last

Compiled once before the clock starts, by a training that does not count, and the images are on the
device by then. Needs Keras on JAX.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from trainer import dataset
from trainer.config import Config

Result = tuple[float, float]  # share of the test set that is right, and seconds


def sprint(seeds: int, flags: list[str]) -> str:
    """Train with seeds 0, 1, …; returns what they came to, in a paragraph."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from trainer import fit

    config = Config.from_args(["--recipe", "sprint", *flags])
    results = measure(range(seeds), config)
    right, seconds = (summary(column) for column in zip(*results, strict=True))
    return f"{seeds} seeds, {fit.describe_device()}: {right} of the test set is right, in {seconds} seconds"


def summary(values: Sequence[float]) -> str:
    return f"{mean(values):.4f} ± {stdev(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def measure(seeds: range, config: Config) -> list[Result]:
    import jax

    from trainer import fit, scan, training
    from trainer.batches import Batches, network_input, one_hot

    training.prepare(config)
    data = dataset.load(config.data, validation=config.validation)
    build = training.builder(config)
    batches = Batches(data.train, config)
    with fit.precision(config.mixed_precision):
        model = build()
    with fit.giving_logits(model):
        run = scan.Epochs(model, fit.optimizer(config, len(batches)), fit.open_set_loss, fit.accuracy, batches)
        epoch, judge = jax.jit(run.epoch, donate_argnums=0), jax.jit(run.validate)
        images = run.data()
        held_out = jax.device_put((network_input(data.test.pixels), one_hot(data.test.labels)))
        timed = [once(seed, run, epoch, judge, images, held_out, build) for seed in (0, *seeds)]
    return timed[1:]


def once(seed: int, run: Any, epoch: Any, judge: Any, images: Any, held_out: Any, build: Any) -> Result:
    import jax
    import keras

    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    run.model.set_weights(build().get_weights())
    state, chance = run.state(), jax.random.key(seed)
    for number in range(run.batches.config.epochs):
        state, _ = epoch(state, images, jax.random.fold_in(chance, number))
    share = float(judge(state, *held_out)["val_accuracy"])
    return share, time.perf_counter() - started
