"""Stop reading a request as soon as it is longer than is allowed; knows nothing of what is in it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem


class BodyLimit:
    """ASGI middleware that counts bytes as they arrive, whatever the request says of its length."""

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            if declared_length(scope) > self.max_body:
                raise self.too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body:
                raise self.too_large()
            return message

        await self.app(scope, counted, send)

    def too_large(self) -> Problem:
        return Problem(413, "too_large", f"a request may have at most {self.max_body:,} bytes")


def declared_length(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0
