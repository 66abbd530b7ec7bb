"""Engines: a network, warm, with the bundle that it came from. And the one that is served now.

`Models` watches the folder of models. A new bundle is read, converted, checked and warmed up in
a thread while the old engine goes on; then one assignment swaps them, and requests that began
with the old engine end with it. A bad bundle changes nothing but `Models.refusal`. This module
knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from watchfiles import awatch

from digits import bundle, network
from digits.bundle import Bundle, Manifest
from digits.conversion import Conversion
from digits.errors import BadModel, Refused
from digits.image import Pixels
from digits.judgements import Judgements
from digits.network import Network
from digits.sizes import SIDE
from service.counts import Counts
from service.problems import NoModel

logger = logging.getLogger("uvicorn.error")  # where uvicorn says what happens to the server

LOOP_SECONDS = 4e-3  # for a batch on the event loop, counted image by image; together they take about half of it
TURN_SECONDS = 0.5  # for a batch in a thread: so long others wait for it, and a shutdown
PATIENCE = 15.0  # seconds for which a start waits for its model before it answers that there is none
LOOK_AGAIN = 5.0  # seconds; only for file systems that report no changes, and for a folder that was replaced
HEADERS = {"Digits-Model-Version": "version", "Digits-Model-Sha256": "sha256"}
MOST_BACKOFF = 600.0  # seconds between two tries of a model that could not be read for now


@dataclass(frozen=True)
class Engine:
    """`judge` maps (n, 28, 28) pixels to (n, 11) judgements and may be called from any thread."""

    judge: Callable[[Pixels], Judgements]
    manifest: Manifest
    path: Path  # the folder that holds the model, for its plots
    inline: int = 1  # images that it reads in no more time than the event loop can spare
    turn: int = sys.maxsize  # images that it reads before others should have theirs
    counts: Counts = field(default_factory=Counts)  # of what `judge` was asked

    @cached_property
    def identity(self) -> dict[str, str]:
        return {"version": self.manifest["version"], "sha256": self.manifest["model"]["sha256"]}

    def threshold(self, name: str) -> float:
        """Return the "presence" below which an image holds no digit, or the "confidence" for those within numbers.

        It is 0 where the manifest names none.
        """
        thresholds = self.manifest.get("thresholds")
        value = thresholds.get(name) if isinstance(thresholds, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0.0
        return float(value) if 0 <= value <= 1 else 0.0

    @cached_property
    def headers(self) -> dict[str, str]:
        """The identity, for answers that have no other place for it."""
        return {header: self.identity[part] for header, part in HEADERS.items()}


def load(found: Bundle, model: bytes) -> Engine:
    """Check and warm up what was read, and converted to ONNX. Raises `BadModel` and `BadBundle`."""
    reader = Network(model)
    bundle.check_golden(found, reader)
    check_numbers(reader)
    seconds = duration(reader.judge)
    inline, turn = int(LOOP_SECONDS / seconds), max(1, int(TURN_SECONDS / seconds))
    facts = {"parameters": reader.parameters, "keras_version": reader.keras_version}
    manifest = found.manifest | {"model": facts | found.manifest["model"]}
    counts = Counts()
    return Engine(counts.counting(reader.judge), manifest, found.path, inline, turn, counts)


def check_numbers(reader: Network) -> None:
    """Raises `BadModel` for a network whose sums leave what float32 holds, without ink or with nothing but."""
    extremes = np.stack([np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 255, np.uint8)])
    if not np.isfinite(reader.judge(extremes)).all():
        raise BadModel("unsupported", "the model answers a blank image, or one full of ink, with what is no number")


def duration(judge: Callable[[Pixels], Judgements]) -> float:
    """Return the seconds that one image takes, the first runs aside: these allocate."""
    image = np.zeros((1, SIDE, SIDE), np.uint8)

    def once() -> float:
        start = time.perf_counter()
        judge(image)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


Read = tuple[Bundle, bytes | None, str | None]  # bundle; its ONNX bytes, None if already served; a warning, if any
Loaded = tuple[Engine | None, str | None]  # engine, None if already served; a warning, if any


class Models:
    """The engine that is served now, and what became of the latest attempt to replace it."""

    def __init__(self, folder: Path, default: Path | None = None) -> None:
        self.folder = folder
        self.default = default  # another one, for as long as nothing has been published
        self.refusal: str | None = None
        self.served: Engine | None = None
        self._seen: Any = None  # the fingerprint of what was tried last
        self._one_at_a_time = asyncio.Lock()
        self._ahead: Future[Read] | None = None  # what was read before there was an event loop
        self._late = False  # it took too long
        self._conversion: Conversion | None = None  # that goes on
        self._is_over = False  # whether no conversion may go on any more
        self._try_again = math.inf  # when, on the monotonic clock, though nothing changed
        self._backoff = LOOK_AGAIN
        self._complaints: set[str] = set()

    @property
    def engine(self) -> Engine:
        """What is served. Raises `NoModel`."""
        if self.served is None:
            raise NoModel(self.why_none)
        return self.served

    @property
    def why_none(self) -> str:
        """Why there is nothing that is served, where there isn't."""
        return self.refusal or f"no model has been loaded from {self.folder} yet"

    @contextmanager
    def reading(self, conversion: Conversion, seconds: float = PATIENCE) -> Iterator[None]:
        """Read and convert the model in a thread.

        The conversion ends with the block, or so many seconds later at most; but a file system that
        takes longer to hand over the file is waited for.
        """
        self._seen = fingerprint(self.folder)
        with conversion, ThreadPoolExecutor(1, "reading") as pool:
            ahead = pool.submit(self._read, conversion.finish)
            try:
                network.prepare()
                yield
                in_time = bool(wait([ahead], seconds).done)
            finally:
                conversion.end()  # or the thread would be waited for
        if in_time:
            self._ahead = ahead
        else:  # `watched` begins anew, while requests are answered
            self._late, self._seen = True, None
            self.refusal = f"the model is still being read, for more than {seconds:g} s"

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Load the model that is there, or let that go on if it takes long; then follow the folder until the end."""
        stop = asyncio.Event()
        loading = asyncio.create_task(asyncio.to_thread(self._load)) if self._ahead else None
        follower = asyncio.create_task(self._follow(stop))
        first = asyncio.create_task(self._begin(loading))  # last, to see what changes before the follower watches
        try:
            await asyncio.wait([first], timeout=0 if self._late else PATIENCE)
            yield
        finally:
            stop.set()
            first.cancel()
            self._is_over = True
            if self._conversion:
                self._conversion.end()
            await follower

    async def _begin(self, loading: Awaitable[Loaded] | None) -> None:
        if loading:
            async with self._one_at_a_time:  # or what is found meanwhile would be replaced by what was read before
                await self._take_up(loading)
        await self.refresh()

    async def refresh(self) -> None:
        """Take up what the folder says now, unless it is served already or was just refused. Raises nothing."""
        async with self._one_at_a_time:
            try:
                await self._refresh()
            except Exception as exc:  # no thread to look at it in, say: the follower comes again
                self._complain(exc, "cannot look into")

    async def _refresh(self) -> None:
        seen = await asyncio.to_thread(fingerprint, self.folder)
        if seen == self._seen and time.monotonic() < self._try_again:
            return
        if seen != self._seen:
            self._backoff = LOOK_AGAIN
        self._seen = seen
        await self._take_up(asyncio.to_thread(self._load))

    async def _take_up(self, loading: Awaitable[Loaded]) -> None:
        try:
            loaded = await loading
        except Refused as exc:
            self._refuse(str(exc), for_now=exc.code == "unreadable")
        except Exception as exc:  # no memory, no processes: whatever it is, the old engine goes on
            logger.exception("the model could not be loaded")
            self._refuse(f"{type(exc).__name__}: {exc}", for_now=True)
        else:
            self._accept(*loaded)

    def _refuse(self, reason: str, *, for_now: bool) -> None:
        """Remember why; what may be the machine's fault is tried again, ever more rarely."""
        self.refusal = reason = printable(reason)
        self._try_again = time.monotonic() + self._backoff if for_now else math.inf
        self._backoff = min(2 * self._backoff, MOST_BACKOFF)
        logger.warning("model not taken up: %s", reason)

    def _accept(self, engine: Engine | None, ignored: str | None) -> None:
        self.refusal = ignored
        self._try_again, self._backoff = math.inf, LOOK_AGAIN
        if engine is not None:
            self.served = engine
            logger.info("serving model %s%s", engine.manifest["version"], self._origin(engine))
        if ignored:
            logger.warning("%s", ignored)

    def _origin(self, engine: Engine) -> str:
        """Say where the default model comes from, for whoever meant to have another one served."""
        if self._is_published(engine):
            return ""
        where = f", which comes with the project, since no model in {self.folder.absolute()} is current"
        others = bundle.strays(self.folder)
        if not others:
            return where
        names = printable(", ".join(others)[:200])
        return f"{where}; it holds {names}, but only a .h5 of the name {bundle.H5_NAME} is served"

    def _is_published(self, engine: Engine | None) -> bool:
        return engine is not None and engine.path.is_relative_to(self.folder)

    def _load(self) -> Loaded:
        """Return the engine of the current bundle, or None when it is served already; and what is to be said."""
        ahead, self._ahead = self._ahead, None
        found, model, ignored = ahead.result() if ahead else self._read(self._convert)
        return load(found, model) if model else None, ignored

    def _convert(self, h5: bytes) -> bytes:
        with Conversion() as self._conversion:
            if self._is_over:  # since before it could be ended from there
                self._conversion.end()
            return self._conversion.finish(h5)

    def _read(self, convert: Callable[[bytes], bytes]) -> Read:
        published = self._is_published(self.served)
        found = bundle.read_served(self.folder, self.default, published=published)
        ignored = bundle.ignored(self.folder)
        served = self.served and self.served.identity == {"version": found.version, "sha256": found.sha256}
        try:
            return found, None if served else convert(found.h5), ignored
        except BadModel as exc:  # which has but seen the bytes
            raise BadModel(exc.code, f"{found.path / bundle.H5_NAME}: {exc}") from exc

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._watch(stop)
            except FileNotFoundError:
                pass  # the folder was removed; it may come back
            except Exception as exc:  # no more inotify watches, say: looking from time to time has to do
                self._complain(exc, "cannot watch")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_AGAIN)
                return
            await self.refresh()

    def _complain(self, exc: Exception, what: str) -> None:
        """Log what goes wrong, once, and not every few seconds."""
        if repr(exc) not in self._complaints:
            self._complaints.add(repr(exc))
            why = exc.strerror or exc if isinstance(exc, OSError) else exc  # which says it all, and needs no traceback
            trace = None if isinstance(exc, OSError) else exc
            logger.error("%s %s: %s; looking again every %g s", what, self.folder, why, LOOK_AGAIN, exc_info=trace)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Refresh at every change in the folder, until another folder stands in its place."""
        inode = self.folder.stat().st_ino
        async for _ in awatch(
            self.folder, stop_event=stop, rust_timeout=int(LOOK_AGAIN * 1000), yield_on_timeout=True,
            debounce=200, step=50,
        ):  # fmt: skip
            await self.refresh()
            if self.folder.stat().st_ino != inode:
                return


def printable(text: str) -> str:
    """Return what may hold words of a file that anybody wrote, on one line and without control characters."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def fingerprint(folder: Path) -> tuple[Any, ...]:
    """Return what changes when another model is to be served: names, sizes and times, not contents."""
    names = [folder / bundle.CURRENT, folder / bundle.H5_NAME]
    with suppress(Refused):
        served = folder / bundle.current_version(folder)
        names += [served / bundle.H5_NAME, served / bundle.MANIFEST_NAME]
    return tuple(stamp(name) for name in names)


def stamp(path: Path) -> tuple[str, int, int, int, int] | None:
    try:
        status = path.stat() if path.exists() else path.lstat()  # of a link that leads nowhere, itself
    except OSError:
        return None
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
