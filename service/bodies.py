"""Read bodies whole, with a bound on each and on all that are in memory at once."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from service.items import SHORT
from service.problems import Problem, QueueFull

BODIES = 16  # of the largest size that may be in memory at once, before more are answered 429


class Bodies:
    """Counts bytes as they arrive, whatever a request says of its length: those of each, and those of all."""

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.in_flight = 0  # bytes of bodies whose requests aren't answered yet

    async def read(self, request: Request) -> bytes:
        """Return a body, which stays in the account until `free`. Raises `Problem`, `QueueFull`, `ClientDisconnect`."""
        parts: list[bytes] = []
        received, more = 0, True
        try:
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                received += len(parts[-1])
                self.in_flight += len(parts[-1])
                self.check(received)
                more = message.get("more_body", False)
        except BaseException:
            self.in_flight -= received
            raise
        return b"".join(parts)

    def keep(self, body: bytes) -> None:
        """Take a body into the account that came about otherwise. Raises `Problem` and `QueueFull`."""
        self.in_flight += len(body)
        try:
            self.check(len(body))
        except BaseException:
            self.free(body)
            raise

    def free(self, body: bytes) -> None:
        self.in_flight -= len(body)

    def check_length(self, declared: bytes) -> None:
        """Refuse what says itself that it is too long, before it arrives. Raises `Problem`."""
        digits = declared.lstrip(b"0")
        if declared.isdigit() and (len(digits) >= 20 or int(digits or b"0") > self.max_body):
            raise self.too_large()

    def check(self, received: int) -> None:
        if received > self.max_body:
            raise self.too_large()
        # Short ones are let in all the same: there are as many as connections at most.
        if received > SHORT and self.in_flight > BODIES * self.max_body:
            raise QueueFull("too many bytes are being received already")

    def too_large(self) -> Problem:
        return Problem(413, "too_large", f"a request may have at most {self.max_body:,} bytes")
