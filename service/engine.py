"""Engines: a network, warm, with the bundle that it came from. And the one that is served now.

`Models` watches the folder of models. A new bundle is read, converted, checked and warmed up in
a thread while the old engine goes on; then one assignment swaps them, and requests that began
with the old engine end with it. A bad bundle changes nothing but `Models.refusal`. This module
knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from watchfiles import awatch

from digits import bundle, network
from digits.bundle import Bundle, Manifest
from digits.errors import Refused
from digits.image import SIDE, Pixels
from digits.network import Probabilities

logger = logging.getLogger("uvicorn.error")  # where uvicorn says what happens to the server

LOOK_AGAIN = 5.0  # seconds; only for file systems that report no changes, and for a folder that was replaced


class NoModel(Exception):
    """Nothing can be predicted yet; the message says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """`predict` maps (n, 28, 28) pixels to (n, 10) probabilities and may be called from any thread."""

    predict: Callable[[Pixels], Probabilities]
    manifest: Manifest
    path: Path  # the folder that holds the model, for its plots

    @property
    def identity(self) -> dict[str, str]:
        return {"version": self.manifest["version"], "sha256": self.manifest["model"]["sha256"]}


def load(found: Bundle, *, threads: int) -> Engine:
    """Convert, check and warm up what was read. Raises `BadModel` and `BadBundle`."""
    predict = network.load(found.h5, threads=threads)
    bundle.check_golden(found, predict)
    predict(np.zeros((1, SIDE, SIDE), np.uint8))  # the first run allocates
    facts = {"parameters": predict.parameters, "keras_version": predict.keras_version}
    manifest = found.manifest | {"model": facts | found.manifest["model"]}
    return Engine(predict, manifest, found.path)


class Models:
    """The engine that is served now, and what became of the latest attempt to replace it."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.folder = folder
        self.threads = threads
        self.refusal: str | None = None
        self._engine: Engine | None = None
        self._seen: Any = None

    @property
    def engine(self) -> Engine:
        """Raises `NoModel`."""
        if self._engine is None:
            raise NoModel(self.refusal or f"no model has been loaded from {self.folder} yet")
        return self._engine

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Load the model that is there, then follow the folder until the end."""
        await self.refresh()
        stop = asyncio.Event()
        follower = asyncio.create_task(self._follow(stop))
        try:
            yield
        finally:
            stop.set()
            await follower

    async def refresh(self) -> None:
        """Take up what the folder says now, unless it is served already or was just refused."""
        seen = fingerprint(self.folder)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            engine = await asyncio.to_thread(self._load)
        except Refused as exc:
            self.refusal = str(exc)
            logger.warning("model not taken up: %s", exc)
            return
        except Exception as exc:  # no memory, no processes: whatever it is, the old engine goes on
            self.refusal = f"{type(exc).__name__}: {exc}"
            self._seen = None  # another look may find it gone
            logger.exception("model not taken up")
            return
        self.refusal = None
        if engine is not None:
            self._engine = engine
            logger.info("serving model %s", engine.manifest["version"])

    def _load(self) -> Engine | None:
        """Return the engine of the current bundle, or None when it is the one that is served."""
        found = bundle.read_current(self.folder)
        if self._engine and self._engine.identity == {"version": found.version, "sha256": found.sha256}:
            return None
        return load(found, threads=self.threads)

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):  # the folder was removed; it may come back
                inode = self.folder.stat().st_ino
                async for _ in awatch(
                    self.folder, stop_event=stop, rust_timeout=int(LOOK_AGAIN * 1000), yield_on_timeout=True,
                    recursive=True, debounce=200, step=50,
                ):  # fmt: skip
                    await self.refresh()
                    if self.folder.stat().st_ino != inode:
                        break
            if not stop.is_set():
                await self.refresh()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_AGAIN)


def fingerprint(folder: Path) -> tuple[Any, ...]:
    """Return what changes when another model is to be served: names, sizes and times, not contents."""
    names = [folder / bundle.CURRENT, folder / bundle.H5_NAME]
    with contextlib.suppress(Refused):
        served = folder / bundle.current_version(folder)
        names += [served / bundle.H5_NAME, served / bundle.MANIFEST_NAME]
    return tuple(stamp(name) for name in names)


def stamp(path: Path) -> tuple[str, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns
