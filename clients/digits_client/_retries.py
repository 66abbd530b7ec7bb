"""Which outcomes are worth another try, and when it is made. Sends nothing and sleeps for nobody.

Waits grow from 0.1 to 2 seconds with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015), on top of what a `Retry-After` asks for (RFC 9110, section 10.2.3).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

FIRST, LONGEST = 0.1, 2.0  # seconds, of our own waits
MOST_ASKED = 60.0  # seconds; who asks for more is told no

PASSING = {429, 502, 503, 504}
# The connection failed, so that nothing was answered; a prediction may be asked for twice. A service that is slow to
# answer, as in a ReadTimeout, is not asked to do the same again.
BROKEN = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try again, and until when; `end` is a time of the clock."""

    retries: float  # math.inf: until the end
    end: float = math.inf
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random  # in [0, 1)

    @classmethod
    def within(cls, seconds: float | None, retries: float) -> Patience:
        return cls(retries, math.inf if seconds is None else time.monotonic() + seconds)

    @property
    def left(self) -> float:
        return self.end - self.clock()

    def pause(self, attempt: int, asked: float | None = None) -> float | None:
        """Return how many seconds to wait after an attempt (0, 1, …), or None if it was the last.

        A wait that would outlast the end is not begun.
        """
        wait = (asked or 0.0) + self.chance() * min(LONGEST, FIRST * 2 ** min(attempt, 10))
        gives_up = attempt >= self.retries or wait >= self.left or (asked or 0.0) > MOST_ASKED
        return None if gives_up else wait


def seconds_asked(retry_after: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Return the seconds that a `Retry-After` asks for, which is a number or a date; None for neither."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000" reads as naive, and means UTC
    return max(0.0, (aware - now()).total_seconds())
