"""Images are judged once, and those of which the network is unsure once more, whichever way they came in."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from digits import bundle
from digits.image import Pixels, Sight
from digits.judgements import COLUMNS, Judgements
from service.engine import Engine
from service.intake import Intake
from service.items import Images
from service.judging import judge
from service.settings import Settings
from tests.conftest import Serve
from tests.images import npy
from tests.models import mnist, png
from tests.test_whole import in_haze

pytestmark = pytest.mark.anyio

PIXELS, LABELS = mnist(40)
HAZY = [png(pixels) for pixels in in_haze(PIXELS)]


@pytest.fixture(scope="module")
async def default(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A service with the model that comes with the project."""
    async with serve(Settings(models=bundle.DEFAULT_MODEL)) as lent:
        yield lent


async def predictions(client: httpx.AsyncClient, files: Sequence[bytes], query: str = "") -> list[dict[str, Any]]:
    response = await client.post(f"/predict{query}", files=[("images", file) for file in files])
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


async def test_all_protocols_answer_alike_and_mostly_right(default: httpx.AsyncClient) -> None:
    found = await predictions(default, HAZY)
    probabilities = np.array([item["probabilities"] for item in found])
    assert (probabilities.argmax(1) == LABELS).mean() >= 0.9
    encoded = [base64.b64encode(file).decode() for file in HAZY]
    tensor = {"name": "image", "shape": [len(HAZY)], "datatype": "BYTES", "data": encoded}
    v2 = await default.post("/v2/models/digits/infer", json={"inputs": [tensor]})
    (output,) = (one for one in v2.json()["outputs"] if one["name"] == "probabilities")
    assert np.reshape(output["data"], (-1, 10)) == pytest.approx(probabilities, abs=1e-6)
    tfserving = await default.post("/v1/models/digits:predict", json={"instances": [{"b64": one} for one in encoded]})
    assert np.array(tfserving.json()["predictions"]) == pytest.approx(probabilities, abs=1e-6)


async def test_each_gets_the_answer_that_it_would_get_alone(default: httpx.AsyncClient) -> None:
    files = [*HAZY[:10], png(PIXELS[0]), b"no picture", *HAZY[10:20]]
    together = await predictions(default, files)
    assert together[11]["error"]["code"] == "not_an_image"
    for file, given in zip(files, together, strict=True):
        (alone,) = await predictions(default, [file])
        assert alone.get("error") == given.get("error")
        assert alone.get("probabilities", []) == pytest.approx(given.get("probabilities", []), abs=1e-6)


async def test_an_explanation_shows_the_look_that_counts(default: httpx.AsyncClient) -> None:
    found = await predictions(default, HAZY, "?explain=true")
    again = [item for item in found if item["explanation"]["box"] == [0, 0, 28, 28]]
    assert 5 <= len(again) < len(found)
    for item in again:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["explanation"]["image"]))))
        response = await default.post("/predict", content=npy(shown), headers={"content-type": "application/x-npy"})
        (same,) = response.json()["predictions"]
        assert same["probabilities"] == pytest.approx(item["probabilities"], abs=1e-6)


async def test_a_request_that_is_asked_about_twice_is_counted_once(default: httpx.AsyncClient) -> None:
    async def answered() -> int:
        (stats,) = (await default.get("/v2/models/digits/stats")).json()["model_stats"]
        return int(stats["inference_stats"]["success"]["count"])

    before = await answered()
    await predictions(default, HAZY)
    assert await answered() == before + 1


async def test_whose_turn_has_come_is_not_late_for_a_second_look() -> None:
    asked: list[Pixels] = []

    def run(pixels: Pixels) -> Judgements:
        asked.append(pixels)
        while time.monotonic() <= deadline:  # until it is past
            pass
        return np.full((len(pixels), COLUMNS), 0.9 if pixels.any() else 0.1, np.float32)

    nothing, ink = np.zeros((28, 28), np.uint8), np.full((28, 28), 9, np.uint8)
    images = Images(nothing[np.newaxis].copy(), sights=[Sight(nothing, whole=Sight(ink))])
    intake = Intake(Settings())
    deadline = time.monotonic() + 0.3
    try:
        rows = await judge(intake, Engine(run, {}, Path()), images, deadline)
    finally:
        intake.close()
    assert len(asked) == 2
    assert rows == pytest.approx(0.9)
    assert (images.pixels[0] == ink).all()
