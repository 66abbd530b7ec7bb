"""What both clients do, written once: ask in parts, several at a time, again if need be, and answer in order.

All that has to wait is asked of a `Driver`: one does it with threads, the other with tasks. With
threads none of these coroutines ever waits for an event loop, so that `run` drives it to its end
in one go; nothing here knows which is at work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import Any, Protocol, TypeVar

import httpx
import numpy as np

from digits_client._answers import Answer
from digits_client._exceptions import Rejected, TimedOut, Unreachable
from digits_client._requests import Call, Chunk, Part, Request, chunks, slices
from digits_client._retries import BROKEN, PASSING, Patience, seconds_asked

T = TypeVar("T")
Work = TypeVar("Work")  # in progress; what it is, only its driver knows

AT_ONCE = 4  # requests in flight: enough for a service with as many processes, and to encode while it answers


class Driver(Protocol[Work]):
    """Waits, in one of two ways, for one call."""

    url: httpx.URL

    async def send(self, request: Request, seconds: float) -> Answer:
        """Raises `httpx.RequestError`, a `httpx.TimeoutException` of them if it took longer than so many seconds."""

    async def sleep(self, seconds: float) -> None: ...

    def entries(self, images: Any) -> AsyncGenerator[Any, None]:
        """Yield what is in a list, or in what else can be iterated over."""

    async def off_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        """Do what may take a while without anyone else having to wait for it."""

    def start(self, work: Callable[[], Any]) -> Work:
        """Begin what runs beside all else."""

    async def result(self, work: Work) -> Any: ...

    async def stop(self, works: Iterable[Work]) -> None:
        """Come back when nothing runs any more."""


async def ask(driver: Driver[Any], call: Call[T], images: Any, retries: int) -> T | list[T]:
    """Return the answer to an image, or the answers to all. Raises `DigitsError`, `OSError` and so on."""
    if not call.are_many(images):
        return (await ask_chunk(driver, call, Patience.within(call.deadline, retries), Chunk([images])))[0]
    async with aclosing(ask_each(driver, call, images, retries)) as answered:
        return [one async for one in answered]


async def ask_each(driver: Driver[Any], call: Call[T], images: Any, retries: int) -> AsyncGenerator[T, None]:
    """Yield the answers in order, one by one."""
    async with aclosing(ask_some(driver, call, images, retries)) as answered:
        async for some in answered:
            for one in some:
                yield one


async def ask_some(driver: Driver[Any], call: Call[T], images: Any, retries: int) -> AsyncGenerator[list[T], None]:
    """Yield the answers in order, some at a time, as they come; takes no more images than are being asked about."""
    patience = Patience.within(call.deadline, retries)
    works: deque[Any] = deque()
    try:
        async with aclosing(gather(driver, call, images)) as gathered:
            async for chunk in gathered:
                works.append(driver.start(partial(ask_chunk, driver, call, patience, chunk)))
                if len(works) == AT_ONCE:
                    yield await driver.result(works.popleft())
        while works:
            yield await driver.result(works.popleft())
    finally:
        await driver.stop(works)


def gather(driver: Driver[Any], call: Call[Any], images: Any) -> AsyncGenerator[Chunk, None]:
    if not call.are_many(images):
        images = [images]
    return slices(images) if isinstance(images, np.ndarray) else chunks(driver.entries(images), call.spread, call.most)


async def ask_chunk(driver: Driver[Any], call: Call[T], patience: Patience, chunk: Chunk) -> list[T]:
    """Return the answers to some images. What they are read from is read now."""
    answers: list[T] = []
    parts = call.encoded(chunk)
    while part := await driver.off_loop(next, parts, None):
        answers += await ask_part(driver, call, patience, part)
    return answers


async def ask_part(driver: Driver[Any], call: Call[T], patience: Patience, part: Part) -> list[T]:
    """Return the answers to a request, or to its halves if the service takes smaller ones only."""
    answer = await persist(driver, call.request(part), patience)
    too_large = answer.status == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    if too_large and len(part.names) > 1:
        return [one for half in part.halves() for one in await ask_part(driver, call, patience, half)]
    try:
        return call.read(answer, part.names, part.start)
    except Rejected as exc:
        if not too_large or part.names[0] is None:
            raise
        raise Rejected(exc.status, exc.code, f"{part.names[0]}: {exc.message}") from exc


async def persist(driver: Driver[Any], request: Request, patience: Patience) -> Answer:
    """Send until there is an answer other than "later", or no patience left. Raises `Unreachable`."""
    for tries in count():
        outcome = await send(driver, request, patience)
        if isinstance(outcome, Answer) and outcome.status not in PASSING:
            return outcome
        asked = seconds_asked(outcome.headers.get("retry-after")) if isinstance(outcome, Answer) else None
        pause = patience.pause(tries, asked)
        if pause is None:
            break
        await driver.sleep(pause)
    if isinstance(outcome, Unreachable):
        raise outcome
    return outcome


async def send(driver: Driver[Any], request: Request, patience: Patience) -> Answer | Unreachable:
    """Return what came, or why nothing did if another try may have more luck. Raises `Unreachable` if not."""
    if patience.left <= 0:
        raise TimedOut(f"the time for the call was up before {shown(driver.url)} had answered all of it")
    try:
        return await driver.send(request, patience.left)
    except BROKEN as exc:
        return unreachable(driver.url, exc)
    except httpx.RequestError as exc:
        raise unreachable(driver.url, exc) from exc


def unreachable(url: httpx.URL, cause: httpx.RequestError) -> Unreachable:
    kind, reason = Unreachable, str(cause) or type(cause).__name__
    if isinstance(cause, httpx.TimeoutException):
        kind, reason = TimedOut, "it took too long"
    failure = kind(f"no answer from {shown(url)}: {reason}; is the service running there?")
    failure.__cause__ = cause
    return failure


def shown(url: httpx.URL) -> httpx.URL:
    """Return an address for people to see, and so without a password."""
    return url.copy_with(userinfo=b"")
