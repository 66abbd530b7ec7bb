"""Bodies that are too long, or too many, without any server or route."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from service.bodies import BODIES, Bodies
from service.items import SHORT
from service.problems import Problem, QueueFull

pytestmark = pytest.mark.anyio

MOST = 2 * SHORT
POST: Scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}


def in_two(first: bytes, rest: asyncio.Event) -> Request:
    """Return a request whose body begins at once, and ends when it is told to."""
    parts = iter([first])

    async def receive() -> Message:
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        await rest.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    return Request(POST, receive)


async def test_bodies_that_are_held_open_do_not_fill_the_memory() -> None:
    bodies, rest = Bodies(max_body=MOST), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bodies.read(in_two(bytes(MOST), rest))) for _ in range(BODIES)]
        await asyncio.sleep(0)
        assert bodies.in_flight == MOST * BODIES
        with pytest.raises(QueueFull):
            await bodies.read(in_two(bytes(MOST), rest))
        short = await bodies.read(Request(POST, receiving(bytes(SHORT))))  # which does not wait for large ones
        assert bodies.in_flight == MOST * BODIES + SHORT
        bodies.free(short)
        rest.set()
    for task in tasks:
        bodies.free(task.result())
    assert bodies.in_flight == 0
    assert await bodies.read(in_two(b"abc", rest)) == b"abc"


async def test_a_body_that_is_too_long_is_not_kept_in_the_account() -> None:
    bodies = Bodies(max_body=10)
    with pytest.raises(Problem, match="at most 10 bytes"):
        await bodies.read(in_two(bytes(11), asyncio.Event()))
    assert bodies.in_flight == 0


@pytest.mark.parametrize(("declared", "refused"), [
    (b"10", False), (b"11", True), (b"-11", False), (b"x", False), (b"", False), (b"9" * 5000, True),
    (b"5".zfill(5000), False),
])  # fmt: skip
def test_a_length_that_is_declared_is_believed_only_when_it_is_too_long(declared: bytes, refused: bool) -> None:
    with pytest.raises(Problem, match="at most 10 bytes") if refused else nullcontext():
        Bodies(max_body=10).check_length(declared)


async def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    bodies = Bodies(max_body=10)
    with pytest.raises(ClientDisconnect):
        await bodies.read(Request(POST, receive))
    assert bodies.in_flight == 0


def receiving(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def test_a_body_that_comes_whole_is_returned_as_it_is() -> None:
    assert await Bodies(max_body=10).read(Request(POST, receiving(b"0123456789"))) == b"0123456789"


def test_a_body_that_was_unpacked_counts_too() -> None:
    bodies = Bodies(max_body=MOST)
    for _ in range(BODIES):
        bodies.keep(bytes(MOST))
    with pytest.raises(QueueFull):
        bodies.keep(bytes(SHORT + 1))
    assert bodies.in_flight == MOST * BODIES
