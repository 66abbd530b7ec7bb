"""The contract of `POST /read`: what goes in, what comes out, and every refusal of its own."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from digits import reading
from digits.errors import BadImage
from digits.image import Pixels
from digits.reading import TooMuchWriting
from evaluation.drawing import number, picture
from service import schemas
from service.items import Item
from service.looks import Look, see_at_last
from service.read import Budget
from service.settings import Settings
from tests.conftest import Serve
from tests.hostile import encoded
from tests.models import features, mnist, publish

pytestmark = pytest.mark.anyio

PIXELS, LABELS = mnist(100)
ONE, FOUR, SEVEN = (PIXELS[digit == LABELS] for digit in (1, 4, 7))


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    folder: Path = tmp_path_factory.mktemp("models")
    publish(folder, features())
    async with serve(Settings(models=folder, max_images=10)) as lent:
        yield lent


def drawn(*digits: Pixels, seed: int = 0) -> Image.Image:
    return picture(number(digits, np.random.default_rng(seed), gap=(0.1, 0.3)))


IMAGE = drawn(FOUR[0], SEVEN[0], ONE[1])
SENT = encoded(IMAGE)


async def ask(client: httpx.AsyncClient, query: str = "", content: bytes = SENT) -> Any:
    response = await client.post(f"/read{query}", content=content, headers={"content-type": "image/png"})
    assert response.status_code == 200, response.text
    schemas.Readings.model_validate_json(response.content)
    return response.json()["images"][0]


async def test_a_number_is_read_with_its_digits_where_they_are(client: httpx.AsyncClient) -> None:
    image = await ask(client)
    assert image["text"] == "471"
    (line,) = image["lines"]
    assert (line["text"], line["fits"], line["marks"]) == ("471", None, [])
    assert [digit["digit"] for digit in line["digits"]] == [4, 7, 1]
    assert line["confidence"] == pytest.approx(np.prod([digit["confidence"] for digit in line["digits"]]))
    rights = [digit["box"][0] + digit["box"][2] for digit in line["digits"]]
    lefts = [digit["box"][0] for digit in line["digits"]]
    assert all(right <= left + 2 for right, left in zip(rights, lefts[1:], strict=False))
    for digit in line["digits"]:
        assert all(probability <= digit["confidence"] for _, probability in digit["alternatives"])
        left, top, width, height = digit["box"]
        assert 0 <= left < left + width <= IMAGE.width
        assert 0 <= top < top + height <= IMAGE.height


async def test_all_kinds_of_body_give_the_same(client: httpx.AsyncClient) -> None:
    plain = await ask(client)
    text = base64.b64encode(SENT).decode()
    as_json = await client.post("/read", json={"images": [text, "bm9uc2Vuc2U="]})
    as_form = await client.post("/read", files=[("images", ("a.png", SENT)), ("images", ("b.pdf", b"%PDF"))])
    for response, names in ((as_json, (None, None)), (as_form, ("a.png", "b.pdf"))):
        first, second = response.json()["images"]
        assert first == plain | {"name": names[0]}
        assert (second["index"], second["name"], second["error"]["code"]) == (1, names[1], "not_an_image")


async def test_images_do_not_touch_each_other(client: httpx.AsyncClient) -> None:
    alone = [await ask(client, content=encoded(drawn(FOUR[k], SEVEN[k], seed=k))) for k in range(4)]
    files = [("images", (None, encoded(drawn(FOUR[k], SEVEN[k], seed=k)))) for k in range(4)]
    together = (await client.post("/read", files=[("images", ("x", file[1][1])) for file in files])).json()["images"]
    for one, other in zip(alone, together, strict=True):
        assert one["text"] == other["text"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


async def test_what_is_expected_is_read_where_it_can_be(client: httpx.AsyncClient) -> None:
    (line,) = (await ask(client, "?expect=3"))["lines"]
    assert (line["text"], line["fits"]) == ("471", True)
    (line,) = (await ask(client, "?pattern=[14]{2,3}"))["lines"]
    assert line["fits"]
    assert set(line["text"]) <= set("14")
    (line,) = (await ask(client, "?expect=60"))["lines"]
    assert (line["text"], line["fits"]) == ("471", False)


async def test_a_doubtful_digit_stays_in_place(client: httpx.AsyncClient) -> None:
    image = await ask(client, "?threshold=1")
    assert image["text"] == "???"
    assert [digit["digit"] for digit in image["lines"][0]["digits"]] == [None] * 3
    assert image["lines"][0]["digits"][0]["confidence"] > 0


async def test_what_a_doubtful_digit_may_be_is_among_its_alternatives(client: httpx.AsyncClient) -> None:
    for digit, sure in zip(
        (await ask(client, "?threshold=1"))["lines"][0]["digits"],
        (await ask(client, "?threshold=0"))["lines"][0]["digits"],
        strict=True,
    ):
        assert digit["alternatives"][0] == [sure["digit"], pytest.approx(sure["confidence"])]


async def test_numbers_have_a_threshold_of_their_own(serve: Serve, tmp_path: Path) -> None:
    publish(tmp_path, features(), thresholds={"presence": 0.0, "confidence": 1.0})
    async with serve(Settings(models=tmp_path)) as strict:
        assert (await ask(strict))["text"] == "???"
        response = await strict.post("/predict", content=encoded(drawn(FOUR[0])), headers={"content-type": "image/png"})
    assert response.json()["predictions"][0]["digit"] is not None


async def test_a_request_with_more_writing_than_can_be_read_loses_the_rest() -> None:
    survey, broken = reading.survey(Image.open(io.BytesIO(SENT))), BadImage("broken", "")
    budget = Budget((), 2 * survey.count)
    charged = [budget.charge(one) for one in (survey, broken, survey, survey, broken)]
    assert charged[:3] == [survey, broken, survey]
    assert [one.code for one in charged[3:] if isinstance(one, BadImage)] == ["too_large", "too_large"]


def test_pages_without_writing_cost_what_was_looked_at() -> None:
    blank = reading.survey(Image.new("L", (600, 400), 255))
    budget = Budget((), pixels=2 * 600 * 400)
    charged = [budget.charge(blank) for _ in range(3)]
    assert charged[:2] == [blank, blank]
    assert "send fewer images" in str(charged[2])


def test_nothing_is_looked_for_once_there_was_too_much() -> None:
    survey = reading.survey(Image.open(io.BytesIO(SENT)))
    budget = Budget((), survey.count - 1)
    budget.charge(survey)
    with pytest.raises(BadImage, match="send fewer images"):
        budget.survey(Image.open(io.BytesIO(SENT)))


def test_a_page_that_is_too_much_by_itself_costs_what_was_looked_at() -> None:
    crowded, survey = TooMuchWriting(0), reading.survey(Image.open(io.BytesIO(SENT)))
    budget = Budget((), 2 * reading.MOST_CANDIDATES + survey.count)
    charged = [budget.charge(one) for one in (crowded, crowded, survey, crowded)]
    assert charged[:3] == [crowded, crowded, survey]
    assert "send fewer images" in str(charged[3])


def test_a_page_of_too_many_pixels_ends_a_request_in_so_many_words() -> None:
    """Also through `see_at_last`, which keeps nothing of how an image was refused."""
    budget, page = Budget((), pixels=600 * 400 - 1), Item(encoded(Image.new("L", (600, 400), 255)))
    seen = see_at_last(page, Look(budget.survey))
    assert isinstance(seen, TooMuchWriting)
    assert seen.seen == 600 * 400
    assert "send fewer images" in str(budget.charge(seen))


async def test_which_images_are_too_many_depends_on_their_order_alone(published: Path, serve: Serve) -> None:
    """Two hundred boxes on an image are the tenth part of what a request may hold."""
    blank = encoded(Image.new("L", (40, 40), 255))
    files = [("images", b"%PDF" if index == 3 else blank) for index in range(16)]
    async with serve(Settings(models=published, threads=4)) as client:
        images = (await client.post(f"/read?{'&'.join(['boxes=0,0,1,1'] * 200)}", files=files)).json()["images"]
    codes = [image["error"]["code"] if "error" in image else None for image in images]
    assert codes == [None] * 3 + ["not_an_image"] + [None] * 7 + ["too_large"] * 5


async def test_a_box_holds_one_number_and_boxes_keep_their_order(client: httpx.AsyncClient) -> None:
    w, h = IMAGE.size
    image = await ask(client, f"?boxes={w // 3},0,{w},{h}&boxes=0,0,5,5&boxes=0,0,{w},{h}")
    first, blank, whole = image["lines"]
    assert whole["text"] == "471"
    assert 1 <= len(first["text"]) <= 2
    assert first["box"][0] >= w // 3
    assert (blank["text"], blank["box"], blank["confidence"]) == ("", [0, 0, 5, 5], 0)
    assert image["confidence"] == pytest.approx(first["confidence"] * whole["confidence"])


async def test_a_blank_image_has_no_lines(client: httpx.AsyncClient) -> None:
    image = await ask(client, content=encoded(Image.new("L", (200, 100), 240)))
    assert (image["text"], image["confidence"], image["lines"]) == ("", 0, [])


@pytest.mark.parametrize(
    "query",
    [
        "expect=0", "expect=65", "expect=x", "expect=-1", "pattern=", "pattern=a", "expect=3&pattern=[0-9]",
        "boxes=1,2,3", "boxes=1,2,0,4", "boxes=a,b,c,d", "boxes=-1,0,5,5", "threshold=2", "threshold=x",
        "explain=true", "expect=3&expect=4",
        "&".join(["boxes=0,0,1,1"] * 201), "&".join(["x=1"] * 500),
    ],
)  # fmt: skip
async def test_wishes_that_make_no_sense_are_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post(f"/read?{query}", content=SENT, headers={"content-type": "image/png"})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid"


async def test_pixels_are_no_picture(client: httpx.AsyncClient) -> None:
    file = io.BytesIO()
    np.save(file, PIXELS[:1])
    npy = await client.post("/read", content=file.getvalue(), headers={"content-type": "application/x-npy"})
    rows = await client.post("/read", json={"pixels": PIXELS[:1].tolist()})
    assert [(r.status_code, r.json()["error"]["code"]) for r in (npy, rows)] == [(422, "invalid")] * 2


async def test_a_request_without_a_readable_image_is_422_and_too_many_are_413(client: httpx.AsyncClient) -> None:
    none = await client.post("/read", content=b"%PDF", headers={"content-type": "image/png"})
    assert (none.status_code, none.json()["images"][0]["error"]["code"]) == (422, "not_an_image")
    many = await client.post("/read", json={"images": [""] * 11})
    assert many.status_code == 413


async def test_without_a_model_nothing_is_read(tmp_path: Path, serve: Serve) -> None:
    async with serve(Settings(models=tmp_path)) as empty:
        response = await empty.post("/read", content=SENT, headers={"content-type": "image/png"})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_model")


async def test_the_document_shows_what_is_taken(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/read"]["post"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {"expect", "pattern", "boxes", "threshold"}
    assert set(operation["requestBody"]["content"]) == {
        "multipart/form-data", "application/json", "application/octet-stream", "image/*",
    }  # fmt: skip
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        assert (await client.post("/read", json=example["value"])).status_code == 200
