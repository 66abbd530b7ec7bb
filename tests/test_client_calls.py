"""How calls are made: in parts, some at a time, again if need be, in order, and to an end."""

from __future__ import annotations

import asyncio
import doctest
import io
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, chdir, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import digits_client
from digits_client import AsyncClient, BadAnswer, Client, Rejected, TimedOut, Unavailable, Unreachable, _client
from digits_client._answers import Answer
from digits_client._calls import persist
from digits_client._drivers import run
from digits_client._requests import Request
from digits_client._retries import Patience, seconds_asked
from tests.images import mnist, png
from tests.server import Server

MANY = np.zeros((2000, 28, 28), np.uint8)
MANY[:, 0, 0], MANY[:, 0, 1] = np.arange(2000) % 250, np.arange(2000) // 250  # each is another
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REQUEST = Request("GET", "model")


def told(pixels: Any) -> float:
    """Return which of `MANY` this is, as the confidence of a made-up service."""
    return float(int(pixels[0, 0]) + 250 * int(pixels[0, 1]))


def answered(request: httpx.Request) -> httpx.Response:
    """Answer as a service would that tells images apart and nothing else."""
    batch = np.load(io.BytesIO(request.content))
    items: list[dict[str, Any]] = [
        {"index": index, "name": None, "digit": 1, "confidence": told(pixels), "probabilities": []}
        for index, pixels in enumerate(batch)
    ]
    return httpx.Response(200, json={"model": {"version": "v", "sha256": "0" * 64}, "predictions": items})


def client_of(handler: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    return Client(transport=httpx.MockTransport(handler), **options)


# --- again --------------------------------------------------------------------------------------


class Script:
    """A driver whose outcomes are given, and which only notes how long it was to sleep."""

    url = httpx.URL("http://localhost")

    def __init__(self, *outcomes: int | Answer | Exception) -> None:
        self.outcomes = list(outcomes)
        self.slept: list[float] = []

    async def send(self, request: Request, seconds: float) -> Answer:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome if isinstance(outcome, Answer) else Answer(outcome, {}, b"{}", "")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def entries(self, images: Any) -> AsyncGenerator[Any, None]:
        for entry in images:
            yield entry

    async def off_loop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None: ...

    async def result(self, work: None) -> None: ...

    async def stop(self, works: Iterable[None]) -> None: ...


def patience(retries: float = 4, left: float = 1000.0) -> Patience:
    return Patience(retries, end=left, clock=lambda: 0.0, chance=lambda: 1.0)


def later(status: int, retry_after: str) -> Answer:
    return Answer(status, httpx.Headers({"Retry-After": retry_after}), b"{}", "")


@pytest.mark.parametrize(
    "passing",
    [
        429, 502, 503, 504, httpx.ConnectError(""), httpx.ConnectTimeout(""), httpx.ReadError(""),
        httpx.WriteError(""), httpx.RemoteProtocolError(""),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again_after_growing_waits(passing: int | Exception) -> None:
    script = Script(passing, passing, passing, 200)
    assert run(persist(script, REQUEST, patience())).status == 200
    assert script.slept == [0.1, 0.2, 0.4]


@pytest.mark.parametrize("final", [200, 400, 401, 404, 413, 415, 422, 500])
def test_another_answer_is_taken_as_it_is(final: int) -> None:
    script = Script(final)
    assert run(persist(script, REQUEST, patience())).status == final
    assert script.slept == []


@pytest.mark.parametrize("final", [httpx.ReadTimeout(""), httpx.WriteTimeout(""), httpx.UnsupportedProtocol("")])
def test_what_would_not_pass_is_not_tried_again(final: Exception) -> None:
    script = Script(final)
    with pytest.raises(Unreachable) as caught:
        run(persist(script, REQUEST, patience()))
    assert isinstance(caught.value, TimedOut) == isinstance(final, httpx.TimeoutException)
    assert script.slept == []


def test_patience_ends_with_the_last_outcome() -> None:
    assert run(persist(Script(503, 503, 429), REQUEST, patience(retries=2))).status == 429
    with pytest.raises(Unreachable):
        run(persist(Script(503, httpx.ReadError("")), REQUEST, patience(retries=1)))


def test_retry_after_is_waited_for() -> None:
    script = Script(later(429, "7"), later(503, "nonsense"), 200)
    run(persist(script, REQUEST, patience()))
    assert script.slept == [7.1, 0.2]


@pytest.mark.parametrize(("asked", "left"), [("7", 6.0), ("61", 1000.0)])
def test_a_wait_that_is_too_long_is_not_begun(asked: str, left: float) -> None:
    script = Script(later(503, asked))
    assert run(persist(script, REQUEST, patience(left=left))).status == 503
    assert script.slept == []


def test_nothing_is_sent_after_the_deadline() -> None:
    with pytest.raises(TimedOut):
        run(persist(Script(), REQUEST, patience(left=0.0)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("0", 0.0), ("120", 120.0), ("²", None),
        (format_datetime(NOW, usegmt=True), 0.0), ("Wed, 25 Nov 2026 12:00:30 GMT", 30.0),
        ("Wed, 25 Nov 2026 13:00:00 +0100", 0.0), ("Wed, 25 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 12:00:09 -0000", 9.0), (f"Wed, 25 Nov 2026 12:00:00 +{'9' * 20}", None),
        (f"Wed, 25 Nov {'9' * 20} 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert seconds_asked(text, lambda: NOW) == seconds


def test_both_clients_try_again() -> None:
    statuses = [503, 429]

    def busy_at_first(request: httpx.Request) -> httpx.Response:
        return httpx.Response(statuses.pop(), json={}) if statuses else answered(request)

    with client_of(busy_at_first) as client:
        assert client.predict(MANY[7]).confidence == 7
    statuses += [504]
    again = AsyncClient(transport=httpx.MockTransport(busy_at_first))
    assert asyncio.run(again.predict(MANY[7])).confidence == 7


# --- many ---------------------------------------------------------------------------------------


def test_many_images_go_out_in_several_requests_and_come_back_in_order() -> None:
    sizes: list[int] = []

    def note(request: httpx.Request) -> httpx.Response:
        sizes.append(len(json.loads(answered(request).content)["predictions"]))
        return answered(request)

    with client_of(note) as client:
        for given in (MANY, list(MANY), iter(MANY), [MANY[:1000], *MANY[1000:]]):
            predictions = client.predict(given)
            assert [prediction.index for prediction in predictions] == list(range(2000))
            assert [prediction.confidence for prediction in predictions] == list(range(2000))
    assert max(sizes) == 256
    assert len(sizes) == 4 * 8


def test_files_are_sent_together_up_to_some_megabytes() -> None:
    sizes: list[int] = []

    def note(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.read()))
        return httpx.Response(200, json={"model": {}, "predictions": []})

    with client_of(note) as client, pytest.raises(digits_client.BadAnswer):
        client.predict([bytes(3 << 20)] * 4 + [bytes(6 << 20)])
    assert sizes
    assert max(sizes) < (6 << 20) + 1000


def test_few_pages_are_sent_together() -> None:
    def count(request: httpx.Request) -> httpx.Response:
        sent = request.read().count(b"filename=")
        items = [{"index": index, "text": str(sent), "confidence": 1.0, "lines": []} for index in range(sent)]
        return httpx.Response(200, json={"model": {"version": "v", "sha256": "0" * 64}, "images": items})

    with client_of(count) as client:
        assert [reading.text for reading in client.read([b"page"] * 9)] == ["4"] * 8 + ["1"]


def test_several_requests_are_in_flight_at_once() -> None:
    together = threading.Barrier(4, timeout=10)  # breaks, and the test with it, unless four come together

    def meet(request: httpx.Request) -> httpx.Response:
        together.wait()
        return answered(request)

    with client_of(meet) as client:
        assert len(client.predict(MANY[:1024])) == 1024


def test_no_more_images_are_taken_than_are_being_asked_about() -> None:
    taken = 0

    def images() -> Iterator[Any]:
        nonlocal taken
        for image in MANY:
            taken += 1
            yield image

    with client_of(answered) as client:
        for prediction in client.predict_each(images()):
            assert taken - prediction.index <= 4 * 256 + 1
    assert taken == 2000


def test_what_a_service_finds_too_much_is_halved() -> None:
    def small(request: httpx.Request) -> httpx.Response:
        if len(np.load(io.BytesIO(request.content))) > 50:
            return httpx.Response(413, json={"error": {"code": "too_many_images", "message": "at most 50"}})
        return answered(request)

    with client_of(small) as client:
        assert [prediction.confidence for prediction in client.predict(MANY[:300])] == list(range(300))
    with client_of(lambda _: httpx.Response(413)) as client, pytest.raises(Rejected, match="fewer or smaller"):
        client.predict(MANY[:3])


def test_predictions_before_a_failure_are_given() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(500, json={}) if told(np.load(io.BytesIO(request.content))[0]) == 512 else answered(request)
        )

    with client_of(broken) as client:
        predictions = client.predict_each(MANY)
        assert [next(predictions).confidence for _ in range(512)] == list(range(512))
        with pytest.raises(Rejected):
            next(predictions)


# --- to an end ----------------------------------------------------------------------------------


def test_a_call_that_is_given_up_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with client_of(answered) as client:
        predictions = client.predict_each(MANY)
        assert next(predictions).confidence == 0
        assert set(threading.enumerate()) > before
        predictions.close()
        assert set(threading.enumerate()) == before
        with pytest.raises(ValueError, match="no image"):
            client.predict([*MANY, np.zeros((3, 3, 7))])
    assert set(threading.enumerate()) == before


def test_a_call_that_fails_does_not_wait_for_other_parts_to_be_tried_again() -> None:
    """The last of four parts is told to come back in a minute, while the first fails."""

    def handler(request: httpx.Request) -> httpx.Response:
        first = told(np.load(io.BytesIO(request.content))[0])
        return httpx.Response(400, json={}) if not first else httpx.Response(503, headers={"Retry-After": "50"})

    with client_of(handler) as client, pytest.raises(Rejected) as caught:
        client.predict(MANY[:1024])
    assert caught.value.status == 400


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_nothing_running() -> None:
    begun, ended = 0, 0
    all_begun = asyncio.Event()
    before = asyncio.all_tasks()

    async def hang(request: httpx.Request) -> httpx.Response:
        nonlocal begun, ended
        begun += 1
        if begun == 4:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1
        return httpx.Response(200)

    async with AsyncClient(transport=httpx.MockTransport(hang)) as client:
        call = asyncio.create_task(client.predict(MANY))
        await all_begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (begun, ended) == (4, 4)
        assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_an_async_iteration_that_is_left_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    async with AsyncClient(transport=httpx.MockTransport(answered)) as client:
        async with aclosing(client.predict_each(MANY)) as predictions:
            assert (await anext(predictions)).confidence == 0
        assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_images_may_come_from_an_async_iterator() -> None:
    async def images() -> AsyncIterator[Any]:
        for image in MANY:
            await asyncio.sleep(0)
            yield image

    async with AsyncClient(transport=httpx.MockTransport(answered)) as client:
        assert [one.confidence for one in await client.predict(images())] == list(range(2000))
        assert [one.confidence async for one in client.predict_each(images())] == list(range(2000))
    with client_of(answered) as blocking, pytest.raises(TypeError, match="AsyncClient"):
        blocking.predict(images())  # type: ignore[call-overload]


class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that goes on and on, and counts what was taken of it."""

    taken = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.taken += 1 << 20
            yield bytes(1 << 20)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@pytest.mark.anyio
async def test_an_answer_without_end_is_left() -> None:
    for status in (200, 500):
        body = Endless()
        transport = httpx.MockTransport(lambda request: httpx.Response(status, stream=body))
        with Client(transport=transport) as client, pytest.raises(BadAnswer, match="more than 67,108,864 bytes"):
            client.predict(MANY[0])
        async with AsyncClient(transport=transport) as asynchronous:
            with pytest.raises(BadAnswer, match="more than 67,108,864 bytes"):
                await asynchronous.predict(MANY[0])
        assert body.taken == 2 * (65 << 20)


@pytest.mark.anyio
async def test_an_answer_is_never_unpacked() -> None:
    """A few kilobytes would become gigabytes before anyone could count them."""
    body = Endless()

    def packed(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, stream=body, headers={"content-encoding": "gzip, gzip"})

    with client_of(packed) as client, pytest.raises(BadAnswer, match=r"packed \(gzip, gzip\)"):
        client.predict(MANY[0])
    async with AsyncClient(transport=httpx.MockTransport(packed)) as asynchronous:
        with pytest.raises(BadAnswer, match=r"packed \(gzip, gzip\)"):
            await asynchronous.predict(MANY[0])
    assert body.taken == 0


class Slow(BaseHTTPRequestHandler):
    """Answers a GET at once, on connections that it counts, and a POST without end: with its body, or before it."""

    protocol_version = "HTTP/1.1"
    connections: set[tuple[str, int]]

    def do_GET(self) -> None:
        self.connections.add(self.client_address)
        self.begin(length=2)
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        endless = b"HTTP/1.1 102 Processing\r\n\r\n"
        if self.path == "/predict":
            self.begin(length=1 << 40)
            endless = b" "
        with suppress(OSError):  # the client hangs up
            while True:
                self.wfile.write(endless)

    def begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def slow() -> Iterator[str]:
    Slow.connections = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_deadline_holds_for_an_answer_without_end(slow: str) -> None:
    with Client(slow) as client, pytest.raises(TimedOut):
        client.predict(b"x", deadline=0.2)


@pytest.mark.anyio
async def test_a_deadline_holds_for_an_answer_without_end_on_a_loop(slow: str) -> None:
    async with AsyncClient(slow) as client:
        with pytest.raises(TimedOut):
            await client.predict(b"x", deadline=0.2)
        with pytest.raises(TimedOut):
            await client.read(b"x", deadline=0.2)


def test_connections_are_kept(slow: str) -> None:
    with Client(slow) as client:
        for _ in range(5):
            client.model()
    assert len(Slow.connections) == 1


def test_options_of_httpx_go_to_httpx(slow: str) -> None:
    """Here a proxy, which answers for a service that isn't there."""
    with Client("http://digits.invalid", proxy=slow) as client:
        assert client.model() == {}


# --- the real service ---------------------------------------------------------------------------


def test_threads_may_share_a_client(server: Server) -> None:
    images, _ = mnist(600)
    with Client(server.url) as client, ThreadPoolExecutor(8) as pool:
        alone = client.predict(images)
        for together in pool.map(client.predict, [images] * 8):
            assert [one.digit for one in together] == [one.digit for one in alone]


@pytest.mark.anyio
async def test_ten_thousand_images_are_one_call(server: Server) -> None:
    images, _ = mnist(10_000)
    with Client(server.url) as client:
        digits = [prediction.digit for prediction in client.predict(images, deadline=300)]
        rows = client.probabilities(images)
    async with AsyncClient(server.url) as other:
        assert [prediction.digit for prediction in await other.predict(images)] == digits
    sure = [digit for digit in digits if digit is not None]
    assert len(digits) == 10_000
    assert sure == [int(row.argmax()) for row, digit in zip(rows, digits, strict=True) if digit is not None]


def test_what_never_gets_ready_is_waited_for_no_longer_than_said() -> None:
    """It says to come back after the time is up."""
    empty = httpx.Response(
        503, json={"error": {"code": "no_model", "message": "not yet"}}, headers={"Retry-After": "50"}
    )
    with client_of(lambda _: empty) as client, pytest.raises(Unavailable, match="no_model"):
        client.wait_until_ready(timeout=40)
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(Unreachable):
        nobody.wait_until_ready(timeout=0.2)


def test_the_examples_of_the_docstrings_run(server: Server, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    images, _ = mnist(2)  # a 7 and a 2
    for name, image in zip(("seven.png", "two.png"), images, strict=True):
        (tmp_path / name).write_bytes(png(image))
        (tmp_path / "scans" / name).write_bytes(png(image))
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    with Client(server.url) as client, chdir(tmp_path):
        known = {"Client": Client, "client": client, "np": np}
        assert run_examples(digits_client, known, server.url) > 1
        assert run_examples(_client, known, server.url) > 8


def run_examples(module: Any, known: dict[str, Any], url: str) -> int:
    """Run the examples of a module against a service, and return how many there were."""
    tried = 0
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs=known):
        for example in test.examples:
            example.source = example.source.replace("http://localhost:8000", url)
        outcome = doctest.DocTestRunner().run(test)
        assert not outcome.failed, test.name
        tried += outcome.attempted
    return tried
