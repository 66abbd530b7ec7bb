"""README says nothing that the code doesn't, and CONTRIBUTING names every module."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from service.settings import Settings
from tests.server import ROOT, Server

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(DIGITS_\w+)` \| (?:`(.*?)`)? ?\| (.*) \|$", README, re.MULTILINE)
    declared = [(f"DIGITS_{item.name.upper()}", str(item.default), item.metadata["help"]) for item in fields(Settings)]
    assert rows == declared


def test_the_file_map_is_complete() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text().partition("## How it is built")[2].split("```")[1]
    for part in ("digits", "service", "trainer"):
        section = tree[tree.index(f"{part}/  ") :].partition("\n\n")[0]
        for path in (ROOT / part).glob("*.py"):
            assert path.name == "__init__.py" or path.name in section, path


def test_every_target_that_is_named_exists() -> None:
    named = set(re.findall(r"`make (\w+)", README)) | set(re.findall(r"^\$ make (\w+)", README, re.MULTILINE))
    assert {"up", "test", "train"} <= named
    for target in named | {"install", "check", "fix", "bench", "lock"}:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_curl_command_answers_as_shown(server: Server, folder: Path) -> None:
    command, reading, _ = re.findall(r"^\$ (curl .*)$", README, re.MULTILINE)
    arguments = shlex.split(command.replace("http://localhost:8000", server.url))
    done = subprocess.run([*arguments, "--silent"], cwd=folder, capture_output=True, check=True)
    answer, shown = json.loads(done.stdout), json.loads(blocks("json")[0])
    assert [item.keys() for item in answer["predictions"]] == [item.keys() for item in shown["predictions"]]
    assert answer["predictions"][0]["digit"] == shown["predictions"][0]["digit"]
    assert answer["predictions"][1] == shown["predictions"][1]
    arguments = shlex.split(reading.replace("http://localhost:8000", server.url).replace("form.jpg", "seven.png"))
    done = subprocess.run([*arguments, "--silent"], cwd=folder, capture_output=True, check=True)
    (image,) = json.loads(done.stdout)["images"]
    for name in ("index", "name", "text", "confidence", "lines", "fits", "box", "digits", "marks", "alternatives"):
        assert f'"{name}"' in blocks("json")[1]
    assert image.keys() == {"index", "name", "text", "confidence", "lines"}
    assert image["lines"][0].keys() == {"text", "confidence", "fits", "box", "digits", "marks"}


@pytest.mark.parametrize(("index", "printed"), [(0, "7\nseven.png 7\nnotes.pdf this is not"), (1, "1\n"), (2, "[1]\n")])
def test_the_python_examples_run(server: Server, folder: Path, index: int, printed: str) -> None:
    address = server.url.removeprefix("http://")
    code = blocks("python")[index].replace("localhost:8000", address)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(printed)


def test_the_curl_command_for_tensorflow_serving_answers(server: Server, folder: Path) -> None:
    (command,) = re.findall(r"^\$ (curl .*instances.*)$", README, re.MULTILINE)
    command = command.replace("http://localhost:8000", server.url) + " --silent"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=True)
    (row,) = json.loads(done.stdout)["predictions"]
    assert row.index(max(row)) == 7


def test_every_code_of_an_error_is_listed() -> None:
    source = "".join(path.read_text() for part in ("service", "digits") for path in (ROOT / part).glob("*.py"))
    raised = set(re.findall(r'(?:BadImage\(|Problem\(\d+, |\(\d{3}, )"(\w+)"', source)) - {"disconnected"}
    assert len(raised) >= 15
    for code in raised:
        assert f"`{code}`" in README, code
