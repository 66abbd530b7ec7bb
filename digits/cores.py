"""How many cores there are for this process, which in a container is not what the host has."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))  # of version 2, of version 1


def cores(cgroup: Path = CGROUP) -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, *(quota(cgroup, files, available) for files in LIMITS)))


def quota(cgroup: Path, files: tuple[str, ...], available: int) -> int:
    """Return the whole cores of "200000 100000", microseconds in a period; "max" and -1 are no limit."""
    try:
        allowed, period = " ".join((cgroup / file).read_text() for file in files).split()
        return available if allowed in ("max", "-1") else int(allowed) // int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or one of another make
        return available
