"""Count what a network is asked, in this process and since it was taken up. Knows nothing of who asks."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from digits.image import Pixels
from digits.judgements import Judgements


@dataclass(slots=True)
class Tally:
    """How often, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class Counts:
    """Requests, with the time from asking to the answer, and runs of the network by the size of their batch."""

    answered: Tally = field(default_factory=Tally)
    failed: Tally = field(default_factory=Tally)
    batches: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    last: int = 0  # milliseconds since 1970, of the latest run; 0 for none
    _lock: threading.Lock = field(default_factory=threading.Lock)  # several threads run the network

    def counting(self, judge: Callable[[Pixels], Judgements]) -> Callable[[Pixels], Judgements]:
        """Return a function that does the same, and is counted."""

        def counted(pixels: Pixels) -> Judgements:
            start = time.perf_counter_ns()
            rows = judge(pixels)
            spent = time.perf_counter_ns() - start
            with self._lock:
                self.batches[len(pixels)].add(spent)
                self.last = time.time_ns() // 1_000_000
            return rows

        return counted

    def request(self) -> Request:
        """Count what is asked within a `with` as one request."""
        return Request(self)

    def by_size(self) -> list[tuple[int, int, int]]:
        """Return the size, number and nanoseconds of all batches, by size."""
        with self._lock:
            return sorted((size, tally.count, tally.ns) for size, tally in self.batches.items())


class Request:
    """Counts as answered or failed: as neither, if whoever asked went away. A generator would take twice as long."""

    __slots__ = ("_counts", "_start")

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __enter__(self) -> None:
        self._start = time.perf_counter_ns()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        spent = time.perf_counter_ns() - self._start
        if kind is None:
            self._counts.answered.add(spent)
        elif issubclass(kind, Exception):
            self._counts.failed.add(spent)
