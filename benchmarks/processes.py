"""What processes use, read from /proc. Knows nothing of what they do.

The processes of a server are those that carry its mark in their environment, which they inherit.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "BENCHMARKS_RUN"
PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # a second


def marked(mark: str) -> list[int]:
    """Return the processes that were started, at whatever remove, with this mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in PROC.glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is not ours to read
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def memory(pids: Iterable[int]) -> int:
    """Return the proportional set size: a page that n of them share counts as n parts."""
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024


def cpu(pids: Iterable[int]) -> float:
    """Return the CPU seconds of these processes and of the children that they have outlived."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own and its dead children's, user and system
    return ticks / TICKS


def kill(mark: str) -> None:
    """End whatever carries the mark, until nothing does."""
    while pids := marked(mark):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@dataclass(frozen=True)
class Usage:
    """Seconds that have passed, on the clock and on the CPUs, by whom they were used."""

    clock: float
    server: float
    harness: float
    children: float  # of the harness, that have ended: wrk
    machine: float
    stolen: float  # by the hypervisor

    @classmethod
    def now(cls, server: Iterable[int] = ()) -> Usage:
        user, nice, system, _, _, irq, softirq, steal = map(int, (PROC / "stat").read_text().split()[1:9])
        children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        return cls(
            clock=time.perf_counter(),
            server=cpu(server),
            harness=own.ru_utime + own.ru_stime,
            children=children.ru_utime + children.ru_stime,
            machine=(user + nice + system + irq + softirq) / TICKS,
            stolen=steal / TICKS,
        )

    def __sub__(self, before: Usage) -> Usage:
        return Usage(*(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__))

    @property
    def foreign(self) -> float:
        """What was used by none of us."""
        return self.machine - self.server - self.harness - self.children
