"""What many tests start from: a published model, an application with it, its clients, and what `tests.start` has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from digits import bundle, network
from digits.network import Network
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
def shipped() -> Network:
    """The network that comes with the project."""
    return network.load(bundle.read_current(bundle.DEFAULT_MODEL).h5)


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


@pytest.fixture(scope="module")
async def client(published: Path, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A service with that bundle, and low limits."""
    async with serve(Settings(models=published, max_body=200_000, max_images=100)) as lent:
        yield lent


@pytest.fixture
async def empty(tmp_path: Path, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A service that has no model yet."""
    async with serve(Settings(models=tmp_path)) as lent:
        yield lent


@pytest.fixture(scope="module")
async def expected(client: httpx.AsyncClient) -> NDArray[np.float64]:
    """What `/predict` says of the first three test images, (3, 10)."""
    images, _ = made.mnist(3)
    answer = (await client.post("/predict", json={"pixels": images.tolist()})).json()
    return np.array([item["probabilities"] for item in answer["predictions"]])


def error(response: httpx.Response) -> str:
    """Check the one shape of errors in the protocols of other servers, and return the message."""
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    return str(response.json()["error"])


class Busy(ThreadPoolExecutor):
    """Has no thread for the first that ask, as where a process may have no more of them."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("can't start new thread")
        return super().submit(*arguments, **options)
