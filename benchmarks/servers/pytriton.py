"""Two models in Triton, started by PyTriton: pixels, and PNG files."""
# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"
# its framework is not in the environment that is checked

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.servers.common import decode, load

Infer = Callable[..., Any]


def of_pixels() -> Infer:
    run = load()

    @batch
    def infer(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [run(images)]

    return infer


def of_png() -> Infer:
    run = load()

    @batch
    def infer(images: NDArray[Any]) -> list[NDArray[np.float32]]:
        return [run(np.stack([decode(data) for data in images[:, 0]]))]

    return infer


def main() -> None:
    instances, port = int(os.environ["INSTANCES"]), int(os.environ["PORT"])
    batcher = DynamicBatcher(max_queue_delay_microseconds=int(os.environ["DELAY_US"]))
    config = ModelConfig(batching=True, max_batch_size=1024, batcher=batcher)
    outputs = [Tensor(name="probabilities", dtype=np.float32, shape=(10,))]
    pixels = [Tensor(name="images", dtype=np.uint8, shape=(28, 28))]
    files = [Tensor(name="images", dtype=bytes, shape=(1,))]
    with Triton(
        config=TritonConfig(
            http_address="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2,
            allow_metrics=False, log_verbose=0,
        )
    ) as triton:  # fmt: skip
        # pixels last: the first answer to them is when the start counts as over
        triton.bind("png", [of_png() for _ in range(instances)], files, outputs, config=config)
        triton.bind("digits", [of_pixels() for _ in range(instances)], pixels, outputs, config=config)
        triton.serve()


if __name__ == "__main__":
    main()
