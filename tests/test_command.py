"""The command `digits`, as scripts and people use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawing import number, picture
from digits_client.__main__ import main
from tests.models import mnist, png
from tests.server import Server, serve

IMAGES, LABELS = mnist(30)


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Server]:
    with serve(published) as running:
        yield running


def test_the_command_prints_a_table(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(png(IMAGES[0]))
    assert main(["predict", str(path), "--url", server.url]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "digit", "confidence"]
    assert line.split()[:2] == [str(path), "7"]


def test_the_command_prints_json(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "seven.png", tmp_path / "notes.pdf"
    good.write_bytes(png(IMAGES[0]))
    bad.write_bytes(b"%PDF")
    assert main(["predict", str(good), str(bad), "--json", "--url", server.url]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["digit"], first["name"], first["error"]) == (7, str(good), None)
    assert (second["digit"], second["error"]["code"]) == (None, "not_an_image")


@pytest.mark.parametrize("arguments", [["no/such/file.png"], ["--url", "http://127.0.0.1:9", __file__]])
def test_the_command_says_when_there_is_no_answer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *arguments]) == 2
    assert capsys.readouterr().err.startswith("digits: ")


@pytest.fixture
def form(tmp_path: Path) -> Path:
    path = tmp_path / "form.png"
    picture(number(list(IMAGES[:3]), np.random.default_rng(0), gap=(0.2, 0.3))).save(path)
    return path


def test_the_command_reads_numbers_and_draws_them(
    server: Server, form: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert main(["read", str(form), "--expect", "3", "--annotate", str(out), "--url", server.url]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "confidence", "text"]
    assert len(line.split()[-1].replace("?", "0")) == 3
    with Image.open(form) as before, Image.open(out) as after:
        assert after.size == before.size
        changed = np.asarray(before.convert("RGB")) != np.asarray(after.convert("RGB"))
    assert 0 < changed.any(2).mean() < 0.5


def test_the_command_prints_what_it_read_as_json(
    server: Server, form: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = form.with_name("notes.pdf")
    notes.write_bytes(b"%PDF")
    assert main(["read", str(form), str(notes), "--json", "--pattern", r"\d+", "--url", server.url]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["lines"][0]["fits"]) == (str(form), True)
    assert second["error"]["code"] == "not_an_image"


@pytest.mark.parametrize("flags", [["--annotate", "out.nonsense"], ["--pattern", "x"]])
def test_the_command_says_what_cannot_be(
    server: Server, form: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", str(form), *flags, "--url", server.url]) == 2
    assert capsys.readouterr().err.startswith("digits: ")
