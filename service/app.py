"""The service as an ASGI application, which answers before all of it has been imported.

    /predict, /read -> their endpoints, past any router
    all else        -> service.api, with FastAPI

Importing FastAPI takes longer than reading a model, and its way to an endpoint longer than reading
a digit. So requests with images know nothing of it, and what is asked more rarely is made in a
thread once these are answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from service.endpoints import Endpoint, answering
from service.engine import Models
from service.intake import Intake
from service.predict import Predictor
from service.read import Reader
from service.settings import Settings


def create_app(settings: Settings, models: Models) -> Application:
    """Return an application that loads the models and follows them while it runs."""
    return Application(settings, models)


class Application:
    """`lifespan` is the time in which it can be asked."""

    def __init__(self, settings: Settings, models: Models) -> None:
        intake = Intake(settings)
        self.endpoints: dict[str, Endpoint] = {  # of POST
            "/predict": Predictor(intake, models).answer,
            "/read": Reader(intake, models).answer,
        }
        self._settings = settings
        self._intake = intake
        self._models = models
        self._direct = {("POST", path): answering(endpoint) for path, endpoint in self.endpoints.items()}
        self._router = Router(lifespan=lambda _: self.lifespan(), default=self._ask_api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._router
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope["root_path"])
            app = self._direct.get((scope["method"], path), app)
        await app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        try:
            async with self._models.watched():
                self._api = asyncio.create_task(asyncio.to_thread(self._make_api))
                yield
                await self._api
        finally:
            self._intake.close()

    def _make_api(self) -> ASGIApp:
        made: ASGIApp = import_api().create_api(self._settings, self._models, self.endpoints)
        return made

    async def _ask_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = await asyncio.shield(self._api)  # whoever waits for it may go away
        await api(scope, receive, send)


def import_api() -> ModuleType:
    from service import api

    return api
