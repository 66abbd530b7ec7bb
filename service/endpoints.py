"""From endpoints, functions of a request, to ASGI applications and routes. Knows nothing of FastAPI."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from service import errors
from service.errors import NATIVE, Dialect
from service.problems import Problem

Endpoint = Callable[[Request], Awaitable[Response]]


class Answering:
    """An endpoint as an ASGI application that turns exceptions into responses, as FastAPI does."""

    def __init__(self, endpoint: Endpoint, dialect: Dialect = NATIVE) -> None:
        self._endpoint = endpoint
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._endpoint(request)
        except errors.EXPECTED as exc:
            response = await errors.answer(request, exc, self._dialect)
        except asyncio.CancelledError:  # by nobody but uvicorn, when a shutdown takes too long
            stopping = Problem(503, "stopping", "the service shuts down before it could answer")
            response = await errors.answer(request, stopping, self._dialect)
        except Exception as exc:
            await (await errors.answer(request, exc, self._dialect))(scope, receive, send)
            raise  # for the log
        await response(scope, receive, send)


class Operation(NamedTuple):
    """What can be asked of a protocol; its path may hold parameters, as Starlette writes them."""

    name: str
    method: str
    path: str
    endpoint: Endpoint
    refusals: tuple[int, ...] | None  # all statuses of its errors; None: it only refuses, and is in no document


class Protocol(NamedTuple):
    """Operations below one path.

    `lost` answers every other path below the root; its argument is the allowed method where the path exists.
    """

    root: str
    dialect: Dialect
    operations: Sequence[Operation]
    lost: Callable[[Request, str | None], NoReturn]


def routes(protocol: Protocol) -> list[Route]:
    """Return the routes of a protocol, to which belongs all that lies below its root."""
    known = [
        Route(item.path, Answering(item.endpoint, protocol.dialect), methods=[item.method])
        for item in protocol.operations
    ]

    async def lost(request: Request) -> NoReturn:
        matches = (route.matches(request.scope)[0] for route in known)
        allowed = (item.method for item, match in zip(protocol.operations, matches, strict=True) if match != Match.NONE)
        protocol.lost(request, next(allowed, None))

    rest = Route(f"{protocol.root}/{{rest:path}}", Answering(lost, protocol.dialect))
    rest.path_regex = re.compile(f"{protocol.root}(?:/|$)(?P<rest>.*)", re.DOTALL)  # Starlette's stops at line ends
    return [*known, rest]
