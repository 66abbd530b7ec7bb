"""A policy for the HTML pages of the service; knows nothing of images."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Swagger UI and ReDoc come with the installation, and neither may ask anyone else for anything.
PAGE_POLICY = b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data: blob:; worker-src 'self' blob:"


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
