"""Ask the service for single images, for long, and tell whether it grows slower or larger."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from benchmarks import processes
from benchmarks.asking import Asker
from benchmarks.load import measure
from benchmarks.material import Material
from benchmarks.peers import digits
from benchmarks.results import Try, write
from benchmarks.server import serve

SLICE = 10  # seconds
CONNECTIONS = 64
ALIKE = 0.05  # quarters that differ by less are taken to be the same


class Slice(TypedDict):
    load: Try
    memory: int


def soak(requests: int, material: Material, environments: Path, output: Path) -> str:
    """Load the service until so many requests are answered; writes the slices, returns what they say."""
    slices: list[Slice] = []
    with serve(digits.PEERS[0], material, environments) as server:
        asker = Asker(server, material)
        asker.first_answer()
        while sum(item["load"]["requests"] for item in slices) < requests:
            load = measure(asker, "json", CONNECTIONS, SLICE)
            slices.append({"load": load, "memory": processes.memory(server.pids)})
            write(output, slices)
            print(f"{load['rps']:9,.0f} requests/s  {slices[-1]['memory'] / 1e6:6.1f} MB", flush=True)
    return verdict(slices)


def verdict(slices: Sequence[Slice]) -> str:
    answered = sum(item["load"]["requests"] for item in slices)
    wrong = sum(len(item["load"]["wrong"]) + sum(item["load"]["errors"].values()) for item in slices)
    speed = last_to_first([item["load"]["rps"] for item in slices])
    size = last_to_first([item["memory"] for item in slices])
    return f"{answered:,} requests, {wrong} wrong or failed; last quarter ÷ first: speed {speed}, memory {size}"


def last_to_first(values: Sequence[float]) -> str:
    quarter = max(1, len(values) // 4)
    ratio = statistics.fmean(values[-quarter:]) / statistics.fmean(values[:quarter])
    return f"{ratio:.3f} ({'alike' if abs(ratio - 1) <= ALIKE else 'they differ'})"
