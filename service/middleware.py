"""What stands in front of every route: bounds on bodies, and a policy for pages. Knows nothing of images."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.batcher import QueueFull
from service.errors import Problem

BODIES = 16  # of the largest size that may be in memory at once, before more are answered 429

# Swagger UI and ReDoc come with the installation, and neither may ask anyone else for anything.
PAGE_POLICY = b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data: blob:; worker-src 'self' blob:"


class BodyLimit:
    """Counts bytes as they arrive, whatever a request says of its length: those of each, and those of all."""

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        self.app = app
        self.max_body = max_body
        self.in_flight = 0  # bytes of bodies whose requests aren't answered yet

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
            size = len(message.get("body", b""))
            received += size
            self.in_flight += size
            if received > self.max_body:
                raise self.too_large()
            if self.in_flight > BODIES * self.max_body:
                raise QueueFull("too many bytes are being received already")
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.in_flight -= received

    def too_large(self) -> Problem:
        return Problem(413, "too_large", f"a request may have at most {self.max_body:,} bytes")


def declared_length(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() and len(value) < 20 else 0  # what is longer is counted as it arrives


class PagePolicy:
    """Has browsers load nothing from elsewhere for the HTML pages of the service."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                if kind.startswith(b"text/html"):
                    message["headers"].append((b"content-security-policy", PAGE_POLICY))
            await send(message)

        await self.app(scope, receive, with_policy)
