"""HTTP as uvicorn speaks it, with bounds on what arrives and how long that takes; asks no application."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import NATIVE

MAX_HEAD = 64 << 10  # bytes of request line and headers, after which no more is read; httptools would take any number


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers, or trailers, go on and on, or where a request or an answer takes too long.

    There is no protocol but this one: to ask for another is to be answered in this one (RFC 9110, section 7.8).
    """

    seconds = 60.0  # from the first byte of a request, or the connection, to the last byte; and the same for an answer
    head = 0  # bytes since something other than a header was understood
    arriving = True  # whether a request is due, or on its way
    deadline: asyncio.TimerHandle | None = None
    collection: asyncio.TimerHandle | None = None  # for an answer that is on its way, since it is long

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self.set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self.clear_deadline()
        self.clear_collection()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.head += len(data)
        self._unset_keepalive_if_required()
        try:
            self.feed(data)
        except httptools.HttpParserError:
            self.send_400_response("this is not HTTP/1.1, or not as a server may take it")
            return
        if self.head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("the headers are too long")
        if self.deadline is None and (self.arriving or self.cycle.response_complete):
            self.set_deadline()  # which a request that arrived whole needs not, but a bare line end does

    def feed(self, data: bytes | memoryview) -> None:
        """Parse what arrived. Raises `HttpParserError`.

        The parser takes a wish for another protocol as granted: it skips the body, which it would take for the
        next request then. So it gets such a request once more, without the wish.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as wish:
                data = memoryview(data)[wish.args[0] :]
                plain = self.without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
                self.parser.feed_data(plain)

    def without_upgrade(self) -> bytes:
        """Return the head of the request that was parsed last. Raises `HttpParserError`."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))

    def send_400_response(self, msg: str) -> None:
        """Answer as everywhere, though no application is asked, and close."""
        body = orjson.dumps(NATIVE.body("malformed", msg))
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[400] + head + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        self.arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.head = 0
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self.headers = []  # of trailers, which are no headers (RFC 9110, section 6.5.1)

    def on_body(self, body: bytes) -> None:
        self.head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.head = 0
        if self.parser.should_upgrade():
            return
        self.arriving = False
        self.clear_deadline()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Give the client so much time to take most of what waits for it, as it had to send what it asked.

        To close would wait for it: what nobody takes is in memory for good.
        """
        super().pause_writing()
        self.clear_collection()
        self.collection = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self.clear_collection()
        super().resume_writing()

    def clear_collection(self) -> None:
        if self.collection is not None:
            self.collection.cancel()
            self.collection = None

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
