"""Routes that answer bytes with bytes, without what FastAPI does for others on the way.

Routing, dependencies and response models cost more than reading a digit does. A `RawRoute` stands
in the OpenAPI document like any other, but its endpoint gets the request as it came and returns
the response as it goes; a `Shortcut` leads to it past the router. Both ways end in one function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service import errors

Endpoint = Callable[[Request], Awaitable[Response]]


class RawRoute(APIRoute):
    """To be given as `route_class_override`."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = answering(endpoint)


def answering(endpoint: Endpoint) -> ASGIApp:
    """Return the endpoint as an ASGI application that turns exceptions into responses, as FastAPI does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except errors.EXPECTED as exc:
            response = await errors.answer(request, exc)
        except Exception as exc:
            await (await errors.answer(request, exc))(scope, receive, send)
            raise  # for the log
        await response(scope, receive, send)

    return app


class Shortcut:
    """An ASGI application that takes requests for raw routes straight to them, and all others to the inner one."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        raw = [route for route in app.routes if isinstance(route, RawRoute)]
        self.routes = {(method, route.path): route.app for route in raw for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self.app
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope["root_path"])
            app = self.routes.get((scope["method"], path), app)
        await app(scope, receive, send)
