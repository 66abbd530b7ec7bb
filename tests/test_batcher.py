"""Batches form while another batch runs; callers come, go and fail alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from service.batcher import Batcher, Rows
from service.problems import Late
from tests.conftest import Busy

pytestmark = pytest.mark.anyio


class Gate:
    """A function for batches that doubles rows, notes their numbers, and waits until it is opened."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, rows: Rows) -> Rows:
        self.sizes.append(len(rows))
        self.entered.release()
        assert self.opened.wait(10)
        return rows * 2


@contextmanager
def batcher(max_batch: int = 4, threads: int = 1) -> Iterator[Batcher]:
    with ThreadPoolExecutor(threads) as pool:
        yield Batcher(pool, max_batch=max_batch, threads=threads)


def rows(*values: int) -> Rows:
    return np.array(values)[:, np.newaxis]  # (n, 1)


async def begin(batches: Batcher, gate: Gate, *callers: Rows) -> list[asyncio.Future[Rows]]:
    """Start callers, and come back when the first of them is being served and the others wait."""
    first = asyncio.ensure_future(batches.submit(gate, callers[0]))
    await asyncio.to_thread(gate.entered.acquire)
    others = [asyncio.ensure_future(batches.submit(gate, caller)) for caller in callers[1:]]
    await asyncio.sleep(0)  # lets them queue
    return [first, *others]


async def test_a_lone_caller_is_served_at_once() -> None:
    gate = Gate()
    gate.opened.set()
    with batcher() as batches:
        assert (await batches.submit(gate, rows(1, 2))).tolist() == [[2], [4]]
    assert gate.sizes == [2]


async def test_callers_that_come_while_a_batch_runs_share_the_next() -> None:
    gate = Gate()
    with batcher(max_batch=4) as batches:
        tasks = await begin(batches, gate, *(rows(n) for n in range(8)))
        gate.opened.set()
        results = await asyncio.gather(*tasks)
    assert [result.tolist() for result in results] == [[[2 * n]] for n in range(8)]
    assert gate.sizes == [1, 4, 3]


async def test_a_large_caller_is_split_and_takes_turns_with_a_small_one() -> None:
    gate = Gate()
    gate.opened.set()
    finished: list[str] = []
    with batcher(max_batch=4) as batches:

        async def call(name: str, values: Rows) -> Rows:
            result = await batches.submit(gate, values)
            finished.append(name)
            return result

        large, small = await asyncio.gather(call("large", rows(*range(40))), call("small", rows(7)))
    assert large.ravel().tolist() == [2 * n for n in range(40)]
    assert small.tolist() == [[14]]
    assert finished == ["small", "large"]
    assert max(gate.sizes) == 4


async def test_what_comes_in_one_turn_of_the_loop_shares_a_batch() -> None:
    gate = Gate()
    gate.opened.set()
    with batcher(max_batch=4) as batches:
        results = await asyncio.gather(*(batches.submit(gate, rows(n)) for n in range(3)))
    assert [result.item() for result in results] == [0, 2, 4]
    assert gate.sizes == [3]


async def test_a_large_caller_is_split_over_the_threads() -> None:
    gate = Gate()
    with batcher(max_batch=64, threads=2) as batches:
        task = asyncio.ensure_future(batches.submit(gate, rows(*range(100))))
        for _ in range(2):  # both threads are at it at once
            await asyncio.to_thread(gate.entered.acquire)
        gate.opened.set()
        assert (await task).ravel().tolist() == [2 * n for n in range(100)]
    assert gate.sizes == [50, 50]


async def test_no_batch_has_more_rows_than_fit_into_a_turn() -> None:
    gate = Gate()
    with batcher(max_batch=64, threads=1) as batches:
        task = asyncio.ensure_future(batches.submit(gate, rows(*range(100)), turn=40))
        gate.opened.set()
        assert (await task).ravel().tolist() == [2 * n for n in range(100)]
    assert gate.sizes == [40, 40, 20]


async def test_few_rows_run_on_the_loop_unless_others_run_already() -> None:
    threads: list[int] = []

    def note(batch: Rows) -> Rows:
        threads.append(threading.get_ident())
        return batch

    gate, here = Gate(), threading.get_ident()
    with batcher(threads=2) as batches:
        await batches.submit(note, rows(1, 2), inline=2)
        await batches.submit(note, rows(1, 2, 3), inline=2)
        tasks = await begin(batches, gate, rows(1))
        await batches.submit(note, rows(1, 2), inline=2)
        gate.opened.set()
        await asyncio.gather(*tasks)
    assert [thread == here for thread in threads] == [True, False, False]


async def test_an_exception_on_the_loop_reaches_the_caller() -> None:
    def fails(batch: Rows) -> Rows:
        raise ArithmeticError

    with batcher() as batches:
        with pytest.raises(ArithmeticError):
            await batches.submit(fails, rows(1), inline=1)
        assert (await batches.submit(lambda batch: batch, rows(1), inline=1)).item() == 1


async def test_full_batches_lie_ready_while_all_threads_run() -> None:
    gate, alone = Gate(), threading.Event()

    def note(batch: Rows) -> Rows:
        alone.set()
        return batch

    with batcher(max_batch=4) as batches:
        tasks = await begin(batches, gate, rows(0))
        ready = [batches.submit(note, rows(n)) for n in range(4)]
        await asyncio.sleep(0)
        gate.opened.set()
        assert alone.wait(10)  # though the event loop stands still here
        await asyncio.gather(*tasks, *ready)


async def test_callers_that_go_away_are_not_run_and_hurt_nobody() -> None:
    gate = Gate()
    with batcher(max_batch=8) as batches:
        tasks = await begin(batches, gate, *(rows(n) for n in range(7)))
        for gone in tasks[::2]:
            gone.cancel()
        gate.opened.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [outcome.tolist() for outcome in outcomes[1::2] if isinstance(outcome, np.ndarray)] == [
            [[2]],
            [[6]],
            [[10]],
        ]
        assert gate.sizes == [1, 3]
        assert batches.depth == 0


async def test_an_exception_reaches_all_of_its_batch_and_nobody_else() -> None:
    def fails(batch: Rows) -> Rows:
        if 3 in batch:
            raise ArithmeticError("three")
        return batch

    with batcher(max_batch=2) as batches:
        calls = [batches.submit(fails, rows(n)) for n in range(6)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [np.ndarray] * 2 + [ArithmeticError] * 2 + [np.ndarray] * 2
        assert (await batches.submit(fails, rows(9))).tolist() == [[9]]


@pytest.mark.parametrize("exception", [StopIteration, asyncio.CancelledError, GeneratorExit])
async def test_whatever_is_raised_in_a_thread_reaches_the_caller(exception: type[BaseException]) -> None:
    def fails(batch: Rows) -> Rows:
        raise exception

    with batcher() as batches:
        with pytest.raises((RuntimeError, exception)):
            await asyncio.wait_for(batches.submit(fails, rows(1)), 10)
        assert (await batches.submit(lambda batch: batch, rows(9))).item() == 9


@pytest.mark.parametrize("results", [rows(1), rows(1, 2, 3), None])
@pytest.mark.parametrize("inline", [0, 2])
async def test_a_function_that_loses_rows_fails_its_batch_and_nobody_else(results: Rows, inline: int) -> None:
    def loses(batch: Rows) -> Rows:
        return results

    with batcher() as batches:
        outcomes = await asyncio.gather(
            *(batches.submit(loses, rows(n), inline=inline) for n in range(2)), return_exceptions=True
        )
        assert (await batches.submit(lambda batch: batch, rows(9), inline=inline)).item() == 9
    assert all(isinstance(outcome, RuntimeError | TypeError) for outcome in outcomes)


async def test_callers_of_different_functions_do_not_share_a_batch() -> None:
    """As when a model is replaced while requests wait: each is answered by the one that it began with."""
    first, second = Gate(), Gate()
    second.opened.set()
    with batcher(max_batch=10) as batches:
        tasks = await begin(batches, first, rows(1), rows(2))
        tasks.append(batches.submit(second, rows(3)))
        tasks.append(batches.submit(first, rows(4)))
        await asyncio.sleep(0)
        first.opened.set()
        results = await asyncio.gather(*tasks)
    assert [result.item() for result in results] == [2, 4, 6, 8]
    assert (first.sizes, second.sizes) == ([1, 1, 1], [1])


async def test_who_waited_longer_than_its_deadline_gets_no_turn_and_who_began_goes_on() -> None:
    gate, now = Gate(), time.monotonic()
    with batcher(max_batch=2) as batches:
        (first,) = await begin(batches, gate, rows(1, 2))
        begun = batches.submit(gate, rows(3, 4, 5), deadline=now + 60)
        late = batches.submit(gate, rows(6), deadline=now)
        last = batches.submit(gate, rows(7))
        gate.opened.set()
        with pytest.raises(Late):
            await late
        assert [result.tolist() for result in await asyncio.gather(first, begun, last)] == [
            [[2], [4]], [[6], [8], [10]], [[14]],
        ]  # fmt: skip
    assert sum(gate.sizes) == 6


async def test_where_no_thread_can_be_started_those_who_wait_hear_of_it_and_the_next_are_served() -> None:
    with Busy(refusals=3) as pool:
        batches = Batcher(pool, max_batch=2, threads=1)
        refused = [batches.submit(lambda batch: batch, rows(n, n)) for n in range(3)]  # more than may run or lie ready
        outcomes = await asyncio.gather(*refused, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["can't start new thread"] * 3
        assert (await batches.submit(lambda batch: batch, rows(9))).item() == 9


async def test_a_pool_that_closes_lets_nobody_wait() -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        batches = Batcher(pool, max_batch=1, threads=1)
        first, ready, last = await begin(batches, gate, rows(1), rows(2), rows(3))
        pool.shutdown(wait=False, cancel_futures=True)
        gate.opened.set()
        outcomes = await asyncio.gather(first, ready, last, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [np.ndarray, asyncio.CancelledError, RuntimeError]


def test_a_batch_that_outlives_its_loop_ends_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with batcher() as batches:
        asyncio.run(leave_running(batches, gate))
        gate.opened.set()
    assert not caplog.records


async def leave_running(batches: Batcher, gate: Gate) -> None:
    await begin(batches, gate, rows(1))
