"""Every error that a client can get, in one table: `{"error": {"code", "message"}}`.

The protocols of other model servers have but the message, and some statuses of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.problems import Late, NoModel, Problem, QueueFull

RETRY_AFTER = "1"  # seconds; a full queue is worked off in less

# Status and code by exception; a Problem and an HTTPException bring their own.
TABLE: dict[type[Exception], tuple[int, str]] = {
    NoModel: (503, "no_model"),
    QueueFull: (429, "overloaded"),
    Late: (503, "late"),
    ClientDisconnect: (400, "disconnected"),  # nobody is there to read it
    Exception: (500, "internal"),
}

KINDS: tuple[type[Exception], ...] = (*TABLE, Problem, HTTPException)  # all that is answered
EXPECTED = tuple(kind for kind in KINDS if kind is not Exception)  # the others are defects


@dataclass(frozen=True)
class Dialect:
    """How a protocol says what is wrong: the body of an error, by code and message, and statuses in place of ours."""

    body: Callable[[str, str], Any]
    statuses: Mapping[int, int] = field(default_factory=dict)
    write: Callable[[Any], bytes] = orjson.dumps


NATIVE = Dialect(lambda code, message: {"error": {"code": code, "message": message}})
V2 = Dialect(lambda code, message: {"error": message}, {422: 400, 429: 503})  # as Triton: it knows no others
V1 = Dialect(  # as TensorFlow Serving, to the letter
    lambda code, message: {"error": message}, {422: 400}, lambda body: spaced(body, 4)
)  # fmt: skip


async def answer(request: Request, exc: Exception, dialect: Dialect = NATIVE) -> Response:
    status, code, message, headers = decide(exc)
    body = dialect.write(dialect.body(code, message))
    return Response(body, dialect.statuses.get(status, status), headers, "application/json")


def spaced(value: Any, indent: int) -> bytes:
    """Write JSON as people read it."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode()


def decide(exc: Exception) -> tuple[int, str, str, Mapping[str, str] | None]:
    """Return status, code, message and headers."""
    match exc:
        case Problem():
            return exc.status, exc.code, str(exc), None
        case HTTPException():
            code = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "_")
            return exc.status_code, code, str(exc.detail), exc.headers
    status, code = next(TABLE[kind] for kind in type(exc).__mro__ if kind in TABLE)
    if status == 500:  # what went wrong inside is for the log, where Starlette's re-raise puts it
        return status, code, "the service failed to answer; its log says why", None
    return status, code, str(exc), {"Retry-After": RETRY_AFTER} if status in (429, 503) else None
