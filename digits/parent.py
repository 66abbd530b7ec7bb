"""Processes that are of no use without the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Send this process a signal when the thread that started it ends, for any reason; Linux only.

    `parent` is the id of the process that started it, by its own account: it may have ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it was too late to be told
            signal.raise_signal(number)
