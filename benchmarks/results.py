"""What a run leaves behind, as it stands in the JSON file. Durations are in seconds, sizes in bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, TypeVar


class Disturbed(TypedDict):
    """CPU that others took meanwhile, in cores: other processes, and the hypervisor."""

    foreign: float
    stolen: float


class Latencies(TypedDict):
    p50: float
    p95: float
    p99: float
    max: float


class Live(Latencies):
    """What a liveness probe saw, asked at a steady pace, from the moment at which each request was due."""

    asked: int
    failed: int


class Try(Latencies, Disturbed):
    """One load of one server."""

    requests: int
    seconds: float
    rps: float
    images_per_s: float
    errors: dict[str, int]  # by kind, as wrk counts them
    server_cpu: float  # cores
    generator_cpu: float
    cpu_per_image: float  # seconds, of the server
    checked: int  # answers that were compared under load
    wrong: list[str]
    live: NotRequired[Live]


class Raw(Disturbed):
    """ONNX Runtime without any HTTP."""

    images_per_s: float
    cpu_per_image: float


Attempt = TypeVar("Attempt", bound=Disturbed)


class Run(TypedDict):
    """One life of one server. Each cell, such as "json@64", holds all its tries."""

    installed: int
    start: NotRequired[float]
    starting: NotRequired[Disturbed]  # while it did
    memory: NotRequired[dict[str, int]]  # "warm", "loaded"
    processes: NotRequired[int]
    cells: dict[str, list[Try]]
    error: NotRequired[str]


class Round(TypedDict):
    raw: dict[str, list[Raw]]  # "one process", "one thread each"
    peers: dict[str, Run]


class Results(TypedDict):
    machine: dict[str, str | int]
    model: dict[str, str]
    settings: dict[str, float]
    packages: dict[str, dict[str, str]]  # environment -> package -> version
    rounds: list[Round]


def read(path: Path) -> Results:
    results: Results = json.loads(path.read_text())
    return results


def write(path: Path, results: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def disturbance(tried: Disturbed) -> float:
    return max(0.0, tried["foreign"]) + tried["stolen"]


def counted(tries: Sequence[Attempt]) -> Attempt:
    """Return the try that counts: the one that others disturbed least, whatever its score."""
    return min(tries, key=disturbance)


def sound(tried: Try) -> bool:
    """Tell whether every answer came and every one that was compared was right."""
    return tried["requests"] > 0 and not tried["wrong"] and not any(tried["errors"].values())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
