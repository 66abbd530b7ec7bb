"""python -m tests.on_jax FOLDER: trainings on JAX, of which FOLDER/results.json says what came; see test_scan.py.

Keras has one backend in a process, so these are a process of their own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer import dataset
from trainer.config import Config

os.environ["KERAS_BACKEND"] = "jax"

PLAIN = Config(
    epochs=8,
    batch_size=64,
    augmented=0.0,
    drawn=0.0,
    outliers=0.0,
    label_smoothing=0.1,
    average=0.9,
    learning_rate=0.01,
)  # whose order does not matter, if the only batch has all images
VARIED = replace(PLAIN, augmented=0.5, drawn=0.1, outliers=0.25, epochs=2)


def network(dropout: float = 0.0) -> Any:
    """Return an untrained network in which there is everything that a step has to mind."""
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.MaxPooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def main() -> None:
    import keras

    from benchmarks import sprint
    from trainer import averaging, fit
    from trainer.batches import Batches

    folder = Path(sys.argv[1])
    data = dataset.load(None, validation=1 / 12, share=0.05)
    few = data.train.take(np.arange(64))
    held_out = data.validation.take(np.arange(200))  # six batches of Keras, and a quarter of one

    def trained(way: Callable[..., Any], config: Config, *teacher: Any, part: Any = few, dropout: float = 0.0) -> Any:
        """Return the history, and the weights in a list."""
        keras.utils.set_random_seed(config.seed)
        model = network(dropout)
        with fit.giving_logits(model):
            history = way(model, Batches(part, config), *teacher, held_out, [])
        weights = np.concatenate([weight.ravel() for weight in model.get_weights()])
        said = fit.predict(model, few.pixels).argmax(1)
        return {"history": history, "weights": weights.tolist(), "said": said.tolist()}

    whole, steps = fit.in_whole_epochs, fit.in_steps
    next_digit = averaging.as_served((folder / "teacher.h5").read_bytes())
    results = {
        "steps": trained(steps, PLAIN),
        "whole": trained(whole, PLAIN, None),
        "seeds": [
            trained(whole, replace(VARIED, seed=seed), None, part=data.train.take(np.arange(150)), dropout=0.2)
            for seed in (1, 1, 2)
        ],
        "taught": trained(whole, replace(PLAIN, taught=1.0, epochs=60, label_smoothing=0.0, average=0.0), next_digit),
        "labels": few.labels.tolist(),
        "sprint": sprint.measure((1, 2), replace(PLAIN, architecture=str(folder / "small.py"), share=0.01)),
    }
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
