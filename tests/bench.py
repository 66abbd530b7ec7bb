"""python -m tests.bench: what the service costs on this machine, beside ONNX Runtime alone.

Speed is never tested, only measured: the two sides of each ratio take turns in one run, since
machines drift. Prints one table; needs a published model in DIGITS_MODELS (default models).
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

from digits import bundle, network
from digits.image import Pixels
from tests.models import mnist, png
from tests.server import Server, serve

BULK = 256  # images in a bulk request


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default: 5)")
    rounds = parser.parse_args().rounds
    models = Path(os.environ.get("DIGITS_MODELS", "models"))
    found = bundle.read_current(models)
    rows = [measure(models, found.h5) for _ in range(rounds)]
    print(f"{platform.processor() or platform.machine()}, {network.cores()} cores, Python {platform.python_version()}, "
          f"model {found.version}, median (lowest to highest) of {rounds} rounds")  # fmt: skip
    for name in rows[0]:
        values = sorted(row[name] for row in rows)
        print(f"{name:<58}{statistics.median(values):>9.2f}  ({values[0]:.2f} to {values[-1]:.2f})")
    return 0


def measure(models: Path, h5: bytes) -> dict[str, float]:
    """One round: start a service, ask it, and run the same images through the network alone."""
    pixels, _ = mnist(BULK)
    file, headers = png(pixels[0]), {"content-type": "image/png"}
    start = time.perf_counter()
    with serve(models) as server, httpx.Client(base_url=server.url) as client:
        assert client.post("/predict", content=file, headers=headers).status_code == 200
        started = time.perf_counter() - start
        one = seconds(lambda: client.post("/predict", content=file, headers=headers), 300)
        body = npy(pixels)
        bulk = seconds(lambda: client.post("/predict", content=body, headers={"content-type": "application/x-npy"}), 30)
        memory = proportional_memory(server)
    alone = network.load(h5)
    raw = seconds(lambda: alone(pixels), 30)
    return {
        "process start to first prediction, s": started,
        "one PNG a request, one connection, median ms": one * 1e3,
        f"{BULK} images a request as .npy, one connection, images/s": BULK / bulk,
        "  of what ONNX Runtime alone does with them": raw / bulk,
        "memory after that (PSS), MiB": memory,
    }


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the median duration of a call, after a tenth more of them to warm up."""
    durations = []
    for _ in range(times + times // 10):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations[-times:])


def proportional_memory(server: Server) -> float:
    text = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def npy(array: Pixels) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
