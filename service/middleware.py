"""A policy for the HTML pages of the service; knows nothing of images."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Swagger UI and ReDoc come with the installation, and neither may ask anyone else for anything.
PAGE_POLICY = b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data: blob:; worker-src 'self' blob:"


# The report of a model comes with its bundle, from wherever that does: it may show, and do nothing.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'; sandbox"


class PagePolicy:
    """Has browsers load nothing from elsewhere for the HTML pages of the service that have no policy of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                page = headers.get(b"content-type", b"").startswith(b"text/html")
                if page and b"content-security-policy" not in headers:
                    message["headers"].append((b"content-security-policy", PAGE_POLICY))
            await send(message)

        await self.app(scope, receive, with_policy)
