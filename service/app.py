"""The service as an ASGI application, which answers before all of it has been imported.

    /predict, /read, and what is asked most of /v1 and /v2 -> their endpoints, past any router
    the rest of /v1 and /v2                                -> a router
    all else                                               -> service.api, with FastAPI

FastAPI takes longer to import than a model to load, and longer to route a request than the network
to run. So requests with images know nothing of it, and what is asked more rarely is made in a
thread once these are answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from service import errors
from service.endpoints import Answering, Protocol, routes
from service.engine import Models
from service.intake import Intake
from service.predict import Predictor
from service.read import Reader
from service.settings import Settings
from service.tfserving import V1
from service.v2 import V2


def create_app(settings: Settings, models: Models) -> Application:
    """Return an application that loads the models and follows them while it runs."""
    intake, name = Intake(settings), settings.model_name
    v2, v1 = V2(intake, models, name), V1(intake, models, name)
    direct = {
        "/predict": Answering(Predictor(intake, models).answer),
        "/read": Answering(Reader(intake, models).answer),
        f"/v2/models/{name}/infer": Answering(v2.infer, errors.V2),
        f"/v1/models/{name}:predict": Answering(v1.predict, errors.V1),
    }
    return Application(settings, models, intake, (v2.protocol, v1.protocol), direct)


class Application:
    """Leads requests to what answers them; `lifespan` is the time in which it can be asked."""

    def __init__(
        self,
        settings: Settings,
        models: Models,
        intake: Intake,
        protocols: Sequence[Protocol],
        direct: Mapping[str, ASGIApp],
    ) -> None:
        self._protocols = protocols
        self._settings = settings
        self._models = models
        self._intake = intake
        self._direct = {("POST", path): app for path, app in direct.items()}
        known = [route for protocol in protocols for route in routes(protocol)]
        self._router = Router(known, redirect_slashes=False, lifespan=lambda _: self.lifespan(), default=self._ask_api)

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
        made: ASGIApp = import_api().create_api(self._settings, self._models, self._protocols)
        return made

    async def _ask_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = await asyncio.shield(self._api)  # whoever waits for it may go away
        if scope["method"] == "HEAD":  # which FastAPI's routes do not know; the server leaves the body out
            scope = {**scope, "method": "GET"}
        await api(scope, receive, send)


def import_api() -> ModuleType:
    from service import api

    return api
