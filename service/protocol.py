"""HTTP as uvicorn speaks it, with a bound on what comes before a body; knows nothing of the application."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 << 10  # bytes of request line and headers; httptools itself would take any number


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers, or trailers, go on and on."""

    head = 0  # bytes since something other than a header was understood

    def data_received(self, data: bytes) -> None:
        self.head += len(data)
        super().data_received(data)
        if self.head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too long.")

    def on_headers_complete(self) -> None:
        self.head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.head = 0
        super().on_message_complete()
