"""Have the C library keep what is freed, instead of giving it back to the system and asking for it again.

NumPy makes and frees megabytes for each batch, and each time the system clears every page anew: that
took as long as varying the images did. Only glibc can be told so; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h, mallopt(3)


def keep_freed() -> None:
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(M_MMAP_MAX, 0)
        tell(M_TRIM_THRESHOLD, 2**31 - 1)
        tell(M_TOP_PAD, 64 << 20)
