"""What the harness must know of a server: how to start it, how to ask it, how to read its answers.

It knows nothing of processes, sockets or load.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.image import Pixels

Probabilities = NDArray[Any]  # (n, 10), of any float
Read = Callable[[bytes], Probabilities]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: str = "POST"

    def wire(self, port: int) -> bytes:
        """Return the request as it goes over a connection that stays open."""
        headers = {"Host": f"127.0.0.1:{port}", **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Exchange:
    """Pixels, one image or a batch, to a request; and its answer to probabilities, or `None` if any 200 is right."""

    build: Callable[[Pixels], Request]
    read: Read | None


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server at one choice of settings.

    Words of the command and values of the settings may hold {python}, {bin}, {root}, {port}, {work}, {models},
    {h5} and {onnx}. The server stays in the foreground, runs in the root of the repository, finds PORT, WORK_DIR,
    MODEL_H5 and MODEL_ONNX in its environment, and leaves on SIGTERM.
    """

    name: str
    environment: str  # the folder of its virtual environment
    command: tuple[str, ...]
    exchanges: Mapping[str, Exchange]  # by workload: "json", "png", "batch", or "hello" alone
    settings: Mapping[str, str] = field(default_factory=dict)  # its environment variables
    liveness: str | None = None  # a path to ask while batches are predicted


def get(path: str) -> Request:
    return Request(path, {}, method="GET")


def post(path: str, body: bytes, media_type: str = "application/octet-stream", **headers: str) -> Request:
    return Request(path, {"Content-Type": media_type} | headers, body)


def post_json(path: str, value: object) -> Request:
    return post(path, json.dumps(value, separators=(",", ":")).encode(), "application/json")


def post_file(path: str, name: str, body: bytes, filename: str, media_type: str) -> Request:
    """Return an upload as a browser makes it."""
    mark = "benchmarks-5f3a9c1e"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    whole = f"{head}Content-Type: {media_type}\r\n\r\n".encode() + body + f"\r\n--{mark}--\r\n".encode()
    return post(path, whole, f"multipart/form-data; boundary={mark}")


def npy(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


def under(key: str) -> Read:
    """Read {key: [10]} or {key: [n][10]}."""
    return lambda body: np.asarray(json.loads(body)[key]).reshape(-1, 10)


def raw_float32(body: bytes) -> Probabilities:
    return np.frombuffer(body, np.float32).reshape(-1, 10)
