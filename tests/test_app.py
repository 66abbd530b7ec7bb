"""The HTTP contract of the service, in this process: what goes in, what comes out, and every refusal."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from digits import bundle
from evaluation import drawing
from service import schemas
from service.engine import Engine
from service.pieces import PIECE
from service.settings import Settings
from tests.conftest import Serve
from tests.hostile import encoded
from tests.images import npy
from tests.models import mnist, png, publish, templates

pytestmark = pytest.mark.anyio

IMAGES, LABELS = mnist(50)
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
NPY = {"content-type": "application/x-npy"}
PNG = {"content-type": "image/png"}


@pytest.fixture
async def latin(tmp_path: Path, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A service whose folder holds a file with a name that isn't UTF-8, and no model."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xe8le.h5")).touch()
    async with serve(Settings(models=tmp_path)) as lent:
        yield lent


def npy_of_shape(shape: object, content: bytes = b"") -> bytes:
    """Return an `.npy` file that claims any shape."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}}}".encode().ljust(2000) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


STRANGE_NPY = [
    npy_of_shape((0, 2**70)),
    npy_of_shape((1,) * 65, b"x"),
    npy_of_shape((True, 28, 28), bytes(784)),
    npy_of_shape((-1, 28, 28), bytes(784)),
    npy_of_shape((2**40, 28, 28)),
    npy_of_shape("x"),
    npy_of_shape(()),
    npy_of_shape((int("9" * 4000), int("9" * 4000))),
    b"\x93NUMPY\x01\x00\x03\x00{(\n",
    npy_of_shape((28, 28), bytes(784)).replace(b"'|u1'", b"()   "),
]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def code_of(response: httpx.Response) -> str:
    """Check the one shape of errors, and return what this one is."""
    return schemas.Error.model_validate(response.json(), extra="forbid").error.code


# --- /predict -----------------------------------------------------------------------------------


async def test_the_same_images_in_every_kind_of_body_get_the_same_answer(client: httpx.AsyncClient) -> None:
    files = [png(image) for image in IMAGES[:3]]
    bodies: list[dict[str, Any]] = [
        {"files": [("images", (f"{i}.png", file)) for i, file in enumerate(files)]},
        {"files": [("images", (f"{i}.npy", npy(image))) for i, image in enumerate(IMAGES[:3])]},
        {"json": {"images": [b64(file) for file in files]}},
        {"json": {"images": [f"data:image/png;base64,{b64(file)}" for file in files]}},
        {"json": {"pixels": IMAGES[:3].tolist()}},
        {"content": npy(IMAGES[:3]), "headers": NPY},
        {"content": npy(np.asfortranarray(IMAGES[:3])), "headers": NPY},
    ]
    answers = []
    for body in bodies:
        response = await client.post("/predict", **body)
        assert response.status_code == 200, response.text
        answers.append(schemas.Predictions.model_validate(response.json(), extra="forbid"))
    for answer in answers:
        assert answer.model == answers[0].model
        assert [item.index for item in answer.predictions] == [0, 1, 2]
        for item, first in zip(answer.predictions, answers[0].predictions, strict=True):
            assert isinstance(item, schemas.Prediction)
            assert isinstance(first, schemas.Prediction)
            np.testing.assert_allclose(item.probabilities, first.probabilities, atol=1e-6)


async def test_an_image_gets_the_same_answer_whoever_shares_its_batch(client: httpx.AsyncClient) -> None:
    together = (await client.post("/predict", content=npy(IMAGES), headers=NPY)).json()["predictions"]
    alone = await asyncio.gather(*(client.post("/predict", json={"pixels": [image.tolist()]}) for image in IMAGES))
    for one, response in zip(together, alone, strict=True):
        (other,) = response.json()["predictions"]
        np.testing.assert_allclose(one["probabilities"], other["probabilities"], rtol=0, atol=1e-6)


async def test_the_answer_can_be_an_array(client: httpx.AsyncClient) -> None:
    """A row of each image, NaN where one could not be read; the model stands in the headers."""
    files = [("images", b"x"), ("images", png(IMAGES[0])), ("images", png(IMAGES[1]))]
    as_json = (await client.post("/predict", files=files)).json()
    response = await client.post("/predict", files=files, headers={"accept": "application/x-npy"})
    rows = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-npy")
    assert (rows.shape, rows.dtype) == ((3, 10), np.float32)
    assert np.isnan(rows[0]).all()
    for row, prediction in zip(rows[1:], as_json["predictions"][1:], strict=True):
        np.testing.assert_allclose(row, prediction["probabilities"], rtol=0, atol=1e-6)
    assert response.headers["digits-model-version"] == as_json["model"]["version"]
    assert response.headers["digits-model-sha256"] == as_json["model"]["sha256"]
    none = await client.post("/predict", files=files[:1], headers={"accept": "application/x-npy"})
    assert (none.status_code, np.isnan(np.load(io.BytesIO(none.content))).all()) == (422, True)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "json"), ("application/json", "json"), ("application/x-npy", "npy"), ("Application/X-NPY", "npy"),
        ("application/x-npy, application/json", "npy"), ("application/json, application/x-npy;q=0.5", "json"),
        ("application/json;q=0.1, application/x-npy; q=0.2", "npy"), ("application/x-npy;q=0", "json"),
        ("application/x-npy" + "," * 60_000, "json"),
        ("application/x-npy;q=x", "json"), ("text/html, */*;q=0.8", "json"), ("application/x-npyz", "json"),
        ("", "json"),
    ],
)  # fmt: skip
async def test_json_is_the_answer_unless_an_array_is_preferred(
    client: httpx.AsyncClient, accept: str, kind: str
) -> None:
    response = await client.post("/predict", content=npy(IMAGES), headers=NPY | {"accept": accept})
    assert response.headers["content-type"].endswith(kind)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (png(IMAGES[0]), "image/png"), (png(IMAGES[0]), "image/*"), (png(IMAGES[0]), "application/octet-stream"),
        (png(IMAGES[0]), "IMAGE/PNG; q=1"), (npy(IMAGES[0]), "application/x-npy"),
        (npy(IMAGES[0]), "application/octet-stream"),
    ],
)  # fmt: skip
async def test_a_single_image_is_the_body(client: httpx.AsyncClient, content: bytes, kind: str) -> None:
    response = await client.post("/predict", content=content, headers={"content-type": kind})
    (prediction,) = response.json()["predictions"]
    assert (prediction["digit"], prediction["name"]) == (7, None)
    assert prediction["confidence"] == max(prediction["probabilities"])
    assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-5)


async def test_digits_are_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", content=npy(IMAGES), headers=NPY)
    digits = [item["digit"] for item in response.json()["predictions"]]
    assert np.mean(digits == LABELS) > 0.7


async def test_the_next_best_digits_are_listed(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", content=npy(IMAGES[:20]), headers=NPY)
    for item in response.json()["predictions"]:
        order = np.argsort(item["probabilities"])[::-1]
        assert item["digit"] == order[0]
        assert item["alternatives"] == [[digit, item["probabilities"][digit]] for digit in order[1:3]]


async def test_what_is_no_digit_gets_none_and_the_reason(client: httpx.AsyncClient) -> None:
    """A threshold of 1 doubts everything; but what is blank, or two digits, is no digit whatever the threshold."""
    one, two = (
        drawing.written(image, left=left, height=60) for image, left in zip(IMAGES[:2], (0.3, 0.75), strict=True)
    )
    pictures = [drawing.picture(paper) for paper in (one, np.minimum(one, two), np.full_like(one, 200))]
    files = [("images", (f"{index}.png", encoded(picture))) for index, picture in enumerate(pictures)]
    reasons = {}
    for threshold in (0, 1):
        response = await client.post("/predict", params={"threshold": threshold}, files=files)
        answer = schemas.Predictions.model_validate(response.json(), extra="forbid").predictions
        assert [getattr(item, "digit", "error") is None for item in answer] == [threshold == 1, True, True]
        reasons[threshold] = [getattr(item, "reason", "error") for item in answer]
    assert reasons == {
        0: [None, "several_digits", "blank"],
        1: ["not_a_digit", "several_digits", "blank"],
    }


async def test_the_header_of_an_array_is_not_even_read_if_it_is_long(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", content=npy(np.zeros((28, 28), "u1," * 200)), headers=NPY)
    assert (response.status_code, code_of(response)) == (422, "bad_pixels")
    assert "not an .npy file" in response.json()["error"]["message"]  # and not: it holds another type


@pytest.mark.parametrize("level", [0, 128, 255])
async def test_an_array_of_one_level_is_blank(client: httpx.AsyncClient, level: int) -> None:
    response = await client.post("/predict", content=npy(np.full((28, 28), level, np.uint8)), headers=NPY)
    (item,) = response.json()["predictions"]
    assert (item["digit"], item["reason"]) == (None, "blank")


async def test_the_threshold_is_the_manifests_unless_a_request_says_otherwise(published: Path) -> None:
    manifest = bundle.read_current(published).manifest
    assert "thresholds" not in manifest
    engine = Engine(lambda batch: np.full((len(batch), 11), 0.1, np.float32), manifest, published)
    assert engine.threshold("presence") == 0
    assert replace(engine, manifest=manifest | {"thresholds": {"presence": 0.6}}).threshold("presence") == 0.6
    for other in ("high", True, 2):
        assert replace(engine, manifest=manifest | {"thresholds": {"presence": other}}).threshold("presence") == 0


@pytest.mark.parametrize("text", ["0.5", ".5", "5e-1", "0.05E+1", "5e-324"])
async def test_a_threshold_is_any_number_that_json_has(client: httpx.AsyncClient, text: str) -> None:
    response = await client.post("/predict", params={"threshold": text}, content=npy(IMAGES[0]), headers=NPY)
    assert response.status_code == 200


async def test_in_json_of_many_images_each_keeps_its_place(client: httpx.AsyncClient) -> None:
    pixels: list[Any] = IMAGES.tolist()
    pixels[40] = [[0] * 28] * 27
    body = json.dumps({"pixels": pixels}).encode()
    assert len(body) > PIECE
    answer = (await client.post("/predict", content=body, headers=JSON)).json()["predictions"]
    assert [item["index"] for item in answer if "error" in item] == [40]
    expected = (await client.post("/predict", content=npy(IMAGES), headers=NPY)).json()["predictions"]
    assert [item for item in answer if "error" not in item] == [item for item in expected if item["index"] != 40]


async def test_whole_numbers_are_pixels_however_json_writes_them(client: httpx.AsyncClient) -> None:
    plain = json.dumps({"pixels": [IMAGES[0].tolist()]})
    bodies = [plain, *(plain.replace("[0, ", f"[{zero}, ") for zero in ("0.0", "0e0", "0E0", "-0.0"))]
    answers = [(await client.post("/predict", content=body, headers=JSON)).json() for body in bodies]
    assert len(set(bodies)) == len(bodies)
    assert all(answer == answers[0] for answer in answers)


ZEROS = "0" * 60_000  # which some ways to match a number take minutes for
QUERIES = [
    "threshold=high", "threshold=2", "threshold=1e1", "threshold=1e999", "threshold=nan", "threshold=",
    "threshold=1.", "threshold=1.2.3", f"threshold={ZEROS}", f"threshold={ZEROS}x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "query", "near"),
    [
        ("/predict", "treshold=0.9", "threshold"), ("/predict", "explain=1&Threshold=0.9", "threshold"),
        ("/predict", "explian=true", "explain"), ("/read", "expects=4", "expect"), ("/read", "box=1,2,3,4", "boxes"),
    ],
)  # fmt: skip
async def test_a_misspelt_parameter_is_told_with_the_one_that_it_may_be(
    client: httpx.AsyncClient, path: str, query: str, near: str
) -> None:
    response = await client.post(f"{path}?{query}", content=png(IMAGES[0]), headers=PNG)
    assert (response.status_code, code_of(response)) == (422, "invalid")
    assert f"did you mean '{near}'?" in response.json()["error"]["message"]


async def test_parameters_of_others_are_ignored(client: httpx.AsyncClient) -> None:
    query = "utm_source=x&api_key=1&text=1&format=png&model=2"
    assert (await client.post(f"/predict?{query}", content=png(IMAGES[0]), headers=PNG)).status_code == 200


async def test_text_in_the_place_of_a_file_gets_a_hint(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files={"images": (None, b"seven.png")})
    assert (response.status_code, code_of(response)) == (422, "unknown_field")
    assert "images=@seven.png" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/health/", "/predict/", "/v2/models/digits/", "/v1/models/digits/"])
async def test_nobody_is_sent_where_a_host_header_says(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"host": "elsewhere.example"})
    assert response.status_code in (400, 404, 405)


@pytest.mark.parametrize("query", [*QUERIES, "explain=perhaps", "expect=1", "threshold=0.1&threshold=0.9"])
async def test_wishes_that_make_no_sense_are_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post(f"/predict?{query}", content=npy(IMAGES[0]), headers=NPY)
    assert (response.status_code, code_of(response)) == (422, "invalid")


async def test_an_explanation_shows_what_the_network_saw(client: httpx.AsyncClient) -> None:
    content = encoded(drawing.picture(drawing.framed(drawing.written(IMAGES[0]))))
    response = await client.post("/predict?explain=true", content=content, headers={"content-type": "image/png"})
    (item,) = schemas.Predictions.model_validate(response.json(), extra="forbid").predictions
    assert isinstance(item, schemas.Prediction)
    told = item.explanation
    assert told is not None
    assert (told.unchanged, told.inverted, told.lines_removed) == (False, True, 4)
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(told.image))))
    again = await client.post("/predict?explain=1", content=npy(seen), headers=NPY)
    (repeated,) = again.json()["predictions"]
    assert repeated["probabilities"] == pytest.approx(item.probabilities, abs=1e-6)
    assert repeated["explanation"] == {
        "image": told.image, "unchanged": True, "inverted": False, "box": None, "scale": 1.0, "shift": [0, 0],
        "lines_removed": 0, "ink": 1.0,
    }  # fmt: skip


async def test_the_box_is_in_pixels_of_a_large_jpeg(client: httpx.AsyncClient) -> None:
    """Which is decoded at a fraction of its size."""
    photo = drawing.picture(drawing.written(IMAGES[0], side=2600, height=1820))
    content = encoded(photo, "JPEG")
    response = await client.post("/predict?explain=true", content=content, headers={"content-type": "image/jpeg"})
    _, _, width, height = response.json()["predictions"][0]["explanation"]["box"]
    assert max(width, height) == pytest.approx(1300, rel=0.04)


async def test_names_of_files_come_back(client: httpx.AsyncClient) -> None:
    files = [("images", ("seven.png", png(IMAGES[0]))), ("images", ("zwei ü.png", png(IMAGES[1])))]
    response = await client.post("/predict", files=files)
    assert [item["name"] for item in response.json()["predictions"]] == ["seven.png", "zwei ü.png"]


async def test_a_bad_image_does_not_spoil_its_neighbours(client: httpx.AsyncClient) -> None:
    good, bad = ("images", ("a.png", png(IMAGES[0]))), ("images", ("notes.pdf", b"%PDF-1.4"))
    response = await client.post("/predict", files=[bad, good, bad])
    assert response.status_code == 200
    first, second, third = response.json()["predictions"]
    assert first["error"]["code"] == third["error"]["code"] == "not_an_image"
    assert (second["index"], second["digit"]) == (1, 7)
    assert first.keys() == {"index", "name", "error"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"images": [b64(b"%PDF")]}, "not_an_image"),
        ({"images": [""]}, "empty"),
        ({"images": ["?"]}, "bad_base64"),
        ({"images": ["data:image/png;base64,?"]}, "bad_base64"),
        ({"images": [7]}, "bad_base64"),
        ({"images": [None]}, "bad_base64"),
        ({"images": [b64(png(IMAGES[0])[:80])]}, "broken"),
        ({"images": [b64(npy(IMAGES))]}, "bad_pixels"),
        *(({"images": [b64(header)]}, "bad_pixels") for header in STRANGE_NPY),
        ({"images": [b64(npy(IMAGES[0].astype(float)))]}, "bad_pixels"),
        ({"pixels": [[]]}, "bad_pixels"),
        ({"pixels": [7]}, "bad_pixels"),
        ({"pixels": [[[0] * 28] * 27]}, "bad_pixels"),
        ({"pixels": [[[0] * 27] * 28]}, "bad_pixels"),
        ({"pixels": [[[0.5] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [[[256.0] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [["0.0" * 28] * 28]}, "bad_pixels"),
        ({"pixels": [0.0]}, "bad_pixels"),
        ({"pixels": [[[True] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [[[256] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [[[-1] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [[[10**30] * 28] * 28]}, "bad_pixels"),
        ({"pixels": [[["0", *[0] * 27]] * 28]}, "bad_pixels"),
    ],
)
async def test_when_no_image_can_be_read_the_status_is_422(client: httpx.AsyncClient, body: object, code: str) -> None:
    response = await client.post("/predict", json=body)
    assert response.status_code == 422
    (prediction,) = schemas.Predictions.model_validate(response.json(), extra="forbid").predictions
    assert isinstance(prediction, schemas.Failure)
    assert prediction.error.code == code


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({}, 415, "unsupported_media_type"),
        ({"content": b"x"}, 415, "unsupported_media_type"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"data": {"images": "x"}}, 415, "unsupported_media_type"),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 400, "empty_body"),
        ({"content": b"x", "headers": JSON | {"content-encoding": "br"}}, 415, "unsupported_encoding"),
        ({"content": b"x", "headers": JSON | {"content-encoding": "gzip"}}, 400, "malformed"),
        ({"content": b"x", "headers": JSON | {"content-encoding": "x-gzip"}}, 400, "malformed"),
        ({"content": b"x", "headers": JSON | {"content-length": "9" * 20}}, 413, "too_large"),
        ({"content": b"", "headers": JSON}, 400, "empty_body"),
        ({"content": b"{", "headers": JSON}, 400, "malformed"),
        ({"content": b"\xff", "headers": JSON}, 400, "malformed"),
        ({"content": b"[" * 2_900, "headers": JSON}, 400, "malformed"),
        ({"content": b'{"pixels": [[[NaN]]]}', "headers": JSON}, 400, "malformed"),
        ({"json": []}, 422, "invalid"),
        ({"content": b"null", "headers": JSON}, 422, "invalid"),
        ({"json": {}}, 422, "invalid"),
        ({"json": {"image": "x"}}, 422, "invalid"),
        ({"json": {"images": [], "pixels": []}}, 422, "invalid"),
        ({"json": {"images": "x"}}, 422, "invalid"),
        ({"json": {"images": []}}, 422, "no_images"),
        ({"json": {"images": [""] * 101}}, 413, "too_many_images"),
        ({"json": {"pixels": [[]] * 3000}}, 413, "too_many_images"),
        ({"json": {"pixels": [[]] * 30_000}}, 413, "too_many_images"),
        ({"json": {"images": [0] * 60_000}}, 413, "too_many_images"),
        ({"content": npy(IMAGES)[:-1], "headers": NPY}, 422, "bad_pixels"),
        ({"content": npy(IMAGES) + b"x", "headers": NPY}, 422, "bad_pixels"),
        ({"content": npy(IMAGES[:2] / 255), "headers": NPY}, 422, "bad_pixels"),
        ({"content": npy(IMAGES[:, 1:]), "headers": NPY}, 422, "bad_pixels"),
        ({"content": npy(IMAGES[0, 0]), "headers": NPY}, 422, "bad_pixels"),
        ({"content": npy(IMAGES[:0]), "headers": NPY}, 422, "no_images"),
        ({"content": npy(np.array([{}])), "headers": NPY}, 422, "bad_pixels"),
        ({"content": b"\x93NUMPY\x01\x00", "headers": NPY}, 422, "bad_pixels"),
        *(({"content": header, "headers": NPY}, 422, "bad_pixels") for header in STRANGE_NPY),
        ({"content": b"\x93NUMPY\x09\x00\x00\x00", "headers": NPY}, 422, "bad_pixels"),
        ({"content": b"nothing", "headers": NPY}, 422, "bad_pixels"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "malformed"),
        ({"content": b"x", "headers": FORM}, 400, "malformed"),
        ({"content": b"--b\r\nx", "headers": FORM}, 400, "malformed"),
        ({"content": b"--b--\r\n", "headers": FORM}, 422, "no_images"),
        ({"content": PART + b"x", "headers": FORM}, 400, "malformed"),
        ({"content": PART + b"x\r\n", "headers": FORM}, 400, "malformed"),
        ({"content": PART + b"x\r\n--b--\r\n", "headers": FORM}, 422, "unknown_field"),
        ({"files": {"image": b"x"}}, 422, "unknown_field"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data" + ";" * 60_000}}, 415,
         "unsupported_media_type"),
        ({"files": {"images": b"x"}, "data": {"explain": "1"}}, 422, "unknown_field"),
        ({"files": [("images", b"x")] * 101}, 413, "too_many_images"),
        ({"files": [("images", b"x")] * 200}, 413, "too_many_images"),
        ({"content": b"x" * 200_001, "headers": {"content-type": "image/png"}}, 413, "too_large"),
    ],
)  # fmt: skip
async def test_a_request_that_makes_no_sense_is_refused_as_http_means_it(
    client: httpx.AsyncClient, options: dict[str, Any], status: int, code: str
) -> None:
    response = await client.post("/predict", **options)
    assert (response.status_code, code_of(response)) == (status, code)


async def test_the_body_limit_counts_bytes_as_they_arrive(client: httpx.AsyncClient) -> None:
    """Without a Content-Length nothing but counting helps; what was not asked for is never produced."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"x" * 10_000

    response = await client.post("/predict", content=endless(), headers={"content-type": "image/png"})
    assert (response.status_code, code_of(response)) == (413, "too_large")
    assert sent <= 220_000


async def test_a_multipart_body_is_bounded_too(client: httpx.AsyncClient) -> None:
    response = await client.post("/predict", files={"images": b"x" * 200_000})
    assert (response.status_code, code_of(response)) == (413, "too_large")


async def test_a_hundred_images_are_a_hundred_in_every_kind_of_body(client: httpx.AsyncClient) -> None:
    """The bound is exact: what it allows is counted in more than one way."""
    images = np.concatenate([IMAGES, IMAGES])
    bodies: list[dict[str, Any]] = [
        {"files": [("images", b"x")] * 100},
        {"json": {"images": [b64(b"x")] * 100}},
        {"json": {"pixels": [[[0] * 28] * 28] * 100}},
        {"content": npy(images), "headers": NPY},
    ]
    for body in bodies:
        assert len((await client.post("/predict", **body)).json()["predictions"]) == 100


async def test_the_loop_goes_on_while_pictures_are_decoded(published: Path, serve: Serve) -> None:
    """A picture of 24 megapixels takes half a second; meanwhile others are answered, again and again."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (4000, 6000), np.uint8)).save(file, "PNG")
    async with serve(Settings(models=published, max_body=100_000_000)) as client:
        large = asyncio.create_task(client.post("/predict", content=file.getvalue(), headers=PNG))
        answered = 0
        while not large.done():
            live = await client.get("/health/live")
            small = await client.post("/predict", content=png(IMAGES[0]), headers=PNG)
            answered += live.status_code == small.status_code == 200
        assert large.result().status_code == 200
        assert answered >= 10


async def test_a_full_queue_answers_429_and_says_when_to_come_back(published: Path, serve: Serve) -> None:
    async with serve(Settings(models=published, max_images=40, max_queue=40, max_batch=1)) as client:
        calls = [client.post("/predict", content=npy(IMAGES[:30]), headers=NPY) for _ in range(4)]
        responses = await asyncio.gather(*calls)
        refused = [response for response in responses if response.status_code == 429]
        assert 0 < len(refused) < 4
        assert {code_of(response) for response in refused} == {"overloaded"}
        assert int(refused[0].headers["retry-after"]) >= 1
        assert {response.status_code for response in responses} == {200, 429}


# --- everything else ----------------------------------------------------------------------------


async def test_health_says_what_is_served(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")
    health = schemas.Health.model_validate(response.json(), extra="forbid")
    assert (response.status_code, health.status, health.reason) == (200, "ok", None)
    assert (
        health.model
        == schemas.Predictions.model_validate(
            (await client.post("/predict", content=npy(IMAGES), headers=NPY)).json()
        ).model
    )
    assert (await client.get("/health/ready")).json() == {"status": "ready"}
    assert (await client.get("/health/live")).json() == {"status": "alive"}


async def test_without_a_model_the_service_lives_and_says_why_it_cannot_predict(empty: httpx.AsyncClient) -> None:
    health = await empty.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["model"]) == (503, "unavailable", None)
    assert "train one" in health.json()["reason"]
    assert (await empty.get("/health/live")).status_code == 200
    for response in (
        await empty.get("/health/ready"),
        await empty.get("/model"),
        await empty.get("/model/plots/accuracy.png"),
        await empty.get("/model/report"),
        await empty.post("/predict", content=npy(IMAGES), headers=NPY),
    ):
        assert (response.status_code, code_of(response)) == (503, "no_model")


async def test_a_reason_that_holds_no_text_can_be_told(latin: httpx.AsyncClient) -> None:
    for path in ("/health", "/model", "/v2/models/digits", "/v1/models/digits"):
        response = await latin.get(path)
        assert (response.status_code, "mod\\\\udce8le.h5" in response.text) == (503, True)


async def test_the_manifest_and_its_plots_can_be_fetched(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/model")).json()
    assert manifest["format"] == 1
    assert manifest["plots"] == ["accuracy.png"]
    plot = await client.get(f"/model/plots/{manifest['plots'][0]}")
    assert plot.headers["content-type"] == "image/png"
    assert plot.content.startswith(b"\x89PNG")


async def test_a_plot_that_no_file_system_can_hold_is_not_found(serve: Serve, tmp_path: Path) -> None:
    publish(tmp_path, templates(), plots=["a" * 300])
    async with serve(Settings(models=tmp_path)) as client:
        response = await client.get(f"/model/plots/{'a' * 300}")
        assert (response.status_code, code_of(response)) == (404, "not_found")


async def test_a_link_out_of_a_bundle_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of others")
    made = publish(tmp_path / "models", templates(), plots=["accuracy.png"])
    (made.path / "report.html").symlink_to(tmp_path / "secret")
    plot = made.path / "plots" / "accuracy.png"
    plot.unlink()
    plot.symlink_to("../../../secret")
    async with serve(Settings(models=tmp_path / "models")) as linked:
        for path in ("/model/report", "/model/plots/accuracy.png"):
            response = await linked.get(path)
            assert (response.status_code, code_of(response)) == (404, "not_found")
            assert "of others" not in response.text


async def test_a_file_of_a_bundle_beyond_the_cap_is_not_read(tmp_path: Path, serve: Serve) -> None:
    made = publish(tmp_path, templates())
    for name in (bundle.REPORT_NAME, "plots/accuracy.png"):
        (made.path / name).touch()
        os.truncate(made.path / name, bundle.MAX_BYTES + 1)  # which takes no place on the disk
    async with serve(Settings(models=tmp_path)) as client:
        for path in ("/model/report", "/model/plots/accuracy.png"):
            response = await client.get(path)
            assert (response.status_code, code_of(response)) == (404, "not_found")


@pytest.mark.parametrize("name", ["loss.png", "%2e%2e", "..%2fmanifest.json", "manifest.json", "accuracy.png%00"])
async def test_nothing_but_its_plots_can_be_fetched(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/model/plots/{name}")
    assert (response.status_code, code_of(response)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not_found"), ("GET", "/predict", 405, "method_not_allowed"),
     ("DELETE", "/model", 405, "method_not_allowed")],
)  # fmt: skip
async def test_what_does_not_exist_has_the_same_shape_of_error(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, code_of(response)) == (status, code)
