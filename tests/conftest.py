"""What many tests start from: a published model, an application that serves it, a server on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.engine import Models
from service.settings import Settings
from tests import models as made
from tests.models import mnist, png
from tests.server import Server
from tests.server import serve as run

Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def h5() -> bytes:
    return made.templates()


@pytest.fixture(scope="session")
def published(h5: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one bundle, to be read only."""
    folder = tmp_path_factory.mktemp("models")
    made.publish(folder, h5)
    return folder


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Server]:
    """A service on a port, with that bundle."""
    with run(published) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader might be: with a picture of a seven, and something else."""
    (tmp_path / "seven.png").write_bytes(png(mnist(1)[0][0]))
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.4")
    return tmp_path


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Run an application in this process, and lend a client of it."""

    @asynccontextmanager
    async def lend(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(settings, Models(settings.models))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=settings.root_path)
        async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://t") as c:
            yield c

    return lend


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run tests marked `anyio` on asyncio, the loop that uvicorn runs on."""
    return "asyncio"
