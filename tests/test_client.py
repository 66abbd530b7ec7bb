"""The client against plain functions for the wire, then against the real service."""

from __future__ import annotations

import inspect
import io
import json
import math
import re
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any, assert_type

import httpx
import numpy as np
import pytest
from PIL import Image

import digits_client
from digits_client import (
    AsyncClient,
    BadAnswer,
    Client,
    DigitsError,
    ImageLike,
    Prediction,
    Reading,
    Rejected,
    Unavailable,
    Unreachable,
)
from evaluation.drawing import number, picture
from tests.images import mnist, png
from tests.server import Server, serve

IMAGES, _ = mnist(30)
IDENTITY = {"version": "v", "sha256": "0" * 64}


def answering(status: int, body: Any, kind: str = "application/json") -> Client:
    """Return a client whose service always answers the same."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.Response(status, content=content, headers={"content-type": kind})
    return Client(transport=httpx.MockTransport(lambda request: answer), retries=0)


def array_of(count: str) -> bytes:
    """Return an `.npy` file that claims to hold the probabilities of so many images, and holds none."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 10), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def sent_by(call: Callable[[Client], object], url: str = "http://localhost") -> httpx.Request:
    """Return the request that a call makes."""
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(429, json={"error": {"code": "overloaded", "message": "later"}})

    with Client(url, transport=httpx.MockTransport(note), retries=0) as client, pytest.raises(Unavailable):
        call(client)
    (request,) = seen
    return request


def files_in(request: httpx.Request) -> list[tuple[str | None, bytes]]:
    """Return name and content of each file of a multipart request, read by the standard library."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + request.content).get_payload()
    assert isinstance(parts, list)
    return [(part.get_filename(), part.get_payload(decode=True)) for part in parts]  # type: ignore[union-attr,misc]


# --- what goes out ------------------------------------------------------------------------------


def test_paths_go_out_as_files_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(png(IMAGES[0]))
    for given in (path, str(path)):
        assert files_in(sent_by(lambda client: client.predict(given))) == [("seven.png", path.read_bytes())]


def test_a_name_that_is_not_utf8_does_not_keep_an_image_back(tmp_path: Path) -> None:
    path = tmp_path / "seven\udcff.png"
    path.write_bytes(png(IMAGES[0]))
    ((sent, content),) = files_in(sent_by(lambda client: client.predict(path)))
    assert (sent, content) == ("seven?.png", path.read_bytes())


def test_bytes_and_pillow_images_go_out_as_they_are() -> None:
    picture = Image.new("RGB", (40, 30), "red")
    (_, first), (_, second) = files_in(sent_by(lambda client: client.predict([b"abc", picture])))
    assert first == b"abc"
    assert Image.open(io.BytesIO(second)).size == (40, 30)


@pytest.mark.parametrize(
    "array",
    [
        IMAGES[0], IMAGES[0][..., np.newaxis], IMAGES[0].astype(np.int64), IMAGES[0] / 255,
        (IMAGES[0] / 255).astype(np.float32),
    ],
)  # fmt: skip
def test_pixels_go_out_as_pixels(array: Any) -> None:
    request = sent_by(lambda client: client.predict(array))
    assert request.headers["content-type"] == "application/x-npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(request.content)), IMAGES[:1])


def test_many_arrays_go_out_as_one() -> None:
    for given in (list(IMAGES), IMAGES, IMAGES[..., np.newaxis]):
        request = sent_by(lambda client, given=given: client.predict(given))  # type: ignore[misc]
        np.testing.assert_array_equal(np.load(io.BytesIO(request.content)), IMAGES)


def test_files_that_are_open_go_out_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(png(IMAGES[0]))
    with path.open("rb") as file:
        assert files_in(sent_by(lambda client: client.predict(file))) == [("seven.png", path.read_bytes())]
    assert files_in(sent_by(lambda client: client.predict(io.BytesIO(b"abc")))) == [("image-0", b"abc")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in (2, 0, 1):
        (tmp_path / f"{index}.png").write_bytes(png(IMAGES[index]))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._0.png").write_bytes(b"what a Mac knows of 0.png")
    (tmp_path / "more").mkdir()
    return tmp_path


def test_in_a_list_a_folder_and_a_pattern_stand_for_their_files(folder: Path) -> None:
    names = ["0.png", "1.png", "2.png"]
    for given in ([folder], [str(folder)], [str(folder / "*.png")], [folder / "?.png"], [str(folder / "**" / "*.png")]):
        assert [name for name, _ in files_in(sent_by(lambda client, given=given: client.predict(given)))] == names  # type: ignore[misc]
    (folder / "folder.png").mkdir()
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    assert [name for name, _ in files_in(sent_by(lambda client: client.predict([folder])))] == names
    odd = folder / "[1].png"
    odd.write_bytes(b"abc")
    assert files_in(sent_by(lambda client: client.predict([odd]))) == [("[1].png", b"abc")]


@pytest.mark.parametrize(
    ("given", "says"),
    [("", "folder"), ("*.png", "in a list a pattern"), (["more"], "no image"), (["*.jpg"], "no image")],
)
def test_a_folder_or_a_pattern_that_stands_for_no_image_is_told_so(folder: Path, given: Any, says: str) -> None:
    images = [str(folder / given[0])] if isinstance(given, list) else str(folder / given)
    with answering(500, {}) as client, pytest.raises(OSError, match=says):
        client.predict(images)


def test_a_list_may_be_anything_to_iterate_over() -> None:
    for given in (iter(IMAGES), (image for image in IMAGES), tuple(IMAGES), [IMAGES[:20], IMAGES[20:]]):
        request = sent_by(lambda client, given=given: client.predict(given))  # type: ignore[misc]
        np.testing.assert_array_equal(np.load(io.BytesIO(request.content)), IMAGES)


def test_a_key_and_headers_go_out_with_every_request() -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    with Client(api_key="secret", headers={"x-team": "forms"}, transport=httpx.MockTransport(note)) as client:
        client.model()
    (request,) = seen
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["x-team"] == "forms"
    assert request.headers["user-agent"] == f"digits-client/{digits_client.__version__}"


@pytest.mark.parametrize("key", ["secret\n", "é"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="what no header can") as caught:
        Client(api_key=key)
    assert key not in str(caught.value)


def test_a_password_in_the_address_is_not_shown() -> None:
    with Client("http://user:secret@127.0.0.1:9", retries=0) as client, pytest.raises(Unreachable) as caught:
        client.health()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("shape", [(30, 20), (28, 28, 3), (50, 28, 4), (1, 1)])
def test_other_arrays_go_out_as_png_bit_for_bit(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ((_, content),) = files_in(sent_by(lambda client: client.predict(array)))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), array)


def test_different_kinds_may_be_mixed() -> None:
    (_, first), (_, second) = files_in(sent_by(lambda client: client.predict([b"abc", IMAGES[0]])))
    assert first == b"abc"
    np.testing.assert_array_equal(np.load(io.BytesIO(second)), IMAGES[0])


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (7, TypeError),
        (None, TypeError),
        ("no/such/file.png", FileNotFoundError),
        (np.full((28, 28), 256), ValueError),
        (np.full((28, 28), 1.5), ValueError),
        (np.full((28, 28), np.nan), ValueError),
        (np.full((28, 28), -1), ValueError),
        (np.zeros((0, 28), np.uint8), ValueError),
        (np.zeros((28, 28, 2), np.uint8), ValueError),
        (np.zeros(784, np.uint8), ValueError),
        (np.full((28, 28), "x"), ValueError),
        (io.StringIO("text"), TypeError),
    ],
)
def test_what_is_no_image_is_never_sent(image: Any, error: type[Exception]) -> None:
    with answering(500, {}) as client, pytest.raises(error):
        client.predict(image)


@pytest.mark.parametrize("threshold", [0, 1e-12, 0.1, 1 / 3, np.float32(0.9), True])
def test_a_threshold_goes_out_as_the_number_that_it_is(threshold: float) -> None:
    sent: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.params["threshold"])
        return httpx.Response(503)

    with Client(transport=httpx.MockTransport(note), retries=0) as client:
        for ask in (client.predict, client.read):
            with pytest.raises(Unavailable):
                ask(IMAGES[0], threshold=threshold)
    assert [float(text) for text in sent] == [threshold] * 2


@pytest.mark.parametrize("boxes", [[(12, 40, 180, 36), [0, 0, 4, 4]], np.array([[12, 40, 180, 36], [0, 0, 4, 4]])])
def test_boxes_go_out_as_four_numbers_each(boxes: Any) -> None:
    request = sent_by(lambda client: client.read(b"x", boxes=boxes))
    assert request.url.params.get_list("boxes") == ["12,40,180,36", "0,0,4,4"]


@pytest.mark.parametrize("boxes", [["40,40,50,40"], "40,40,50,40", [40, 40, 50, 40], [(1, 2, 3)], [(1.5, 2, 3, 4)]])
def test_what_is_no_box_is_never_sent(boxes: Any) -> None:
    with answering(500, {}) as client, pytest.raises(ValueError, match="four whole numbers each"):
        client.read(b"x", boxes=boxes)


def test_a_prefix_of_the_address_is_kept() -> None:
    request = sent_by(lambda client: client.predict(b"x"), "http://localhost/digits")
    assert request.url.path == "/digits/predict"


def test_no_images_are_no_request() -> None:
    with answering(500, {}) as client:
        assert client.predict([]) == []


# --- what comes back ----------------------------------------------------------------------------

PREDICTION = {"index": 0, "digit": 1, "confidence": 1.0, "probabilities": [1.0], "alternatives": [[math.inf, 1.0]]}


def explained(explanation: bytes) -> bytes:
    """Return an answer with this JSON in it."""
    item = PREDICTION | {"alternatives": [], "explanation": None}
    body = json.dumps({"model": IDENTITY, "predictions": [item]}).encode()
    return body.replace(b'"explanation": null', b'"explanation": ' + explanation)


def test_an_explanation_may_hold_what_a_newer_service_says() -> None:
    with answering(200, explained(b'{"parts": [{"box": [1, [2]]}]}')) as client:
        assert client.predict(b"x").explanation == {"parts": [{"box": [1, [2]]}]}


def test_a_file_that_is_too_large_for_a_request_is_named(folder: Path) -> None:
    refused = {"error": {"code": "too_large", "message": "too long"}}
    with answering(413, refused) as client, pytest.raises(Rejected, match=r"413 too_large: 0\.png: too long"):
        client.predict([folder])


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (413, {"error": {"code": "too_large", "message": "too long"}}, Rejected),
        (422, {"error": {"code": "invalid", "message": "no"}}, Rejected),
        (429, {"error": {"code": "overloaded", "message": "later"}}, Unavailable),
        (503, {"error": {"code": "no_model", "message": "not yet"}}, Unavailable),
        (502, b"<html>bad gateway</html>", Unavailable),
        (401, b"<html>who are you?</html>", Rejected),
        (404, {"detail": "Not Found"}, Rejected),
        (200, b"<html>hello</html>", BadAnswer),
        (200, [], BadAnswer),
        (200, {}, BadAnswer),
        (200, {"model": IDENTITY, "predictions": [{}]}, BadAnswer),
        (200, {"model": {}, "predictions": []}, BadAnswer),
        (200, {"model": IDENTITY, "predictions": [{"index": 1, "name": None}]}, BadAnswer),
        (200, b"[" * 100_000, BadAnswer),
        (500, b"[" * 100_000, Rejected),
        (200, json.dumps({"model": IDENTITY, "predictions": [PREDICTION]}).encode(), BadAnswer),
        (200, explained(b'{"a":' * 900 + b"1" + b"}" * 900), BadAnswer),
        (200, explained(b'{"a":' + b"[" * 60 + b"]" * 60 + b"}"), BadAnswer),
    ],
)
def test_what_is_no_prediction_is_an_error(status: int, body: Any, error: type[DigitsError]) -> None:
    with answering(status, body) as client, pytest.raises(error) as caught:
        client.predict(b"x")
    if isinstance(caught.value, Rejected):
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digit", {"a": 1}), ("digit", "7"), ("digit", 7.5), ("confidence", "x"), ("confidence", None),
        ("confidence", 10**400), ("probabilities", "abc"), ("probabilities", None), ("reason", [1]),
        ("presence", [0.5]), ("explanation", "x"), ("error", "x"), ("error", {"code": 1, "message": "x"}),
        ("error", {"code": "broken", "message": None}),
    ],
)  # fmt: skip
def test_a_prediction_of_other_types_is_none(field: str, value: Any) -> None:
    item = PREDICTION | {"alternatives": [], field: value}
    with answering(200, {"model": IDENTITY, "predictions": [item]}) as client, pytest.raises(BadAnswer):
        client.predict(b"x")


@pytest.mark.parametrize(
    ("field", "value"),
    [("text", None), ("text", 5), ("confidence", "x"), ("box", [1]), ("box", [1, 2, 3, "x"]), ("digits", [7])],
)
def test_a_reading_of_other_types_is_none(field: str, value: Any) -> None:
    line = {"text": "1", "confidence": 0.5, "fits": None, "box": [0, 0, 1, 1], "digits": [], "marks": []}
    item = {"index": 0, "text": "1", "confidence": 0.5, "lines": [line]}
    with answering(200, {"model": IDENTITY, "images": [item]}) as client:
        assert client.read(b"x").text == "1"
    other = item | {"lines": [line | {field: value}]}
    with answering(200, {"model": IDENTITY, "images": [other]}) as client, pytest.raises(BadAnswer):
        client.read(b"x")


@pytest.mark.parametrize(("field", "value"), [("uptime", None), ("uptime", "x"), ("reason", 1), ("model", [1])])
def test_health_of_other_types_is_none(field: str, value: Any) -> None:
    body = {"status": "ok", "model": IDENTITY, "reason": None, "uptime": 1.5}
    with answering(200, body | {field: value}) as client, pytest.raises(BadAnswer, match="/health"):
        client.health()


@pytest.mark.parametrize(
    "body",
    [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x02\x00{(", array_of("1" + "0" * 15), array_of("9" * 30), array_of("-1")],
)
def test_what_is_no_array_of_probabilities_is_an_error(body: bytes) -> None:
    with answering(200, body, "application/x-npy") as client, pytest.raises(BadAnswer):
        client.probabilities(b"x")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "the address of the service is empty; write it as http://localhost:8000"),
        ("localhost:8000", "write http://localhost:8000"),
        ("digits.example/forms", "write http://digits.example/forms"),
        ("ftp://localhost", "write http://localhost:8000"),
        ("http://", "not an address"),
        ("http://localhost:http", "not an address"),
        ("http://localhost:8000/?expect=5", "ends before the"),
    ],
)
def test_what_is_no_address_is_told_so(url: str, says: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(Unreachable, match=says):
            kind(url)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, {"error": {"code": "not_found", "message": "Not Found"}}, "a prefix too many or too few"),
        (404, b"<html>not here</html>", "a prefix too many or too few"),
        (501, b"<html>unsupported</html>", r"no reason was given by Other/1\.0 \(Not Implemented\)"),
        (200, b"<html>hello</html>", "is this a Digits service"),
    ],
)
def test_another_server_is_named(status: int, body: Any, says: str) -> None:
    """By its address, in which a prefix may be wrong, but without the key that is in it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.Response(status, content=content, headers={"server": "Other/1.0"})
    transport = httpx.MockTransport(lambda request: answer)
    with Client("http://me:secret@localhost/foo", transport=transport) as client, pytest.raises(DigitsError) as caught:
        client.predict(b"x", threshold=0.5)
    assert re.search(says, str(caught.value))
    assert "http://localhost/foo/predict" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_bad_image_is_a_prediction_with_an_error_even_alone() -> None:
    item = {"index": 0, "name": "x", "error": {"code": "not_an_image", "message": "no image"}}
    with answering(422, {"model": IDENTITY, "predictions": [item]}) as client:
        prediction = client.predict(b"x")
    assert prediction.digit is None
    assert prediction.error is not None
    assert prediction.error.code == "not_an_image"


def test_no_answer_is_unreachable() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="is the service running there"):
        client.health()


def test_every_error_is_one_to_catch() -> None:
    errors = [getattr(digits_client, name) for name in digits_client.__all__]
    kinds = [kind for kind in errors if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 6
    assert all(issubclass(kind, DigitsError) for kind in kinds)


def test_all_that_is_public_is_listed() -> None:
    public = {name for name, value in vars(digits_client).items() if not name.startswith("_")}
    assert set(digits_client.__all__) == public | {"__version__"}


# --- both clients, the real service -------------------------------------------------------------


def test_the_two_clients_have_the_same_methods() -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        public = {name: getattr(kind, name) for name in vars(kind) if not name.startswith("_")}
        public["close"] = public.pop("aclose", public.get("close"))
        return {name: list(inspect.signature(method).parameters) for name, method in public.items()}

    assert surface(Client) == surface(AsyncClient)
    assert str(inspect.signature(Client)) == str(inspect.signature(AsyncClient))


def test_images_of_every_kind_are_read(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(png(IMAGES[0]))
    given: list[ImageLike] = [path, str(path), path.read_bytes(), IMAGES[0], IMAGES[0] / 255, Image.open(path)]
    with Client(server.url) as client:
        together = client.predict(given)
        alone = [client.predict(image) for image in given]
    for one in [*together, *alone]:
        assert one.digit == 7
        assert one.confidence == pytest.approx(together[0].confidence, abs=1e-6)
    assert together[0].name == "seven.png"
    assert [prediction.index for prediction in together] == list(range(6))


def test_answers_have_the_types_that_were_promised(server: Server) -> None:
    """The types are for mypy to check, and the classes for this test."""
    image = png(IMAGES[0])
    with Client(server.url) as client:
        one, several = (
            assert_type(client.predict(image), Prediction),
            assert_type(client.predict([image]), list[Prediction]),
        )
        each = assert_type(client.predict(iter([image])), list[Prediction])
        text = assert_type(client.read(Image.new("L", (28, 28))), Reading)
        texts = assert_type(client.read([image]), list[Reading])
        lazily = assert_type(list(client.predict_each([image])), list[Prediction])
    assert [type(answer) for answer in (one, *several, *each, *lazily)] == [Prediction] * 4
    assert [type(answer) for answer in (text, *texts)] == [Reading] * 2


def test_a_bad_image_leaves_the_others_their_digits(server: Server) -> None:
    with Client(server.url) as client:
        bad, good = client.predict([b"%PDF", IMAGES[0]])
    assert (bad.digit, good.digit, good.error) == (None, 7, None)


def test_a_prediction_can_be_explained_and_doubted(server: Server) -> None:
    with Client(server.url) as client:
        plain = client.predict(png(IMAGES[0]))
        doubted = client.predict(png(IMAGES[0]), explain=True, threshold=1.0)
        assert client.predict(png(IMAGES[0]), threshold=1e-12).digit == 7  # which has an exponent on the wire
        (listed,) = client.predict(IMAGES[:1], explain=True)
    assert (plain.reason, plain.explanation) == (None, None)
    assert plain.alternatives[0][1] <= (plain.confidence or 0)
    assert (doubted.digit, doubted.reason, doubted.error) == (None, "not_a_digit", None)
    assert doubted.explanation is not None
    assert doubted.explanation["unchanged"]
    assert listed.explanation == doubted.explanation


def test_numbers_are_read_in_pictures_of_every_kind(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "form.png"
    image = picture(number(list(IMAGES[:3]), np.random.default_rng(0), gap=(0.2, 0.3)))
    image.save(path)
    with Client(server.url) as client:
        given: list[ImageLike] = [path, path.read_bytes(), np.asarray(image), image]
        together = client.read(given, expect=3)
        alone = client.read(np.asarray(image.convert("L")), pattern=r"\d{3}")
        small = client.read(np.full((28, 28), 255, np.uint8))
        boxed = client.read(image, boxes=[(0, 0, *image.size), (0, 0, 3, 3)])
        bad = client.read(b"%PDF")
    assert len({reading.text for reading in together}) == 1
    assert [reading.name for reading in together] == ["form.png", None, None, None]
    (line,) = together[0].lines
    assert (len(line.digits), line.fits, len(alone.lines[0].digits)) == (3, True, 3)
    assert line.digits[0].alternatives[0][1] <= line.digits[0].confidence
    assert (small.text, small.error) == ("", None)
    assert [line.box for line in boxed.lines[1:]] == [(0, 0, 3, 3)]
    assert (bad.text, bad.lines, bad.error and bad.error.code) == (None, (), "not_an_image")


def test_probabilities_are_those_of_predictions(server: Server) -> None:
    with Client(server.url) as client:
        predictions = client.predict([*IMAGES, b"%PDF"])
        rows = client.probabilities([*IMAGES, b"%PDF"])
        alone, none = client.probabilities(IMAGES[0]), client.probabilities([])
    for prediction, row in zip(predictions[:-1], rows, strict=False):
        assert prediction.probabilities == pytest.approx(row.tolist(), abs=1e-6)
    assert np.isnan(rows[-1]).all()
    assert (alone.shape, none.shape, rows.shape, rows.dtype.name) == ((10,), (0, 10), (31, 10), "float32")


@pytest.mark.anyio
async def test_the_async_client_says_the_same(server: Server) -> None:
    with Client(server.url) as client:
        async with AsyncClient(server.url) as other:
            assert await other.predict(IMAGES) == client.predict(IMAGES)
            assert await other.predict(b"%PDF") == client.predict(b"%PDF")
            assert await other.predict([]) == []
            assert await other.read([]) == client.read([]) == []
            assert await other.read([png(IMAGES[0])], expect=1) == client.read([png(IMAGES[0])], expect=1)
            assert [one async for one in other.predict_each(IMAGES)] == list(client.predict_each(IMAGES))
            assert [one async for one in other.read_each(IMAGES[0])] == list(client.read_each(IMAGES[0]))
            assert (await other.probabilities(IMAGES)).tolist() == client.probabilities(IMAGES).tolist()
            await other.wait_until_ready()
            assert await other.model() == client.model()
            assert (await other.health()).model == client.health().model


@pytest.mark.anyio
async def test_the_async_client_says_when_nobody_answers() -> None:
    async with AsyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(Unreachable):
            await client.health()


def test_health_and_model(server: Server, tmp_path: Path) -> None:
    with Client(server.url) as client:
        health = client.health()
        assert health.ok
        assert health.model is not None
        assert client.model()["version"] == health.model.version
    with serve(tmp_path) as empty, Client(empty.url, retries=0) as client:
        health = client.health()
        assert (health.ok, health.model) == (False, None)
        with pytest.raises(Unavailable, match="no model"):
            client.predict(IMAGES[0])
