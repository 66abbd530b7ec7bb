"""Processes that are of no use without the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Have this process signalled when its parent's thread that started it has ended, however; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it was too late to be told
            signal.raise_signal(number)
