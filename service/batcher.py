"""Gather what waits into batches, and hand each caller its own rows.

While one batch runs, the next one gathers: no timer, and no delay for a lone caller. A caller
with many rows takes turns with the others. The batcher knows nothing of images, models or HTTP:
it moves arrays to a function that takes many rows at once, and the results back to those who wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]  # (n, …), n ≥ 1
Run = Callable[[Rows], Rows]  # keeps n


class QueueFull(Exception):
    """Too many rows are waiting already."""


class Caller:
    """Rows on their way in, results on their way out."""

    def __init__(self, run: Run, rows: Rows) -> None:
        self.run = run
        self.left = rows
        self.results: list[Rows] = []
        self.future: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()

    def take(self, count: int) -> Rows:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def give(self, results: Rows) -> None:
        self.results.append(results)
        if not len(self.left) and not self.future.done():  # a caller may have gone away
            self.future.set_result(np.concatenate(self.results))

    def fail(self, exc: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(exc)


class Batcher:
    """Runs batches of at most `max_batch` rows in `executor`, one at a time; `max_queue` rows may wait."""

    def __init__(self, *, max_batch: int, max_queue: int, executor: Executor) -> None:
        self.max_batch = max_batch
        self.max_queue = max_queue
        self._executor = executor
        self._waiting: deque[Caller] = deque()
        self._worker: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many rows wait."""
        return sum(len(caller.left) for caller in self._waiting)

    async def submit(self, run: Run, rows: Rows) -> Rows:
        """Return what `run` makes of the rows, which it may be given in parts and with those of others.

        Raises `QueueFull`, and whatever `run` raises.
        """
        if self.depth + len(rows) > self.max_queue:
            raise QueueFull(f"{self.depth} images are waiting already; at most {self.max_queue} may")
        caller = Caller(run, rows)
        self._waiting.append(caller)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await caller.future

    async def _work(self) -> None:
        """Run batch after batch until nobody waits; the next caller starts it again."""
        try:
            while self._waiting:
                if batch := self._collect():
                    await self._serve(batch)
        finally:
            self._worker = None

    def _collect(self) -> list[tuple[Caller, Rows]]:
        """Fill a batch from the front of the queue, for one function; who has rows left queues again."""
        batch: list[tuple[Caller, Rows]] = []
        again: list[Caller] = []
        room = self.max_batch
        while self._waiting and room:
            caller = self._waiting.popleft()
            if caller.future.done():  # gone away, or failed in an earlier batch
                continue
            if batch and caller.run is not batch[0][0].run:  # the model was replaced in between
                self._waiting.appendleft(caller)
                break
            rows = caller.take(room)
            room -= len(rows)
            batch.append((caller, rows))
            if len(caller.left):
                again.append(caller)
        self._waiting.extend(again)
        return batch

    async def _serve(self, batch: list[tuple[Caller, Rows]]) -> None:
        together = np.concatenate([rows for _, rows in batch])
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._executor, batch[0][0].run, together)
        except Exception as exc:
            for caller, _ in batch:
                caller.fail(exc)
            return
        start = 0
        for caller, rows in batch:
            caller.give(results[start : start + len(rows)])
            start += len(rows)
