"""From a request to its answer.

    body -> items -> pixels -> batcher -> engine -> predictions

Decoding comes before batching, so that no image can spoil the batch of its neighbours. What takes
microseconds is done on the event loop, since a thread costs more; the rest is done off it. Large
pictures are decoded one at a time, in a thread of their own: that bounds the memory they take, and
small ones never wait behind them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from PIL.Image import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from digits.errors import BadImage
from digits.image import SIDE, Sight
from digits.network import Probabilities
from service.batcher import Batcher
from service.bodies import Bodies
from service.engine import Engine, Models
from service.errors import Problem, QueueFull
from service.items import NPY_MAGIC, SHORT, Images, Item, decode_large, find_reader, prefers_npy
from service.settings import Settings
from service.verdicts import Wishes, as_json, as_npy, read_wishes

T = TypeVar("T")
Outcome = Sight | BadImage

CHUNK = 8  # small images decoded in one visit to a thread
FEW = 64  # images of an answer that is written in less time than it takes to get to a thread and back


class Predictor:
    """Answers requests with what the engine of the moment makes of their images."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.models = models
        self.max_images = settings.max_images
        self.max_queue = settings.max_queue
        self.threads = settings.threads_at_hand
        self.images = 0  # in all requests that are being answered
        self._bodies = Bodies(settings.max_body)
        self._workers = ThreadPoolExecutor(self.threads, "worker")
        self._large = ThreadPoolExecutor(1, "large")
        self._batcher = Batcher(max_batch=settings.max_batch, threads=self.threads)

    def close(self) -> None:
        self._batcher.close()
        for pool in (self._workers, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem`, `QueueFull` and `ClientDisconnect`."""
        engine = self.models.engine  # the same for the whole request, whatever is published meanwhile
        headers = dict(request.scope["headers"])
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Problem(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")
        wishes = read_wishes(request.scope["query_string"])
        read = find_reader(headers.get(b"content-type", b""), self.max_images)
        self._bodies.check_length(headers.get(b"content-length", b""))
        body = await self._bodies.read(request)
        try:
            if not body:
                raise Problem(400, "empty_body", "the request has no body")
            quick = len(body) <= SHORT or body.startswith(NPY_MAGIC)  # an array is not copied, however long
            found = read(body) if quick else await self._off_loop(read, body)
            return await self._answer(request, engine, found, wishes, prefers_npy(headers.get(b"accept", b"")))
        finally:
            self._bodies.free(body)

    async def _answer(
        self, request: Request, engine: Engine, found: Images | list[Item], wishes: Wishes, to_npy: bool
    ) -> Response:
        count = len(found.pixels) if isinstance(found, Images) else len(found)
        if not count:
            raise Problem(422, "no_images", "the request holds no image")
        if self.images + count > self.max_queue:
            raise QueueFull(f"{self.images} images are being read already; at most {self.max_queue} may")
        self.images += count
        try:
            images = found if isinstance(found, Images) else await self._decode(request, found)
            rows = await self._predict(engine, images)
            status = 200 if len(images.refused) < count else 422
            if to_npy:
                return Response(as_npy(rows), status, engine.headers, "application/x-npy")
            body = (
                as_json(engine, images, rows, wishes)
                if count <= FEW and not wishes.explain
                else await self._off_loop(as_json, engine, images, rows, wishes)
            )
            return Response(body, status, media_type="application/json")
        finally:
            self.images -= count

    async def _predict(self, engine: Engine, images: Images) -> Probabilities:
        """Return (n, 10) probabilities, NaN for what was refused."""
        if not images.refused:
            rows = await self._batcher.submit(engine.predict, images.pixels, inline=engine.inline)
            if not math.isfinite(rows.item(rows.argmax())):  # which is the first NaN, if there is one
                raise RuntimeError("the network answered with what is no number")
            return rows
        good = [index for index in range(len(images.pixels)) if index not in images.refused]
        rows = np.full((len(images.pixels), 10), np.nan, np.float32)
        if good:
            rows[good] = await self._predict(engine, Images(images.pixels[good]))
        return rows

    async def _decode(self, request: Request, items: Sequence[Item]) -> Images:
        """Decode visit after visit, as many at once as there are threads; other requests get their turn between."""
        if len(items) == 1 and items[0].is_quick:
            return gather(items, [await self._settle(request, items[0].sight())])
        stride = CHUNK * self.threads
        outcomes: list[Outcome] = []
        for start in range(0, len(items), stride):
            if start and await request.is_disconnected():
                raise ClientDisconnect
            some = items[start : start + stride]
            visits = [some[at : at + CHUNK] for at in range(0, len(some), CHUNK)]
            decoded = await asyncio.gather(*(self._off_loop(decode, visit) for visit in visits))
            outcomes += [await self._settle(request, outcome) for visit in decoded for outcome in visit]
        return gather(items, outcomes)

    async def _settle(self, request: Request, outcome: Outcome | Image) -> Outcome:
        """Decode what was left because it is large."""
        if not isinstance(outcome, Image):
            return outcome
        if await request.is_disconnected():
            raise ClientDisconnect
        return await in_thread(self._large, decode_large, outcome)

    async def _off_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        return await in_thread(self._workers, function, *arguments)


async def in_thread(pool: Executor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def decode(items: Sequence[Item]) -> list[Outcome | Image]:
    return [item.sight() for item in items]


def gather(items: Sequence[Item], outcomes: Sequence[Outcome]) -> Images:
    """Put what was decoded into one array."""
    sights = [None if isinstance(outcome, BadImage) else outcome for outcome in outcomes]
    images = Images(np.zeros((len(items), SIDE, SIDE), np.uint8), names=[item.name for item in items], sights=sights)
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, BadImage):
            images.refused[index] = outcome
        else:
            images.pixels[index] = outcome.pixels
    return images
