"""What many tests start from: a published model, an application that serves it, and what `tests.start` has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.engine import Models
from service.settings import Settings
from tests import models as made
from tests.start import anyio_backend, folder, server

__all__ = ["anyio_backend", "folder", "server"]  # pytest looks for them here

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
