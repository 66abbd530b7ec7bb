"""Ask a server, and compare what it says with ONNX Runtime's answers."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from benchmarks.material import Material
from benchmarks.peer import Probabilities, Request
from benchmarks.server import Server

TOLERANCE = 1e-4  # of each of the ten probabilities
READY_SECONDS = 120
TIMEOUT = 30
TOGETHER = 16  # requests at once, so that those who batch do
CHECKED = {"batch": 8, "json": 48, "png": 48, "hello": 16}


class WrongAnswer(Exception):
    """The server answered, but not what ONNX Runtime says."""


class Asker:
    """Asks one server, about the images of its workloads."""

    def __init__(self, server: Server, material: Material) -> None:
        self.server = server
        self.material = material
        self.requests = cache(self._requests)

    def _requests(self, workload: str) -> Sequence[Request]:
        return [self.server.peer.exchanges[workload].build(pixels) for pixels in self.material.inputs[workload]]

    def ask(self, workload: str, index: int) -> None:
        """Send one request on a connection of its own. Raises `WrongAnswer`, `OSError` and `HTTPException`."""
        status, body = send(self.server.port, self.requests(workload)[index])
        if status != 200:
            raise WrongAnswer(f"{workload}: {status} {body[:200]!r}")
        read = self.server.peer.exchanges[workload].read
        if read:
            compare(read(body), self.material.expected[workload][index])

    def check(self, workload: str) -> None:
        """Ask many times, a few at once. Raises what `ask` does."""
        count = len(self.requests(workload))
        with ThreadPoolExecutor(TOGETHER) as pool:
            list(pool.map(lambda index: self.ask(workload, index % count), range(CHECKED[workload])))

    def first_answer(self) -> float:
        """Return the seconds from the start of the process to its first right answer. Raises `TimeoutError`."""
        workload, last = next(iter(self.server.peer.exchanges)), ""
        self.requests(workload)  # built now, not on its time
        while time.perf_counter() - self.server.started < READY_SECONDS and self.server.process.poll() is None:
            try:
                self.ask(workload, 0)
                return time.perf_counter() - self.server.started
            except (OSError, http.client.HTTPException, WrongAnswer) as exc:
                last = str(exc)
                time.sleep(0.01)
        raise TimeoutError(f"no right answer came: {last}\n{self.server.log}")


def send(port: int, request: Request) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(request.method, request.path, request.body or None, dict(request.headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def compare(got: Probabilities, expected: Probabilities) -> None:
    """Raises `WrongAnswer` unless the probabilities are close and the digits the same."""
    if got.shape != expected.shape or not np.abs(got - expected).max() <= TOLERANCE:  # nor when it is NaN
        raise WrongAnswer(f"{got[:1].tolist()} instead of {expected[:1].tolist()}")
    if (got.argmax(1) != expected.argmax(1)).any():
        raise WrongAnswer("other digits")
