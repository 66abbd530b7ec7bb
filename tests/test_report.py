"""The report of a model shows its facts, says which are lacking, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from digits import bundle
from digits.bundle import Manifest
from service.settings import Settings
from tests import models
from tests.conftest import Serve
from trainer import plots, report
from trainer.__main__ import main
from trainer.calibrate import tempered
from trainer.dataset import Part
from trainer.evaluate import evaluate, worst
from trainer.markup import duration
from trainer.reliability import before_and_after, bins, calibration_error

HISTORY = {
    "accuracy": [0.8, 0.9, 0.95], "loss": [0.9, 0.4, 0.2], "val_accuracy": [0.9, 0.95, 1.0],
    "val_loss": [0.4, 0.2, 0.1], "seconds": [3.0, 2.0, 2.5],
}  # fmt: skip
VOID = {"meta", "link", "img", "br", "hr", "input"}


def answers(n: int = 200) -> tuple[Part, Any]:
    """Return test images, and probabilities that are right about most of them."""
    pixels, labels = models.mnist(n)
    random = np.random.default_rng(0)
    read = np.where(random.random(n) < 0.85, labels, random.integers(10, size=n))
    logits = random.normal(0, 1, (n, 10)) + 4 * np.eye(10)[read]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Part(pixels, labels), probabilities.astype(np.float32)


def facts(test: Part, probabilities: Any) -> Manifest:
    found = evaluate(probabilities, test.labels)
    return {
        "version": "20261122T213807Z-8a530e", "created": "2026-11-22T21:38:07Z",
        "model": {"architecture": "cnn", "parameters": 225_034, "sha256": "8a53"},
        "training": {"epochs": 3, "learning_rate": 0.002, "quick": False, "recipe": {"name": "full"}},
        "seconds": {"import": 4.0, "train": 700.4, "evaluate": 54.0},
        "data": {"source": "mnist.npz", "train": 54_999}, "thresholds": {"presence": 0.276},
        "calibration": before_and_after([probabilities], test.labels, 0.8),
        "test": found.summary() | {"worst": worst(found, test.labels, probabilities, plots.WORST)},
        "checks": {
            "parity": {"max_difference": 1e-6, "images": 1000}, "front_door": {"accuracy": 0.99, "images": 200},
        },
        "made_with": {"python": "3.11.7", "keras": "3.15.1"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    test, probabilities = answers()
    manifest = facts(test, probabilities)
    before, after = (manifest["calibration"][key] for key in ("before", "after"))
    pictures = plots.learning(HISTORY) | plots.draw(
        evaluate(probabilities, test.labels), test, probabilities, before, after
    )
    return report.render(manifest, HISTORY, pictures | {report.AUGMENTATION: pictures["tiles.png"]}).decode()


class Page(HTMLParser):
    """What a page consists of: its text, and the values of attributes that load something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.loaded += [url for _, value in attrs for url in re.findall(r"url\(['\"]?(.*?)['\"]?\)", value or "")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    found = Page(page)
    assert found.open == []
    assert len(found.loaded) >= 4
    for address in found.loaded:
        assert address.startswith(("data:", "#")), address
    assert "script" not in found.tags
    assert "@import" not in page


def test_the_page_shows_what_the_manifest_says(page: str) -> None:
    text = " ".join(Page(page).text)
    for shown in (
        "20261122T213807Z-8a530e", "22 November 2026, 21:38 UTC", "225,034 parameters", "12 min 38 s",
        "3 epochs in 7.5 s",
        "0.276", "learning rate", "recipe, name", "full", "mnist.npz", "54,999", "3.15.1", "1.0e-06",
    ):  # fmt: skip
        assert shown in text, shown
    assert "doesn't have" not in text


def test_every_mistake_has_a_picture_and_a_caption(page: str) -> None:
    test, probabilities = answers()
    wrong = np.flatnonzero(probabilities.argmax(1) != test.labels)
    assert 20 < len(wrong) <= plots.WORST
    assert set(map(int, re.findall(r"· #(\d+)</small>", page))) == set(wrong.tolist())


def test_a_tile_is_the_image_that_was_read_wrongly() -> None:
    test, probabilities = answers()
    found = evaluate(probabilities, test.labels)
    sheet = np.asarray(Image.open(io.BytesIO(plots.tiles(found, test))))
    for place, mistake in enumerate(worst(found, test.labels, probabilities, plots.WORST)):
        row, column = (28 * part for part in divmod(place, plots.COLUMNS))
        assert (255 - sheet[row : row + 28, column : column + 28] == test.pixels[mistake["index"]]).all()


def test_charts_take_the_colours_of_the_page(page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 3
    for chart in charts:
        assert {"var(--ink)", "var(--first)", "var(--second)"} <= set(re.findall(r"var\(--\w+\)", chart))
        assert "#000000" not in chart
    style = (Path(report.__file__).with_name("report.css")).read_text()
    assert set(re.findall(r"var\((--\w+)", page)) <= set(re.findall(r"(--[\w-]+):", style + page))
    assert "prefers-color-scheme: dark" in page


def test_what_a_manifest_says_is_text_and_never_html() -> None:
    hostile = "<script>alert(1)</script>'\"&"
    said = {hostile: hostile}
    manifest = {"version": hostile, "model": {"architecture": hostile}, "data": said, "training": said}
    manifest["seconds"] = {hostile: 1.0}
    practice = {"sets": [{"name": hostile, "images": 2, "right": 1, "none": {hostile: 1}}]}
    page = report.render(manifest, {}, {}, practice).decode()
    assert "script" not in Page(page).tags
    assert "alert(1)" in " ".join(Page(page).text)


def test_what_is_lacking_is_said() -> None:
    text = " ".join(Page(report.render({"version": "v1"}, {}, {}).decode()).text)
    assert text.count("The bundle doesn't have") == 6
    assert "Not measured yet" in text


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.25, "7.2 s"), (99.9, "99.9 s"), (100, "1 min 40 s"), (119.7, "2 min 0 s")]
)
def test_durations_are_told_in_minutes_and_seconds(seconds: float, said: str) -> None:
    assert duration(seconds) == said


# --- confidence ---------------------------------------------------------------------------------


def test_bins_hold_every_image_once_and_give_the_calibration_error() -> None:
    test, probabilities = answers()
    found = bins(probabilities, test.labels)
    assert sum(one["images"] for one in found) == len(test)
    error = sum(one["images"] * abs(one["confidence"] - one["accuracy"]) for one in found) / len(test)
    assert error == pytest.approx(calibration_error(probabilities, test.labels), abs=1e-5)


def test_a_temperature_is_undone_by_its_inverse() -> None:
    _, probabilities = answers()
    assert np.abs(tempered(tempered(probabilities, 2.0), 0.5) - probabilities).max() < 1e-6
    certain = np.eye(10, dtype=np.float32)
    assert (tempered(certain, 0.5) == certain).all()


# --- making it anew -----------------------------------------------------------------------------


def practice(version: str) -> dict[str, Any]:
    sets = [
        {"name": "optdigits", "images": 2880, "right": 2834, "none": {"not_a_digit": 13}},
        {"name": "strings", "images": 520, "right": 444, "character_error_rate": 0.0245},
    ]
    return {"model": {"version": version}, "sets": sets}


def published(folder: Path, h5: bytes) -> bundle.Bundle:
    """Publish a bundle with all that a trainer puts into it."""
    test, probabilities = answers()
    manifest = facts(test, probabilities)
    given = {key: value for key, value in manifest.items() if key not in ("version", "created", "model")}
    before, after = (manifest["calibration"][key] for key in ("before", "after"))
    drawn = plots.learning(HISTORY) | plots.draw(
        evaluate(probabilities, test.labels), test, probabilities, before, after
    )
    with bundle.draft(folder) as path:
        (path / bundle.H5_NAME).write_bytes(h5)
        (path / bundle.PLOTS).mkdir()
        for name, png in drawn.items():
            (path / bundle.PLOTS / name).write_bytes(png)
        (path / "history.csv").write_text("epoch,accuracy,loss,val_accuracy,val_loss,seconds\n1,0.8,0.9,0.9,0.4,3.0\n")
        made = bundle.commit(path, given, lambda whole: report.render(whole, HISTORY, drawn))
        bundle.make_current(made)
    return made


def test_the_page_of_a_bundle_is_made_anew_with_practice(
    tmp_path: Path, h5: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = published(tmp_path, h5)
    (tmp_path / "practice.json").write_text(json.dumps(practice(made.version)))
    where = ["--models", tmp_path, "--practice", tmp_path / "practice.json", "--output", tmp_path / "new.html"]
    assert main(["report", made.version, *map(str, where)]) == 0
    assert capsys.readouterr().err == f"wrote {tmp_path / 'new.html'}\n"
    text = " ".join(Page((tmp_path / "new.html").read_text()).text)
    assert "98.40%" in text
    assert "2.45%" in text
    assert "13 not_a_digit" in text
    assert "Not measured yet" in " ".join(Page((made.path / bundle.REPORT_NAME).read_text()).text)  # as it was


def test_practice_of_another_model_is_refused(tmp_path: Path, h5: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    made = published(tmp_path, h5)
    partial = {"model": {"version": made.version}, "sets": [{"name": "some"}]}
    for content, said in (
        (json.dumps(practice("v0")), "is about v0"), ("[]", "is not what"), ("{", "is not what"),
        (json.dumps(partial), "is not what"),
    ):  # fmt: skip
        (tmp_path / "practice.json").write_text(content)
        files = ["--practice", str(tmp_path / "practice.json"), "--output", str(tmp_path / "new.html")]
        assert main(["report", str(made.path), *files]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new.html").exists()


# --- the service --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"test": {"accuracy": 0.99}}, ", for its manifest or its history.csv lacks 'images'"),
        ({"test": {"accuracy": 10**400, "images": 3}}, ": "),
        ({"seconds": {"train": "long"}}, ": "),
        ({"test": {"confusion": [["<b>", 0], [0, 1]], "per_class": []}}, ": "),
    ],
)
def test_a_manifest_that_cannot_be_shown_is_an_error(
    facts: dict[str, Any], says: str, tmp_path: Path, h5: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = models.publish(tmp_path, h5, golden=False, **facts)
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {made.path}: no page can be made of it{says}")


@pytest.mark.anyio
async def test_the_service_shows_it_and_lets_it_do_nothing(tmp_path: Path, h5: bytes, serve: Serve) -> None:
    made = published(tmp_path, h5)
    async with serve(Settings(models=tmp_path)) as client:
        answer = await client.get("/model/report")
        assert answer.content == (made.path / bundle.REPORT_NAME).read_bytes()
        assert answer.headers["content-type"].startswith("text/html")
        (policy,) = answer.headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        assert "sandbox" in policy


@pytest.mark.anyio
async def test_a_model_without_a_report_has_none(tmp_path: Path, h5: bytes, serve: Serve) -> None:
    (tmp_path / bundle.REPORT_NAME).write_text("of something else")
    (tmp_path / bundle.H5_NAME).write_bytes(h5)
    async with serve(Settings(models=tmp_path)) as client:
        await none(client)
    models.publish(tmp_path, h5)
    async with serve(Settings(models=tmp_path)) as client:
        await none(client)


async def none(client: httpx.AsyncClient) -> None:
    answer = await client.get("/model/report")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_pictures_are_in_the_page_as_they_are(page: str) -> None:
    test, probabilities = answers()
    tiles = plots.tiles(evaluate(probabilities, test.labels), test)
    assert base64.b64encode(tiles).decode() in page
