"""The machine that this process runs on: its processor, and how much of its memory a container leaves."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from digits.cores import CGROUP

LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of version 2, of version 1
CPUINFO = Path("/proc/cpuinfo")


def memory(cgroup: Path = CGROUP) -> int:
    """Return how many bytes this process may use: what the machine has, or less where its container sets a limit."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(whole, *(limit(cgroup / file, whole) for file in LIMITS))


def limit(file: Path, whole: int) -> int:
    """Return the bytes that a file names; "max" is no limit, and version 1 names more than there can be."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such file, no limit, or one of another make
        return whole


def processor(cpuinfo: Path = CPUINFO) -> str:
    """Return what its maker calls the processor, or its kind where the system does not say."""
    try:
        named = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:  # not Linux
        named = None
    return named[1] if named else platform.machine()
