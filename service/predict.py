"""From a request to its answer, off the event loop wherever it takes time.

    body -> items -> pixels -> batcher -> engine -> predictions

Decoding comes before batching, so that no image can spoil the batch of its neighbours. Large
pictures are decoded one at a time, in a thread of their own: that bounds the memory they take, and
small ones never wait behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from fastapi import Request, Response
from PIL.Image import Image
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from digits.errors import BadImage
from digits.image import Pixels
from digits.network import Probabilities
from service.batcher import Batcher, QueueFull
from service.engine import Engine, Models
from service.items import Item, decode_large, read_items
from service.settings import Settings

T = TypeVar("T")
Outcome = Pixels | BadImage

CHUNK = 8  # small images decoded in one visit to a thread


class Predictor:
    """Answers requests with what the engine of the moment makes of their images."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.models = models
        self.max_images = settings.max_images
        self.max_queue = settings.max_queue
        self.threads = settings.threads_at_hand
        self.images = 0  # in all requests that are being answered
        self._parsers = ThreadPoolExecutor(self.threads, "parse")
        self._decoders = ThreadPoolExecutor(self.threads, "decode")
        self._large = ThreadPoolExecutor(1, "large")
        self._runner = ThreadPoolExecutor(1, "infer")
        self._batcher = Batcher(max_batch=settings.max_batch, max_queue=settings.max_queue, executor=self._runner)

    def close(self) -> None:
        for pool in (self._parsers, self._decoders, self._large, self._runner):
            pool.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem`, `QueueFull` and `ClientDisconnect`."""
        engine = self.models.engine  # the same for the whole request, whatever is published meanwhile
        items = await read_items(request, self._parse, max_images=self.max_images)
        if self.images + len(items) > self.max_queue:
            raise QueueFull(f"{self.images} images are being read already; at most {self.max_queue} may")
        self.images += len(items)
        try:
            return await self._predict(request, engine, items)
        finally:
            self.images -= len(items)

    async def _predict(self, request: Request, engine: Engine, items: Sequence[Item]) -> Response:
        outcomes = await self._decode(request, items)
        good = [outcome for outcome in outcomes if not isinstance(outcome, BadImage)]
        rows = await self._batcher.submit(engine.predict, np.stack(good)) if good else np.empty((0, 10), np.float32)
        if not np.isfinite(rows).all():
            raise RuntimeError("the network answered with what is no number")
        body = await self._parse(render, engine, items, outcomes, rows)
        return Response(body, 200 if good else 422, media_type="application/json")

    async def _decode(self, request: Request, items: Sequence[Item]) -> list[Outcome]:
        """Decode visit after visit, as many at once as there are threads; other requests get their turn between."""
        outcomes: list[Outcome] = []
        stride = CHUNK * self.threads
        for start in range(0, len(items), stride):
            if start and await request.is_disconnected():
                raise ClientDisconnect
            some = items[start : start + stride]
            visits = [some[at : at + CHUNK] for at in range(0, len(some), CHUNK)]
            decoded = await asyncio.gather(*(in_thread(self._decoders, decode, visit) for visit in visits))
            outcomes += [await self._settle(request, outcome) for visit in decoded for outcome in visit]
        return outcomes

    async def _settle(self, request: Request, outcome: Outcome | Image) -> Outcome:
        """Decode what was left because it is large."""
        if not isinstance(outcome, Image):
            return outcome
        if await request.is_disconnected():
            raise ClientDisconnect
        return await in_thread(self._large, decode_large, outcome)

    async def _parse(self, function: Callable[..., T], *arguments: Any) -> T:
        return await in_thread(self._parsers, function, *arguments)


async def in_thread(pool: Executor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def decode(items: Sequence[Item]) -> list[Outcome | Image]:
    return [item.pixels() for item in items]


def render(engine: Engine, items: Sequence[Item], outcomes: Sequence[Outcome], rows: Probabilities) -> bytes:
    """Return the JSON of the answer; `rows` are the probabilities of those that could be decoded."""
    return to_json({"model": engine.identity, "predictions": list(entries(items, outcomes, rows))})


def entries(items: Sequence[Item], outcomes: Sequence[Outcome], rows: Probabilities) -> Iterator[dict[str, Any]]:
    probabilities = iter(rows)
    for index, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
        head = {"index": index, "name": item.name}
        if isinstance(outcome, BadImage):
            yield head | {"error": {"code": outcome.code, "message": str(outcome)}}
        else:
            yield head | reading(next(probabilities))


def reading(row: Probabilities) -> dict[str, Any]:
    digit = int(row.argmax())
    return {"digit": digit, "confidence": float(row[digit]), "probabilities": row.tolist()}
