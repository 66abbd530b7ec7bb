"""Every error that a client can get, in one table and one shape: `{"error": {"code", "message"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from service.engine import NoModel

RETRY_AFTER = "1"  # seconds; a full queue is worked off in less


class QueueFull(Exception):
    """Too much is being answered already."""


class Problem(Exception):
    """A request that makes no sense as HTTP, with the status and code that say so."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


# exception -> status, code; a Problem and an HTTPException bring their own
TABLE: dict[type[Exception], tuple[int, str]] = {
    NoModel: (503, "no_model"),
    QueueFull: (429, "overloaded"),
    ClientDisconnect: (400, "disconnected"),  # nobody is there to read it
    Exception: (500, "internal"),
}

KINDS: tuple[type[Exception], ...] = (*TABLE, Problem, HTTPException)  # all that is answered
EXPECTED = tuple(kind for kind in KINDS if kind is not Exception)  # the others are defects


async def answer(request: Request, exc: Exception) -> JSONResponse:
    match exc:
        case Problem():
            return error(exc.status, exc.code, str(exc))
        case HTTPException():
            code = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "_")
            return error(exc.status_code, code, str(exc.detail), exc.headers)
    status, code = next(TABLE[kind] for kind in type(exc).__mro__ if kind in TABLE)
    if status == 500:  # what went wrong inside is for the log, where Starlette's re-raise puts it
        return error(status, code, "the service failed to answer; its log says why")
    later = {"Retry-After": RETRY_AFTER} if status in (429, 503) else None
    return error(status, code, str(exc), later)


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
