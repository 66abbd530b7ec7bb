"""Gather what waits into batches, and hand each caller its own rows.

What came in one turn of the event loop, or while all threads were busy, goes together: no timer,
and no delay for a lone caller. A caller with many rows is split over the threads and takes turns
with the others. The batcher knows nothing of images, models or HTTP: it moves arrays to a function
that takes many rows at once, and the results back to those who wait.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.problems import Late

SHARE = 16  # rows below which a batch is not split between idle threads: the hop costs as much as one image

Rows = NDArray[Any]  # (n, …), n ≥ 1
Run = Callable[[Rows], Rows]  # keeps n


@dataclass(slots=True, eq=False)
class Caller:
    """Rows on their way in, results on their way out."""

    run: Run
    rows: Rows
    inline: int
    turn: int
    future: asyncio.Future[Rows]
    deadline: float | None
    taken: int = 0
    missing: int = field(init=False)
    results: Rows | None = None  # only where they come in parts

    def __post_init__(self) -> None:
        self.missing = len(self.rows)

    def is_late(self) -> bool:
        """Tell whether it has waited too long for its first batch."""
        return self.deadline is not None and not self.taken and time.monotonic() > self.deadline

    def take(self, room: int) -> Part:
        start, self.taken = self.taken, min(len(self.rows), self.taken + room)
        return Part(self, start, self.taken)

    def give(self, start: int, results: Rows) -> None:
        self.missing -= len(results)
        if len(results) < len(self.rows):
            if self.results is None:
                self.results = np.empty((len(self.rows), *results.shape[1:]), results.dtype)
            self.results[start : start + len(results)] = results
            results = self.results
        if not self.missing and not self.future.done():  # a caller may have gone away
            self.future.set_result(results)

    def fail(self, exc: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(exc)


@dataclass(slots=True, eq=False)  # frozen, it would take four times as long to make
class Part:
    """Some rows of a caller, from `start` to `stop`."""

    caller: Caller
    start: int
    stop: int

    @property
    def rows(self) -> Rows:
        return self.caller.rows[self.start : self.stop]


class Batcher:
    """Runs batches of at most `max_batch` rows in a pool of `threads`, so many at once.

    As many full batches may lie ready, so that no thread waits for the event loop between two.
    """

    def __init__(self, pool: Executor, *, max_batch: int, threads: int) -> None:
        self.max_batch = max_batch
        self.threads = threads
        self._pool = pool
        self._waiting: deque[Caller] = deque()
        self._running = 0
        self._due = False  # whether the next turn of the loop dispatches
        self.depth = 0  # rows that wait

    def submit(
        self, run: Run, rows: Rows, *, inline: int = 0, turn: int = sys.maxsize, deadline: float | None = None
    ) -> asyncio.Future[Rows]:
        """Return what `run` will make of the rows, which it may be given in parts and with those of others.

        So many as `inline` are run on the event loop, where no others wait or run: they take less
        time than it costs to get to a thread and back. No batch has more than `turn` rows, lest others,
        and whoever ends the process, wait long for it. Whatever `run` raises is raised from there,
        and `Late` where none of the rows has had its turn before the deadline, on the monotonic clock.
        """
        loop = asyncio.get_running_loop()
        caller = Caller(run, rows, inline, turn, loop.create_future(), deadline)
        self._waiting.append(caller)
        self.depth += len(rows)
        if not self._due:
            self._due = True
            loop.call_soon(self._dispatch)  # after all that came in this turn
        return caller.future

    def _dispatch(self) -> None:
        """Start batches while there are rows and room for them; each that ends calls this again."""
        self._due = False
        depth, idle = self.depth, self.threads - self._running
        on_loop = idle == self.threads and self._waiting and depth <= self._waiting[0].inline
        share = depth if on_loop else max(SHARE, -(-depth // max(idle, 1)))
        while self._waiting and self._has_room():
            if batch := self._collect(min(self._full(), share)):
                self._start(batch)

    def _has_room(self) -> bool:
        return self._running < self.threads or (self._running < 2 * self.threads and self.depth >= self._full())

    def _full(self) -> int:
        """Return how many rows the next batch has at most."""
        return min(self.max_batch, self._waiting[0].turn)

    def _collect(self, room: int) -> list[Part]:
        """Fill a batch from the front of the queue, for one function; who has rows left queues again."""
        batch: list[Part] = []
        again: list[Caller] = []
        while self._waiting and room:
            caller = self._waiting.popleft()
            if caller.is_late():
                caller.fail(Late("the request waited longer than its timeout"))
            if caller.future.done():  # gone away, late, or failed in an earlier batch
                self.depth -= len(caller.rows) - caller.taken
                continue
            if batch and caller.run is not batch[0].caller.run:  # the model was replaced in between
                self._waiting.appendleft(caller)
                break
            part = caller.take(room)
            room -= part.stop - part.start
            self.depth -= part.stop - part.start
            batch.append(part)
            if caller.taken < len(caller.rows):
                again.append(caller)
        self._waiting.extend(again)
        return batch

    def _start(self, batch: list[Part]) -> None:
        first, loop = batch[0].caller, asyncio.get_running_loop()
        try:
            rows = join(batch)
        except Exception as exc:  # no memory, or rows of different kinds
            settle(batch, exc)
            return
        if len(rows) <= first.inline and not self._running and not self._waiting:
            settle(batch, attempt(first.run, rows))
            return
        try:
            future = self._pool.submit(attempt, first.run, rows)
        except RuntimeError as exc:  # the system has no thread to spare; it may have one for the next batch
            settle(batch, exc)
            return
        self._running += 1
        future.add_done_callback(lambda done: hand_over(loop, self._end, batch, done))

    def _end(self, batch: list[Part], done: Future[Rows | Exception]) -> None:
        self._running -= 1
        settle(batch, asyncio.CancelledError() if done.cancelled() else done.exception() or done.result())
        self._dispatch()


def hand_over(loop: asyncio.AbstractEventLoop, end: Callable[..., None], *arguments: object) -> None:
    """Call `end` on the loop: with one future less, and fewer locks, than by `run_in_executor`."""
    with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
        loop.call_soon_threadsafe(end, *arguments)


def join(batch: list[Part]) -> Rows:
    return batch[0].rows if len(batch) == 1 else np.concatenate([part.rows for part in batch])


def attempt(run: Run, rows: Rows) -> Rows | Exception:
    try:
        results = run(rows)
        if len(results) != len(rows):  # or callers would wait for what never comes
            raise RuntimeError(f"{len(rows)} rows went in, and {len(results)} came out")
        return results
    except StopIteration as exc:  # which no future takes
        return RuntimeError(repr(exc))
    except Exception as exc:  # for those who wait
        return exc


def settle(batch: list[Part], outcome: Rows | BaseException) -> None:
    """Give each caller of a batch its own results, or what went wrong."""
    end = 0
    for part in batch:
        start, end = end, end + part.stop - part.start
        if isinstance(outcome, BaseException):
            part.caller.fail(outcome)
        else:
            part.caller.give(part.start, outcome[start:end])
