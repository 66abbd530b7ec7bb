"""How many arrays a second go through `Client`, beside curl, which only carries the same bodies there and back.

All ask the same running service, in interleaved rounds. curl parses no answer and makes no predictions.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np

from digits.image import Pixels
from digits_client import Client
from digits_client._calls import AT_ONCE
from digits_client._requests import MOST_IMAGES
from trainer.dataset import MNIST

TYPE = "Content-Type: application/x-npy"
TOLD = ["-sS", "-o", "/dev/null", "-w", "%{http_code}\\n", "-H", TYPE]
LOOP = 'for body in *.npy; do curl "$@" --data-binary "@$body"; done'
PARALLEL = ["curl", "-sS", "--parallel", "--parallel-max", str(AT_ONCE), "--config", "requests"]


def compare(url: str, rounds: int) -> str:
    """Return a table of arrays a second: median, lowest and highest. Raises `DigitsError` and `CalledProcessError`."""
    with np.load(MNIST) as archive:
        pixels: Pixels = archive["x_test"]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as place, Client(url) as client:
        folder, address = Path(place), f"{url.rstrip('/')}/predict"
        write_bodies(pixels, folder, address)
        contenders: Mapping[str, Callable[[], object]] = {
            "`Client.predict`": lambda: client.predict(pixels),
            "`Client.probabilities`": lambda: client.probabilities(pixels),
            "curl, a process for each request": lambda: curl(["bash", "-c", LOOP, "curl", *TOLD, address], folder),
            f"curl, one process, {AT_ONCE} requests at once": lambda: curl(PARALLEL, folder),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(1 + rounds):
            for name, contend in contenders.items():
                started = time.perf_counter()
                contend()
                rates[name] += [len(pixels) / (time.perf_counter() - started)] if turn else []  # the first warms up
    rows = [f"| {name} | {median(all_):,.0f} ({min(all_):,.0f} to {max(all_):,.0f}) |" for name, all_ in rates.items()]
    return "\n".join([f"| {len(pixels):,} arrays, {rounds} rounds | arrays/s |", "| --- | --- |", *rows])


def write_bodies(pixels: Pixels, folder: Path, address: str) -> None:
    """Write the bodies that `Client` sends, and what tells curl to send them."""
    sections = []
    for start in range(0, len(pixels), MOST_IMAGES):
        body = io.BytesIO()
        np.save(body, pixels[start : start + MOST_IMAGES])
        (folder / f"{start:05}.npy").write_bytes(body.getvalue())
        sections.append(
            f'url = "{address}"\ndata-binary = "@{start:05}.npy"\nheader = "{TYPE}"\n'
            'output = "/dev/null"\nwrite-out = "%{http_code}\\n"\n'
        )
    (folder / "requests").write_text("next\n".join(sections))


def curl(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    sent = len(list(folder.glob("*.npy")))
    if done.stdout.split() != ["200"] * sent:
        raise ValueError(f"curl was answered {sorted(set(done.stdout.split()))} to {sent} requests: {done.stderr}")
