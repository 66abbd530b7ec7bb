"""Start a peer as a process on a free port, and leave nothing of it behind. Knows nothing of HTTP."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.material import ROOT, Material
from benchmarks.peer import Peer

SHUTDOWN_SECONDS = 15  # after which it is killed
FOREIGN = ("DIGITS_", "PYTHON", "VIRTUAL_ENV")  # settings of whoever runs us; peers get the defaults


@dataclass(frozen=True)
class Server:
    peer: Peer
    port: int
    mark: str
    work: Path
    process: subprocess.Popen[bytes]
    started: float  # time.perf_counter()

    @property
    def pids(self) -> list[int]:
        return processes.marked(self.mark)

    @property
    def log(self) -> str:
        """The end of what it printed."""
        return (self.work / "log").read_bytes()[-3000:].decode(errors="replace")


@contextmanager
def serve(peer: Peer, material: Material, environments: Path) -> Iterator[Server]:
    """Run a peer until the end of the block."""
    port, mark = free_port(), uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix=f"{peer.name}-", ignore_cleanup_errors=True) as folder:
        words = vocabulary(peer, material, environments, port, Path(folder))
        with (Path(folder) / "log").open("wb") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                [word.format_map(words) for word in peer.command], cwd=ROOT, env=environ(peer, words, mark),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield Server(peer, port, mark, Path(folder), process, started)
        finally:
            stop(process, mark)


def vocabulary(peer: Peer, material: Material, environments: Path, port: int, work: Path) -> dict[str, str]:
    folder = (environments / peer.environment / "bin").absolute()
    return {
        "bin": str(folder), "python": str(folder / "python"), "root": str(ROOT), "port": str(port), "work": str(work),
        "models": str(material.models), "h5": str(material.h5), "onnx": str(material.onnx),
    }  # fmt: skip


def environ(peer: Peer, words: Mapping[str, str], mark: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    given = {
        processes.MARK: mark, "PATH": f"{words['bin']}:{os.environ['PATH']}", "PYTHONPATH": words["root"],
        "PORT": words["port"], "WORK_DIR": words["work"], "MODEL_H5": words["h5"], "MODEL_ONNX": words["onnx"],
    }  # fmt: skip
    return inherited | given | {name: value.format_map(words) for name, value in peer.settings.items()}


def stop(process: subprocess.Popen[bytes], mark: str) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(SHUTDOWN_SECONDS)
    processes.kill(mark)
    process.wait()


def free_port() -> int:
    """Return a port, below those that clients are given, whose next two are free as well: for gRPC and metrics."""
    while True:
        port = random.randrange(20_000, 30_000, 10)  # noqa: S311
        with suppress(OSError), ExitStack() as sockets:
            for offset in range(3):
                sockets.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port
