"""What stands before the routes, without any: bodies that are too long, too many, or too slow."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from service.batcher import QueueFull
from service.errors import Problem
from service.items import read_body
from service.middleware import BODIES, BodyLimit

pytestmark = pytest.mark.anyio

POST: Scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass


async def send_nothing(message: Message) -> None:
    raise AssertionError(message)


def body_in_two(first: bytes, rest: asyncio.Event) -> Receive:
    """Return what gives a first part at once, and an empty last one when it is told to."""
    parts = iter([first])

    async def receive() -> Message:
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        await rest.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


async def test_bodies_that_are_held_open_do_not_fill_the_memory() -> None:
    limit, rest = BodyLimit(read_all, max_body=10), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(BODIES):
            group.create_task(limit(POST, body_in_two(bytes(10), rest), send_nothing))
        await asyncio.sleep(0)
        assert limit.in_flight == 10 * BODIES
        with pytest.raises(QueueFull):
            await limit(POST, body_in_two(bytes(10), rest), send_nothing)
        rest.set()
    assert limit.in_flight == 0
    await limit(POST, body_in_two(bytes(10), rest), send_nothing)


async def test_a_body_that_is_too_long_is_not_kept_in_the_account() -> None:
    limit = BodyLimit(read_all, max_body=10)
    with pytest.raises(Problem, match="at most 10 bytes"):
        await limit(POST, body_in_two(bytes(11), asyncio.Event()), send_nothing)
    assert limit.in_flight == 0


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    with pytest.raises(Problem) as caught:
        await read_body(Request(POST, body_in_two(b"x", asyncio.Event())), seconds=0)
    assert (caught.value.status, caught.value.code) == (408, "timeout")
