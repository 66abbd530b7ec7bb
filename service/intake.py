"""What all routes for images share: from a request to its images, decoded, and from pixels to judgements.

    body -> items -> looked at -> pixels -> batcher -> engine

Decoding comes before batching, so that no image can spoil the batch of its neighbours. What takes
microseconds is done on the event loop, since a thread costs more; the rest is done off it. Large
pictures are decoded one at a time, in a thread of their own: a few of them at once would take
gigabytes, and small ones never wait behind them. Nothing of one is kept before its turn or after.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence, Sized
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from digits.errors import BadImage
from digits.image import Pixels
from digits.judgements import Judgements
from service.batcher import Batcher
from service.bodies import Bodies
from service.encodings import IDENTITY, WINDOWS, inflate
from service.engine import Engine
from service.items import SHORT, Item
from service.looks import LARGE, Allowance, Deferred, Look, is_quick, see, see_at_last
from service.problems import Problem, QueueFull
from service.settings import Settings

FEW = 64  # images of an answer that is written in less time than it takes to get to a thread and back
CHUNK = 8  # small images decoded in one visit to a thread

T = TypeVar("T")
Found = TypeVar("Found", bound=Sized)  # the images of a request; so many count
Headers = dict[bytes, bytes]


class Intake:
    """Receives bodies, decodes pictures and asks engines, within the bounds that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.max_images = settings.max_images
        self.max_queue = settings.max_queue
        self.threads = settings.threads_at_hand
        self.images = 0  # in all requests that are being answered
        self._bodies = Bodies(settings.max_body)
        self._workers = ThreadPoolExecutor(self.threads, "worker")
        self._pages = ThreadPoolExecutor(self.threads, "page")
        self._large = ThreadPoolExecutor(1, "large")
        self._large_pages = ThreadPoolExecutor(1, "large-page")
        self._infer = ThreadPoolExecutor(self.threads, "infer")
        self._batcher = Batcher(self._infer, max_batch=settings.max_batch, threads=self.threads)

    def close(self) -> None:
        for pool in (self._workers, self._pages, self._large, self._large_pages, self._infer):
            pool.shutdown(wait=False, cancel_futures=True)

    async def serve(
        self,
        request: Request,
        headers: Headers,
        read: Callable[[bytes], Found],
        respond: Callable[[Found], Awaitable[Response]],
        empty: str = "the request has no body",
        *,
        in_place: bool = False,
    ) -> Response:
        """Let a request be answered with what `read` finds in its body; those images are counted meanwhile.

        Short bodies are read on the event loop, and so are long ones that `read` does not copy: `in_place`.
        Raises `Problem`, `QueueFull` and `ClientDisconnect`, and what `read` and `respond` raise.
        """
        body = await self._receive(request, headers)
        try:
            if not body:
                raise Problem(400, "empty_body", empty)
            found = read(body) if in_place or len(body) <= SHORT else await self.off_loop(read, body)
            return await self._admit(found, respond)
        finally:
            self._bodies.free(body)

    async def receive(self, request: Request, headers: Headers, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of the body of a request that holds no images.

        Raises `Problem`, `QueueFull` and `ClientDisconnect`, and what `read` raises.
        """
        body = await self._receive(request, headers)
        try:
            if len(body) > SHORT:  # to parse millions of lists would hold the event loop for a second
                raise Problem(413, "too_large", f"a request without images may have at most {SHORT:,} bytes")
            return read(body)
        finally:
            self._bodies.free(body)

    async def _receive(self, request: Request, headers: Headers) -> bytes:
        """Return the body, unpacked, which is to be freed in the end."""
        encoding = headers.get(b"content-encoding", IDENTITY).lower()
        if encoding != IDENTITY and encoding not in WINDOWS:
            raise Problem(415, "unsupported_encoding", "the Content-Encoding of a body may be gzip or deflate, or none")
        self._bodies.check_length(headers.get(b"content-length", b""))
        body = await self._bodies.read(request)
        return body if encoding == IDENTITY else await self._unpack(body, encoding)

    async def _unpack(self, packed: bytes, encoding: bytes) -> bytes:
        try:
            body = await self.off_loop(inflate, packed, encoding, self._bodies.max_body)
        finally:
            self._bodies.free(packed)
        self._bodies.keep(body)
        return body

    async def _admit(self, found: Found, respond: Callable[[Found], Awaitable[Response]]) -> Response:
        count = len(found)
        if not count:
            raise Problem(422, "no_images", "the request holds no image")
        if self.images + count > self.max_queue:
            raise QueueFull(f"{self.images} images are being read already; at most {self.max_queue} may")
        self.images += count
        try:
            return await respond(found)
        finally:
            self.images -= count

    async def look(
        self, request: Request, items: Sequence[Item], look: Look[T], allowance: Allowance
    ) -> list[T | BadImage]:
        """Look at all items, visit after visit, as many at once as there are threads; others get their turn between."""
        if len(items) == 1 and is_quick(items[0], look):
            return [see_at_last(items[0], look)]
        at_once = 1 if look.is_slow else CHUNK
        stride = at_once * self.threads
        outcomes: list[T | BadImage] = []
        for start in range(0, len(items), stride):
            if start and await request.is_disconnected():
                raise ClientDisconnect
            some = items[start : start + stride]
            visits = [some[at : at + at_once] for at in range(0, len(some), at_once)]
            seen = await asyncio.gather(*(self._visit(look, look_at_all, visit, look) for visit in visits))
            outcomes += await self._look_at_deferred(request, some, list(chain.from_iterable(seen)), look, allowance)
        return outcomes

    async def _look_at_deferred(
        self,
        request: Request,
        items: Sequence[Item],
        seen: Sequence[T | BadImage | Deferred],
        look: Look[T],
        allowance: Allowance,
    ) -> list[T | BadImage]:
        """Look at the pictures that were deferred, as far as they are allowed."""
        outcomes = [(allowance.refuse(one) or one) if isinstance(one, Deferred) else one for one in seen]
        deferred = {index: one for index, one in enumerate(outcomes) if isinstance(one, Deferred)}
        small = [index for index, one in deferred.items() if one.pixels <= LARGE]
        decoded = await asyncio.gather(*(self._visit(look, see_at_last, items[index], look) for index in small))
        done = dict(zip(small, decoded, strict=True))
        one_by_one = self._large_pages if look.is_slow else self._large
        large = [index for index in deferred if index not in done]
        for index in large:
            if await request.is_disconnected():
                raise ClientDisconnect
            done[index] = await in_thread(one_by_one, see_at_last, items[index], look)
        return [done[index] if isinstance(one, Deferred) else one for index, one in enumerate(outcomes)]

    async def _visit(self, look: Look[Any], function: Callable[..., T], *arguments: Any) -> T:
        """Do a part of a look in the threads that are for looks of its kind."""
        return await in_thread(self._pages if look.is_slow else self._workers, function, *arguments)

    async def ask(self, engine: Engine, pixels: Pixels, deadline: float | None = None) -> Judgements:
        """Return the (n, 11) judgements of (n, 28, 28) pixels, n ≥ 1.

        Raises `Late` if their turn does not come before a deadline on the monotonic clock.
        """
        rows = await self._batcher.submit(
            engine.judge, pixels, inline=engine.inline, turn=engine.turn, deadline=deadline
        )
        if not math.isfinite(rows.item(rows.argmax())):  # which is the first NaN, if there is one
            raise RuntimeError("the network answered with what is no number")
        return rows

    async def write(self, count: int, function: Callable[..., T], *arguments: Any) -> T:
        """Write an answer about so many images: on the event loop if they are few, off it if they are many."""
        return function(*arguments) if count <= FEW else await self.off_loop(function, *arguments)

    async def in_background(self, function: Callable[..., T], *arguments: Any) -> T:
        """Do what takes tens of milliseconds and more, and has nothing else wait for a thread."""
        return await in_thread(self._pages, function, *arguments)

    async def off_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        return await in_thread(self._workers, function, *arguments)


async def in_thread(pool: Executor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def look_at_all(items: Sequence[Item], look: Look[T]) -> list[T | BadImage | Deferred]:
    return [see(item, look) for item in items]
