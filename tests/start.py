"""What the client's tests start from. It runs the service, and imports none of it: see `tests.pythons`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import mnist, png
from tests.server import Server
from tests.server import serve as run

MODELS = "DIGITS_TESTS_MODELS"  # in the environment: a folder of models for tests that can make none


@pytest.fixture(scope="session")
def published() -> Path:
    """A folder of models with one bundle, which somebody else has made."""
    return Path(os.environ[MODELS])


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
def anyio_backend() -> str:
    """Run tests marked `anyio` on asyncio, the loop that uvicorn runs on."""
    return "asyncio"
