"""The two ways to wait: threads for `Client`, tasks for `AsyncClient`. What for is none of their business.

A driver serves one call, whose answers it reads whole, and bounded. Its methods are those of `_calls.Driver`.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from digits_client._answers import Answer
from digits_client._calls import AT_ONCE, shown
from digits_client._exceptions import BadAnswer
from digits_client._requests import Request

T = TypeVar("T")

MOST_BYTES = 64 << 20  # of one answer; a request of this client gets a few megabytes at most


class Stopped(Exception):
    """The call has ended while a part of it was still at work in a thread, whose outcome nobody waits for."""


class Threads:
    """Blocks its thread; what runs beside runs in others, at most so many as requests are in flight."""

    def __init__(self, http: httpx.Client, timeout: float | None) -> None:
        self.url = http.base_url
        self._http = http
        self._timeout = timeout
        self._stopped = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    async def send(self, request: Request, seconds: float) -> Answer:
        """Takes longer where bytes that are no body come one by one: to httpx a time is that of one read."""
        if self._stopped.is_set():
            raise Stopped
        end = time.monotonic() + seconds
        with self._http.stream(
            request.method, request.path, timeout=least(self._timeout, seconds), **request.options
        ) as response:
            refuse_packed(response)
            body = bytearray()
            for piece in in_time(response.iter_bytes(), end):
                extend(body, piece)
        return answer(response, body)

    async def sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped

    async def entries(self, images: Iterable[T]) -> AsyncGenerator[T, None]:
        if isinstance(images, AsyncIterable):
            raise TypeError("an asynchronous iterator needs an AsyncClient")
        for entry in images:
            yield entry

    async def off_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    def start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AT_ONCE, "digits")
        return self._pool.submit(lambda: run(work()))

    async def result(self, work: Future[T]) -> T:
        return work.result()

    async def stop(self, works: Iterable[Future[Any]]) -> None:
        """Let nothing new begin, and wait for what cannot be broken off: requests on their way."""
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class Tasks:
    """Runs on an asyncio event loop."""

    def __init__(self, http: httpx.AsyncClient, timeout: float | None) -> None:
        self.url = http.base_url
        self._http = http
        self._timeout = timeout

    async def send(self, request: Request, seconds: float) -> Answer:
        try:
            async with (
                asyncio.timeout(None if math.isinf(seconds) else seconds),
                self._http.stream(
                    request.method, request.path, timeout=least(self._timeout, seconds), **request.options
                ) as response,
            ):
                refuse_packed(response)
                body = bytearray()
                async for piece in response.aiter_bytes():
                    extend(body, piece)
        except TimeoutError as exc:
            raise httpx.ReadTimeout("the time for the call is up") from exc
        return answer(response, body)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def entries(self, images: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
        if isinstance(images, AsyncIterable):
            async for entry in images:
                yield entry
        else:
            for entry in images:
                yield entry

    async def off_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(function, *arguments)

    def start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        return asyncio.create_task(work())

    async def result(self, work: asyncio.Task[T]) -> T:
        return await work

    async def stop(self, works: Iterable[asyncio.Task[Any]]) -> None:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def least(timeout: float | None, seconds: float) -> float | None:
    """Return the shorter of two times; httpx takes None for no end."""
    shorter = min(math.inf if timeout is None else timeout, seconds)
    return None if math.isinf(shorter) else shorter


def answer(response: httpx.Response, body: bytearray) -> Answer:
    asked = shown(response.url.copy_with(query=None))
    return Answer(response.status_code, response.headers, bytes(body), str(asked))


def refuse_packed(response: httpx.Response) -> None:
    """Raises `BadAnswer` for a body that httpx would unpack, to any size, before its bytes could be counted."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise BadAnswer(f"the answer is packed ({encoding[:40]}), which was not asked for; did a gateway do that?")


def extend(body: bytearray, piece: bytes) -> None:
    """Raises `BadAnswer` where more and more comes."""
    body += piece
    if len(body) > MOST_BYTES:
        raise BadAnswer(f"the answer has more than {MOST_BYTES:,} bytes, which no answer of this service has")


def in_time(pieces: Iterable[bytes], end: float) -> Iterator[bytes]:
    """Raises `httpx.ReadTimeout` where pieces go on coming when they should have come to an end."""
    for piece in pieces:
        if time.monotonic() > end:
            raise httpx.ReadTimeout("the time for the call is up")
        yield piece


# --- coroutines without an event loop -----------------------------------------------------------


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that waits for nothing but `Threads`, so that one step is all of it."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise RuntimeError("a coroutine waits for something else")


def iterate(items: AsyncGenerator[list[T], None]) -> Generator[T, None, None]:
    """Yield the items of the lists that such a generator yields, and close it whatever happens."""
    try:
        while some := run(following(items)):
            yield from some
    finally:
        run(closed(items))


async def following(items: AsyncGenerator[list[T], None]) -> list[T]:
    return await anext(items, [])


async def closed(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
