"""clients/README.md: its programs run, in every language whose tools are on the machine, and answer alike."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digits_client import Client
from digits_client.__main__ import parser
from tests.server import ROOT, Server

README = (ROOT / "clients" / "README.md").read_text()
LOCAL = "http://localhost:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_python_programs_run(server: Server, folder: Path) -> None:
    code = "\n".join(blocks("python")).replace(LOCAL, server.url)
    said = output([sys.executable, "-W", "error", "-c", code], folder).splitlines()
    assert said[0] == "7"
    assert said[1] == "seven.png 7"
    assert said[2].startswith("notes.pdf this is not")
    assert said[3] == "['7', '']"
    assert said[4] in {"[7]", "[None]"}  # as sure as the model is
    assert said[5:] == ["seven.png 7"]


def test_the_curl_commands_run(server: Server, folder: Path) -> None:
    (script,) = blocks("sh")
    several, one, encoded, read, health = script.strip().splitlines()

    def answer(command: str) -> dict[str, list[dict[str, object]]]:
        quiet = command.replace(LOCAL, server.url).replace("curl ", "curl --silent --show-error ")
        found: dict[str, list[dict[str, object]]] = json.loads(output(["bash", "-c", quiet], folder))
        return found

    assert [item["name"] for item in answer(several)["predictions"]] == ["seven.png", "notes.pdf"]
    assert answer(one)["predictions"][0]["digit"] in {7, None}
    assert answer(encoded)["predictions"][0]["digit"] == 7
    assert answer(read)["images"][0]["name"] == "seven.png"
    assert str(answer(health)["status"]) == "ok"


PROGRAMS = {
    "js": ("node", ["program.mjs"]),
    "go": ("go", ["run", "program.go"]),
    "java": ("java", ["program.java"]),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_programs_answer_alike(language: str, server: Server, folder: Path) -> None:
    tool, arguments = PROGRAMS[language]
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not on this machine")
    (code,) = blocks(language)
    (folder / arguments[-1]).write_text(code.replace(LOCAL, server.url))
    said = output([tool, *arguments, "seven.png", "notes.pdf"], folder)
    assert said.splitlines() == ["seven.png 7", "notes.pdf not_an_image"]


def test_every_method_and_command_is_named() -> None:
    methods = [name for name in vars(Client) if not name.startswith("_") and name != "close"]
    commands = re.findall(r"^    ([a-z]+)\b", parser().format_help(), re.MULTILINE)
    assert len(methods) >= 8
    assert len(commands) >= 6
    assert not [name for name in methods if f"`{name}(" not in README]
    assert not [name for name in commands if f"digits {name}" not in README]
