"""From an endpoint, a function of a request, to an ASGI application. Knows nothing of routes, nor of FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service import errors

Endpoint = Callable[[Request], Awaitable[Response]]


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
