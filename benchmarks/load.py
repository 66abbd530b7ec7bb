"""Load a server with wrk, with a few checked answers and a liveness probe beside it.

Knows nothing of rounds, and not of what is slow or fast.
"""

from __future__ import annotations

import http.client
import json
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.asking import TIMEOUT, Asker
from benchmarks.material import BATCH
from benchmarks.processes import Usage
from benchmarks.results import Live, Try, percentile

SCRIPT = Path(__file__).with_name("load.lua")
CHECK_EVERY = 0.5
PROBE_EVERY = 0.02
PROBED = "batch@4"  # the cell in which a slow request could get in the way of a quick one


def require_wrk() -> str:
    """Return where wrk is. Raises `OSError` if it is nowhere."""
    path = shutil.which("wrk")
    if not path:
        raise OSError("there is no wrk on PATH: apt-get install wrk")
    return path


def measure(asker: Asker, workload: str, connections: int, seconds: int) -> Try:
    """Warm up, then load."""
    images = BATCH if workload == "batch" else 1
    checked: list[str | None] = []
    probed: list[float | None] = []
    wrk(asker, workload, connections, max(1, seconds // 4))
    with ExitStack() as stack:
        if connections > 1:  # a second one would be company for the only one
            stack.enter_context(meanwhile(lambda stop: check(asker, workload, checked, stop)))
        if asker.server.peer.liveness and f"{workload}@{connections}" == PROBED:
            stack.enter_context(meanwhile(lambda stop: probe(asker, probed, stop)))
        pids = asker.server.pids
        before = Usage.now(pids)
        done = wrk(asker, workload, connections, seconds)
        used = Usage.now(pids) - before
    answered = done["requests"] * images
    tried: Try = done | {
        "rps": done["requests"] / done["seconds"],
        "images_per_s": answered / done["seconds"],
        "server_cpu": used.server / used.clock,
        "generator_cpu": used.children / used.clock,
        "cpu_per_image": used.server / max(1, answered),
        "foreign": used.foreign / used.clock,
        "stolen": used.stolen / used.clock,
        "checked": len(checked),
        "wrong": [error for error in checked if error],
    }
    return tried | {"live": summary(probed)} if probed else tried


def wrk(asker: Asker, workload: str, connections: int, seconds: int) -> Any:
    """Replay the requests of a workload, and return what load.lua prints."""
    port, file = asker.server.port, asker.server.work / f"{workload}.requests"
    if not file.exists():
        wires = [request.wire(port) for request in asker.requests(workload)]
        file.write_bytes(b"".join(b"%d\n%s" % (len(wire), wire) for wire in wires))
    done = subprocess.run(
        [require_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT}s", "-s", SCRIPT,
         f"http://127.0.0.1:{port}/", "--", file],
        capture_output=True, text=True, check=True, timeout=seconds + 2 * TIMEOUT,
    )  # fmt: skip
    return json.loads(done.stdout.rpartition("RESULT ")[2])


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in a thread until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def check(asker: Asker, workload: str, checked: list[str | None], stop: threading.Event) -> None:
    """Compare an answer now and then, and note what was wrong with it."""
    choices = range(len(asker.requests(workload)))
    while not stop.wait(CHECK_EVERY):
        try:
            asker.ask(workload, random.choice(choices))  # noqa: S311
            checked.append(None)
        except Exception as exc:  # whatever it is, it is no right answer
            checked.append(f"{type(exc).__name__}: {exc}"[:200])


def probe(asker: Asker, probed: list[float | None], stop: threading.Event) -> None:
    """Ask for a sign of life at a steady pace, and note how long after it was due each came, if it did."""
    connection = http.client.HTTPConnection("127.0.0.1", asker.server.port, timeout=TIMEOUT)
    due = time.perf_counter()
    while not stop.wait(max(0.0, due - time.perf_counter())):
        try:
            connection.request("GET", str(asker.server.peer.liveness))
            response = connection.getresponse()
            response.read()
            probed.append(time.perf_counter() - due if response.status == 200 else None)
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            probed.append(None)
        due += PROBE_EVERY
    connection.close()


def summary(probed: list[float | None]) -> Live:
    came = [latency for latency in probed if latency is not None] or [float(TIMEOUT)]
    p50, p95, p99 = (percentile(came, share) for share in (0.5, 0.95, 0.99))
    return {
        "p50": p50, "p95": p95, "p99": p99, "max": max(came), "asked": len(probed), "failed": probed.count(None),
    }  # fmt: skip
