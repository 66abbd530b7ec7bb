"""HTTP as uvicorn speaks it, with bounds on what arrives and how long that takes; knows nothing of the application."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 << 10  # bytes of request line and headers; httptools itself would take any number


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers, or trailers, go on and on, or whose request does not arrive in time."""

    seconds = 60.0  # from the first byte of a request, or the connection, to the last byte of the request
    head = 0  # bytes since something other than a header was understood
    arriving = True  # whether a request is due, or on its way
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self.set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self.clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.head += len(data)
        super().data_received(data)
        if self.head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too long.")
        if self.arriving and self.deadline is None:  # a request that arrives whole needs none
            self.set_deadline()

    def on_message_begin(self) -> None:
        self.arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.head = 0
        self.arriving = False
        self.clear_deadline()
        super().on_message_complete()

    def set_deadline(self) -> None:
        self.deadline = self.loop.call_later(self.seconds, self.transport.close)

    def clear_deadline(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


class Corked:
    """A transport that sends what is written in one turn of the loop with one system call.

    uvicorn writes the head and the body of a response apart, and uvloop sends each at once.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()
