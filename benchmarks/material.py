"""The images that every server is asked about, and what ONNX Runtime alone says of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.peer import Probabilities
from digits import bundle
from digits.conversion import convert
from digits.image import Pixels
from trainer.dataset import MNIST

ROOT = Path(__file__).parent.parent
IMAGES = 256  # that single requests go through in turn
BATCH, BATCHES = 256, 4


@dataclass(frozen=True)
class Material:
    version: str
    sha256: str
    models: Path
    h5: Path
    onnx: Path
    inputs: Mapping[str, Sequence[Pixels]]  # by workload
    expected: Mapping[str, Sequence[Probabilities]]


@contextmanager
def prepare(models: Path) -> Iterator[Material]:
    """Lend the model that is served, also as the ONNX file that the peers read. Raises `BadBundle` and `BadModel`."""
    found = bundle.read_served(models, bundle.DEFAULT_MODEL)
    with np.load(MNIST) as archive:
        pixels: Pixels = archive["x_test"][: BATCH * BATCHES]
    onnx = convert(found.h5)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    rows: Probabilities = session.run(["probabilities"], {"pixels": pixels})[0]
    singles, one = list(pixels[:IMAGES]), np.split(rows[:IMAGES], IMAGES)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        path = Path(folder) / "digits.onnx"
        path.write_bytes(onnx)
        yield Material(
            version=found.version,
            sha256=found.sha256,
            models=models.resolve(),
            h5=(found.path / bundle.H5_NAME).resolve(),
            onnx=path,
            inputs={"json": singles, "png": singles, "batch": np.split(pixels, BATCHES), "hello": singles[:1]},
            expected={"json": one, "png": one, "batch": np.split(rows, BATCHES), "hello": one[:1]},
        )
