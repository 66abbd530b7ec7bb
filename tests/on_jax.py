"""python -m tests.on_jax WAY SEED [TEACHER]: train a small network on JAX, and print as JSON what came of it.

WAY is `in_whole_epochs`, as on a GPU, or `in_steps`. Keras has one backend a process, so this is one of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

SHARE = 0.05  # of MNIST; a validation set of 250


def main() -> None:
    way, seed, *teacher = sys.argv[1:]
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    from trainer import averaging, dataset, fit
    from trainer.batches import Batches
    from trainer.config import Config

    keras.utils.set_random_seed(int(seed))
    config = Config(epochs=6, average=0.9, augmented=0.2, drawn=0.05, outliers=0.1, seed=int(seed), batch_size=64)
    config = replace(config, taught=1.0)
    data = dataset.load(None, validation=config.validation, share=SHARE)
    taught_by = averaging.in_keras(Path(teacher[0]).read_bytes()) if teacher else None
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    with fit.giving_logits(model):
        history = getattr(fit, way)(model, Batches(data.train, config, taught_by), data.validation, [])
    right = float((fit.predict(model, data.test.pixels).argmax(1) == data.test.labels).mean())
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    print(json.dumps({"history": history, "right": right, "weights": weights}))


if __name__ == "__main__":
    main()
