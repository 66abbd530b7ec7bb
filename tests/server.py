"""Start the service as its users do, as a process on a port of its own."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = "DIGITS_TESTS_PYTHON"  # in the environment: the Python of the service, if not that of the tests
DEADLINE = 60.0  # seconds until it must listen; it takes about two
READY = re.compile(r"listening on (http://[\d.:]+)")


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)


@contextmanager
def serve(models: Path, *, workers: int = 1, **settings: object) -> Iterator[Server]:
    """Run `python -m service` on a free port until the end of the block."""
    settings |= {"default_model": settings.get("default_model", False)}  # tests build what they need
    settings |= {"models": models, "workers": workers, "port": settings.get("port", 0)}
    environ = {f"DIGITS_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [os.environ.get(PYTHON, sys.executable), "-m", "service"], cwd=ROOT, env=os.environ | environ,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    server = Server(process)
    ready: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=follow, args=(server, ready, workers))
    reader.start()
    try:
        server.url = ready.get(timeout=DEADLINE)
        assert server.url, "".join(server.log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()  # a shutdown that hangs must not hang the tests too
            raise
        finally:
            reader.join()


def follow(server: Server, ready: queue.Queue[str], workers: int) -> None:
    """Keep what the service prints, and tell when all of it listens, or it has ended without."""
    assert server.process.stdout is not None
    waiting = workers
    with server.process.stdout as lines:
        for line in lines:
            server.log.append(line)
            if found := READY.search(line):
                waiting -= 1
                if not waiting:
                    ready.put(found[1])
    ready.put("")
