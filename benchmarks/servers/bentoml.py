"""A BentoML service whose APIs batch adaptively. BentoML reads annotations as objects, so they stay what they are."""
# mypy: disable-error-code="import-not-found, untyped-decorator"
# its framework is not in the environment that is checked

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from PIL.Image import Image

from benchmarks.servers.common import load

BATCHES = {"batchable": True, "max_batch_size": 64, "max_latency_ms": 1000}


@bentoml.service(workers=2, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Digits:
    def __init__(self) -> None:
        self.run = load()

    @bentoml.api(**BATCHES)
    def predict(self, images: Annotated[np.ndarray, Shape((-1, 28, 28)), DType("uint8")]) -> np.ndarray:
        return self.run(images)

    @bentoml.api(**BATCHES)
    def predict_png(self, images: list[Image]) -> np.ndarray:
        return self.run(np.stack([np.asarray(image.convert("L")) for image in images]))

    @bentoml.api
    def predict_raw(self, pixels: Path) -> np.ndarray:
        return self.run(np.frombuffer(pixels.read_bytes(), np.uint8).reshape(-1, 28, 28))
