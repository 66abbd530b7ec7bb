"""From a request to its answer, off the event loop wherever it takes time.

    body -> items -> pixels -> batcher -> engine -> predictions

Decoding comes before batching, so that no image can spoil the batch of its neighbours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from fastapi import Request, Response
from pydantic_core import to_json

from digits.errors import BadImage
from digits.image import Pixels
from digits.network import Probabilities
from service.batcher import Batcher
from service.engine import Engine, Models
from service.items import Item, read_items
from service.settings import Settings

T = TypeVar("T")
Decoded = Sequence[Pixels | BadImage]

CHUNK = 8  # images decoded in one visit to a thread


class Predictor:
    """Answers requests with what the engine of the moment makes of their images."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.models = models
        self.max_images = settings.max_images
        self.threads = settings.threads_at_hand
        self._decoders = ThreadPoolExecutor(self.threads, "decode")
        self._runner = ThreadPoolExecutor(1, "infer")
        self._batcher = Batcher(
            max_batch=settings.max_batch, max_queue=settings.max_queue, executor=self._runner
        )  # fmt: skip

    def close(self) -> None:
        self._decoders.shutdown()
        self._runner.shutdown()

    async def answer(self, request: Request) -> Response:
        """Raises `NoModel`, `Problem` and `QueueFull`."""
        engine = self.models.engine  # the same for the whole request, whatever is published meanwhile
        items = await read_items(request, self._in_thread, max_images=self.max_images)
        decoded = await self._decode(items)
        good = [pixels for pixels in decoded if not isinstance(pixels, BadImage)]
        rows = await self._batcher.submit(engine.predict, np.stack(good)) if good else np.empty((0, 10), np.float32)
        body = await self._in_thread(render, engine, items, decoded, rows)
        return Response(body, 200 if good else 422, media_type="application/json")

    async def _decode(self, items: Sequence[Item]) -> Decoded:
        """Decode chunk after chunk, as many at once as there are threads; other requests get their turn between."""
        decoded: list[Pixels | BadImage] = []
        stride = CHUNK * self.threads
        for start in range(0, len(items), stride):
            some = items[start : start + stride]
            chunks = [some[at : at + CHUNK] for at in range(0, len(some), CHUNK)]
            for part in await asyncio.gather(*(self._in_thread(decode, chunk) for chunk in chunks)):
                decoded += part
        return decoded

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function, *arguments)


def decode(items: Sequence[Item]) -> list[Pixels | BadImage]:
    return [item.pixels() for item in items]


def render(engine: Engine, items: Sequence[Item], decoded: Decoded, rows: Probabilities) -> bytes:
    """Return the JSON of the answer; `rows` are the probabilities of those that could be decoded."""
    return to_json({"model": engine.identity, "predictions": list(entries(items, decoded, rows))})


def entries(items: Sequence[Item], decoded: Decoded, rows: Probabilities) -> Iterator[dict[str, Any]]:
    probabilities = iter(rows)
    for index, (item, outcome) in enumerate(zip(items, decoded, strict=True)):
        head = {"index": index, "name": item.name}
        if isinstance(outcome, BadImage):
            yield head | {"error": {"code": outcome.code, "message": str(outcome)}}
        else:
            yield head | reading(next(probabilities))


def reading(row: Probabilities) -> dict[str, Any]:
    digit = int(row.argmax())
    return {"digit": digit, "confidence": float(row[digit]), "probabilities": row.tolist()}
