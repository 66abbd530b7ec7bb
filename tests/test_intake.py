"""What waits is accounted for, and no account keeps what has gone away."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from digits.errors import BadImage
from digits.image import Pixels
from digits.judgements import COLUMNS, Judgements
from service.bodies import BODIES
from service.engine import Engine
from service.intake import Intake
from service.items import SHORT, Images, Item, find_reader, from_json
from service.judging import judge
from service.looks import FREE, Allowance, Look
from service.looks import LARGE as LARGE_PICTURE
from service.settings import Settings
from tests.hostile import black_png

pytestmark = pytest.mark.anyio

MAX_BODY = 10 * SHORT
LARGE = 9 * SHORT  # bytes; so many more than BODIES of them do not fit
MANY = 2 * BODIES
PIXELS = np.zeros((2, 28, 28), np.uint8)


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake(Settings(max_body=MAX_BODY, max_images=2, max_queue=2))
    yield made
    made.close()


def sent(body: bytes, then: Message | None = None) -> Request:
    """Return a request whose body arrives, whole unless something else follows; None comes after that for ever."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": then is not None}]
    messages += [then] if then else []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http", "headers": []}, receive)


def serve(intake: Intake, request: Request, answer: Callable[[Pixels], Awaitable[Response]]) -> Awaitable[Response]:
    return intake.serve(request, {}, lambda body: PIXELS, answer)


async def at_once(found: Pixels) -> Response:
    return Response("done")


async def test_who_is_cancelled_while_answered_makes_room(intake: Intake) -> None:
    for _ in range(MANY):
        begun = asyncio.Event()

        async def answer(found: Pixels) -> Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.ensure_future(serve(intake, sent(bytes(LARGE)), answer))
        await begun.wait()
        assert intake.images == len(PIXELS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert intake.images == 0
    assert (await serve(intake, sent(bytes(LARGE)), at_once)).status_code == 200


async def test_who_is_cancelled_while_a_body_arrives_makes_room(intake: Intake) -> None:
    more: Message = {"type": "http.request", "body": b"", "more_body": True}
    for _ in range(MANY):
        task = asyncio.ensure_future(serve(intake, sent(bytes(LARGE), more), at_once))
        await asyncio.sleep(0)  # lets it begin
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await serve(intake, sent(bytes(LARGE)), at_once)).status_code == 200


async def test_who_goes_away_while_a_body_arrives_makes_room(intake: Intake) -> None:
    for _ in range(MANY):
        with pytest.raises(ClientDisconnect):
            await serve(intake, sent(bytes(LARGE), {"type": "http.disconnect"}), at_once)
    assert (await serve(intake, sent(bytes(LARGE)), at_once)).status_code == 200


async def test_who_went_away_counts_neither_as_answered_nor_as_failed(intake: Intake) -> None:
    def run(pixels: Pixels) -> Judgements:
        value = np.nan if pixels.any() else 0.5
        return np.full((len(pixels), COLUMNS), value, np.float32)

    engine = Engine(run, {}, Path())
    gone = asyncio.ensure_future(judge(intake, engine, Images(PIXELS)))
    await asyncio.sleep(0)  # lets it begin
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (engine.counts.answered.count, engine.counts.failed.count) == (0, 0)
    await judge(intake, engine, Images(PIXELS))
    with pytest.raises(RuntimeError, match="no number"):
        await judge(intake, engine, Images(PIXELS + np.uint8(1)))
    assert (engine.counts.answered.count, engine.counts.failed.count) == (1, 1)


async def test_a_network_is_asked_about_no_more_images_than_it_reads_in_a_turn(intake: Intake) -> None:
    asked: list[int] = []

    def run(pixels: Pixels) -> Judgements:
        asked.append(len(pixels))
        return np.full((len(pixels), COLUMNS), 0.5, np.float32)

    await judge(intake, Engine(run, {}, Path(), turn=3), Images(np.repeat(PIXELS[:1], 7, axis=0)))
    assert (sum(asked), max(asked)) == (7, 3)


async def test_of_large_pictures_one_is_held_at_a_time(intake: Intake) -> None:
    held: list[weakref.ref[Image]] = []

    def see(picture: Image) -> int:
        assert not [earlier for earlier in held if earlier() is not None]
        held.append(weakref.ref(picture))
        if len(held) % 2:
            raise BadImage("broken", "what is raised holds the picture, too")
        return picture.width * picture.height

    item = Item(black_png(1500, 1500))
    outcomes = await intake.look(sent(b""), [item] * 6, Look(see), Allowance())
    assert [str(outcome) for outcome in outcomes[::2]] == ["what is raised holds the picture, too"] * 3
    assert outcomes[1::2] == [1500 * 1500] * 3
    assert LARGE_PICTURE < 1500 * 1500


async def test_a_large_picture_waits_for_no_page(intake: Intake) -> None:
    begun, over = threading.Event(), threading.Event()

    def survey(page: Image) -> bool:
        begun.set()
        return over.wait(60)

    item = Item(black_png(1500, 1500))
    page = asyncio.ensure_future(intake.look(sent(b""), [item], Look(survey, is_slow=True), Allowance()))
    await asyncio.to_thread(begun.wait, 60)
    assert await intake.look(sent(b""), [item], Look(lambda picture: picture.width), Allowance()) == [1500]
    assert not page.done()
    over.set()
    assert await page == [True]


async def test_the_pixels_of_a_request_are_bounded_those_of_small_pictures_aside(intake: Intake) -> None:
    small, middle, large = (Item(black_png(side, side)) for side in (500, 600, 1500))
    assert 500 * 500 <= FREE < 600 * 600 <= LARGE_PICTURE < 1500 * 1500
    allowance = Allowance(1500 * 1500 + 2 * 600 * 600)
    items = [middle, small, large, middle, *[small] * 40, large, middle, small]
    look = Look(lambda picture: picture.width)
    outcomes = await intake.look(sent(b""), items, look, allowance)
    assert outcomes[:44] == [600, 500, 1500, 600, *[500] * 40]
    assert [outcome.code for outcome in outcomes[44:46] if isinstance(outcome, BadImage)] == ["too_large"] * 2
    assert outcomes[46] == 500
    assert allowance.pixels == 0


async def test_a_long_body_holds_the_loop_only_if_its_kind_is_read_in_place(intake: Intake) -> None:
    """Whatever its first bytes are: JSON may begin like an array."""
    array, threads = b"\x93NUMPY".ljust(LARGE), list[int]()

    def read(body: bytes) -> Pixels:
        threads.append(threading.get_ident())
        return PIXELS

    for kind in (b"application/x-npy", b"image/png", b"application/json", b"multipart/form-data; boundary=b"):
        in_place = find_reader(kind, 1).in_place
        await intake.serve(sent(array), {}, read, at_once, in_place=in_place)
    assert [thread == threading.get_ident() for thread in threads] == [True, True, False, False]


async def test_what_can_be_seen_the_short_way_is_seen_so_alone_and_among_others(intake: Intake) -> None:
    look = Look(lambda picture: "whole", lambda data: "short", lambda data: True)
    for count in (1, 40):
        outcomes = await intake.look(sent(b""), [Item(black_png(28, 28))] * count, look, Allowance())
        assert outcomes == ["short"] * count


def test_a_refused_image_keeps_nothing_of_how_that_was_found() -> None:
    """Ten thousand tracebacks would have the garbage collector hold everything up for a tenth of a second."""
    images = from_json(3, b'{"pixels": [[], [[256]], 7]}')
    assert isinstance(images, Images)
    assert [(why.__traceback__, why.__cause__, why.__context__) for why in images.refused.values()] == [(None,) * 3] * 3
