"""One mosec runtime; its worker tells the bodies apart by their first bytes."""
# mypy: disable-error-code="import-not-found, misc"
# its framework is not in the environment that is checked

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from mosec import Runtime, Server, Worker
from numpy.typing import NDArray

from benchmarks.servers.common import answer, decode, load

Item = tuple[bool, NDArray[Any]]  # whether it came as a raw batch; pixels (n, 28, 28) or probabilities (n, 10)


class Digits(Worker):
    """Reads and writes; how many it predicts at once is for the two below."""

    def __init__(self) -> None:
        super().__init__()
        self.run = load()

    def deserialize(self, data: bytes) -> Item:
        if data.startswith(b"{"):
            return False, np.array(json.loads(data)["image"], np.uint8)[None]
        if data.startswith(b"\x89PNG"):
            return False, decode(data)[None]
        return True, np.frombuffer(data, np.uint8).reshape(-1, 28, 28)

    def serialize(self, data: Item) -> bytes:
        raw, rows = data
        return rows.tobytes() if raw else json.dumps(answer(rows[0])).encode()


class Batched(Digits):
    def forward(self, data: list[Item]) -> list[Item]:
        ends = np.cumsum([len(pixels) for _, pixels in data])
        rows = np.split(self.run(np.concatenate([pixels for _, pixels in data])), ends[:-1])
        return [(raw, part) for (raw, _), part in zip(data, rows, strict=True)]


class Single(Digits):
    """mosec hands items over as they are, not in lists, when batches are of one."""

    def forward(self, data: Item) -> Item:
        return data[0], self.run(data[1])


def main() -> None:
    workers, max_batch, wait = (int(os.environ[name]) for name in ("WORKERS", "MAX_BATCH", "MAX_WAIT_MS"))
    server = Server()
    runtime = Runtime(
        Batched if max_batch > 1 else Single, num=workers, max_batch_size=max_batch, max_wait_time=wait, timeout=30
    )
    server.register_runtime({"/predict": [runtime]})
    server.run()


if __name__ == "__main__":
    main()
