"""Requests must arrive in time, and answers leave in one piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from service.protocol import BoundedProtocol, Corked

pytestmark = pytest.mark.anyio

HELLO = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MUCH = 64 << 20


class Hasty(BoundedProtocol):
    seconds = 0.05


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Say hello, and what was sent."""
    sent = await Request(scope, receive).body()
    await PlainTextResponse(b"hello" + sent)(scope, receive, send)


async def tell_much(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with more than systems keep on the way."""
    await PlainTextResponse(bytes(MUCH))(scope, receive, send)


@asynccontextmanager
async def listening(protocol: type[BoundedProtocol], app: ASGIApp = app) -> AsyncIterator[int]:
    config = Config(app, log_config=None)  # logging is that of the whole process, which other tests listen to
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("sent", [
    b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", HELLO + b"GET / HTTP/1.1\r\n", b"\r\n",
])  # fmt: skip
async def test_a_request_that_does_not_arrive_in_time_is_not_waited_for(sent: bytes) -> None:
    async with listening(Hasty) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await reader.read()  # until the server closes
        assert answer.endswith(b"hello") or not answer
        writer.close()


async def test_a_line_end_after_an_answer_does_not_keep_a_connection() -> None:
    async with listening(Hasty) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        await reader.readuntil(b"hello")
        writer.write(b"\r\n")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("wish", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_a_wish_for_another_protocol_is_ignored_and_the_body_stays_a_body(wish: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: %d\r\n\r\n"
    async with listening(BoundedProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for whole in (True, False):
            writer.write(head % (wish, len(HELLO)) + (HELLO if whole else b""))
            await writer.drain()
            if not whole:
                await asyncio.sleep(0)
                writer.write(HELLO)
            assert (await reader.readuntil(b"hello" + HELLO)).startswith(b"HTTP/1.1 200")
        writer.write((head % (wish, 0)) * 1000 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 200") == 1001
        writer.close()


@pytest.mark.parametrize("sent", [
    b"nonsense\r\n\r\n", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
])  # fmt: skip
async def test_what_is_no_request_is_answered_as_everything_is(sent: bytes) -> None:
    async with listening(BoundedProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"content-type: application/json" in head
        assert json.loads(body)["error"]["code"] == "malformed"
        writer.close()


async def test_requests_are_answered_one_after_another_on_a_connection() -> None:
    async with listening(BoundedProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(HELLO)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_answer_that_nobody_takes_is_not_kept() -> None:
    lost: asyncio.Queue[BoundedProtocol] = asyncio.Queue()

    class Left(Hasty):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.put_nowait(self)

    async with listening(Left, tell_much) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)  # which takes as good as nothing
        writer.write(HELLO)
        assert (await lost.get()).cycle.response_complete
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(MUCH)
        writer.close()


async def test_an_answer_that_was_taken_is_not_waited_for() -> None:
    made: list[BoundedProtocol] = []

    class Kept(BoundedProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            made.append(self)

    async with listening(Kept, tell_much) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(HELLO)
            await reader.readuntil(b"\r\n\r\n")
            assert made[0].collection is not None
            await reader.readexactly(MUCH)
            assert made[0].collection is None
        writer.close()


class Pipe(asyncio.Transport):
    """A transport that notes what it is given to send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.sent.append(b"closed")


async def test_what_is_written_in_one_turn_is_sent_at_once() -> None:
    pipe = Pipe()
    corked = Corked(pipe, asyncio.get_running_loop())
    corked.write(b"head ")
    corked.write(b"body")
    assert pipe.sent == []
    await asyncio.sleep(0)
    corked.write(b"last")
    corked.close()
    await asyncio.sleep(0)
    assert pipe.sent == [b"head body", b"last", b"closed"]
