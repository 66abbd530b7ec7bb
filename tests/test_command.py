"""The command `digits`, as scripts and people use it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits_client.__main__ import main
from digits_client._output import followed
from evaluation.drawing import number, picture
from tests.images import mnist, png
from tests.server import Server, serve

IMAGES, _ = mnist(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a person might be: with pictures of a 7 and a 2, and something else."""
    for name, image in zip(("seven.png", "two.png"), IMAGES, strict=False):
        (tmp_path / name).write_bytes(png(image))
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    return tmp_path


def test_the_command_prints_a_table(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(folder / "seven.png"), str(folder / "notes.pdf"), "--url", server.url]) == 1
    head, seven, notes = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "digit", "confidence", "note"]
    assert seven.split()[:2] == [str(folder / "seven.png"), "7"]
    assert notes.split()[:6] == [str(folder / "notes.pdf"), "-", "-", "this", "is", "not"]


def test_the_command_prints_json(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = folder / "seven.png", folder / "notes.pdf"
    assert main(["predict", str(good), str(bad), "--json", "--url", server.url]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["digit"], first["name"], first["error"]) == (7, str(good), None)
    assert (second["digit"], second["error"]["code"]) == (None, "not_an_image")


def test_the_command_prints_csv(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in (str(folder), str(folder / "*.png")):  # the PDF is in the folder, but no image
        assert main(["predict", given, "--csv", "--url", server.url]) == 0
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [(row["image"], row["digit"]) for row in rows] == [
            (str(folder / "seven.png"), "7"), (str(folder / "two.png"), "2")
        ]  # fmt: skip


def run(*arguments: str, content: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process."""
    command = [sys.executable, "-m", "digits_client", *arguments]
    return subprocess.run(command, input=content, capture_output=True, env=os.environ | environment, check=False)


def test_the_command_takes_an_image_from_standard_input(server: Server, folder: Path) -> None:
    done = run("predict", "-", "--csv", content=(folder / "two.png").read_bytes(), DIGITS_URL=server.url)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith(b"-,2,")
    assert done.stderr == b""  # no bar, for nobody looks on


def test_a_threshold_moves_the_limit(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["predict", str(folder / "seven.png"), "--csv", "--url", server.url, "--threshold", "1"]
    assert main(given) == 0
    assert capsys.readouterr().out.splitlines()[1].split(",")[1] == ""


def test_health_tells_a_script(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--wait", "10", "--url", server.url]) == 0
    assert ["status", "ok"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main(["health", "--json", "--url", server.url]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    with serve(tmp_path) as empty:
        assert main(["health", "--url", empty.url]) == 1
        assert "unavailable" in capsys.readouterr().out
    assert main(["health", "--wait", "0.1", "--url", "http://127.0.0.1:9"]) == 2


def test_the_manifest_is_shown(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "--json", "--url", server.url]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert main(["model", "--url", server.url]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["version"] == manifest["version"]
    assert shown["model.sha256"] == manifest["model"]["sha256"]
    assert shown["plots"] == "1 entries"


def test_nobody_who_reads_is_no_traceback(server: Server, folder: Path) -> None:
    command = f"{sys.executable} -m digits_client model --url {server.url} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in {0, 2}  # it may have written before nobody was there


@pytest.mark.parametrize(
    "arguments", [["no/such/file.png"], ["no/such/*.png"], ["--url", "http://127.0.0.1:9", __file__]]
)
def test_the_command_says_when_there_is_no_answer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *arguments]) == 2
    assert capsys.readouterr().err.startswith("digits: ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_to_who_looks_on() -> None:
    """On a terminal, after a while, and gone in the end."""
    terminal, moments = Terminal(), iter(range(100))
    assert list(followed("abc", 3, terminal, clock=lambda: float(next(moments)))) == ["a", "b", "c"]
    said = terminal.getvalue()
    assert "1 of 3, 1 a second" in said
    assert said.endswith("\r\x1b[K")
    file = io.StringIO()
    assert list(followed("abc", 3, file)) == ["a", "b", "c"]
    assert file.getvalue() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("predict", "read", "health", "model", "evaluate", "completion", "at-least", "threshold"):
        assert word in script


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("digits e", {"evaluate"}), ("digits predict --t", {"--threshold"}), ("digits predict s", {"seven.png"})],
)
def test_bash_completes(typed: str, offered: set[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    words = typed.split()
    script = f"""{capsys.readouterr().out}
    COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE="{typed}"; COMP_POINT={len(typed)}
    _shtab_digits digits {words[-1]} {words[-2]}; printf '%s\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == offered


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
    assert head.split() == ["image", "line", "text", "fits", "confidence", "note"]
    assert line.split()[1] == "1"
    assert len(line.split()[2].replace("?", "0")) == 3
    assert line.split()[3] == "True"
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


def rows_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_the_command_says_what_is_not_as_it_should_be(
    server: Server, form: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["read", str(form), "--csv", "--url", server.url]
    assert main([*given, "--expect", "10"]) == 1
    (row,) = rows_of(capsys)
    assert (row["fits"], row["note"]) == ("False", "does not fit")
    assert main([*given, "--threshold", "1"]) == 1
    (row,) = rows_of(capsys)
    assert (row["text"], row["fits"], row["note"]) == ("???", "", "doubtful")


def test_the_command_reads_what_lies_in_boxes(server: Server, form: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(form) as image:
        width, height = image.size
    boxes = ["--boxes", f"0,0,{width},{height}", "--boxes", "0,0,4,4"]  # all of it, and a corner
    assert main(["read", str(form), *boxes, "--csv", "--url", server.url]) in {0, 1}
    first, second = rows_of(capsys)
    assert (first["line"], len(first["text"])) == ("1", 3)
    assert (second["line"], second["text"]) == ("2", "")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["predict", "x.png", "--nonsense"], "digits predict: error: unrecognized arguments: --nonsense"),
        (["predict", "x.png", "--threshold", "99"], "'99' is not a number from 0 to 1"),
        (["read", "x.png", "--boxes", "1,2,3"], "'1,2,3' is not left,top,width,height"),
        (["read", "x.png", "y.png", "--annotate", "z.png"], "digits read: error: --annotate takes one image"),
        (["evaluate", "x.zip", "--at-least", "99"], "'99' is not a number from 0 to 1"),
        (["evaluate", "x.zip", "--at-least", "nan"], "'nan' is not a number from 0 to 1"),
        (["evaluate", "x.zip", "--worst", "-1"], "'-1' is not a whole number"),
        (["health", "--wait", "nan"], "'nan' is not a number of seconds"),
        (["health", "--wait", "-1"], "'-1' is not a number of seconds"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_its_own_usage(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: digits {given[0]} ")
    assert says in said


def test_the_address_may_come_before_the_command(server: Server) -> None:
    """And the last that is given holds, also over that of the environment."""
    nowhere = "http://127.0.0.1:9"
    for given in (["--url", server.url, "health"], ["--url", nowhere, "health", "--url", server.url]):
        assert run(*given, DIGITS_URL=nowhere).returncode == 0
    assert run("health", DIGITS_URL=server.url).returncode == 0
    assert b"the address of the service is empty" in run("health", DIGITS_URL="").stderr


@pytest.mark.parametrize("flags", [["--annotate", "out.nonsense"], ["--pattern", "x"]])
def test_the_command_says_what_cannot_be(
    server: Server, form: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", str(form), *flags, "--url", server.url]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("digits: ")
    assert not said.out


def test_a_reading_is_not_drawn_over_its_image(form: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = form.read_bytes()
    assert main(["read", str(form), "--annotate", str(form), "--url", "http://127.0.0.1:9"]) == 2
    assert "is the image itself" in capsys.readouterr().err
    assert form.read_bytes() == before


def test_what_cannot_be_drawn_is_not_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(folder), "--annotate", str(folder / "out.png"), "--url", "http://127.0.0.1:9"]) == 2
    assert "this is a folder or pattern of several" in capsys.readouterr().err


EVIL = "\x1b[31m\x1b]0;title\x07\x9b2J\r\n\u2028\u202eevil"  # it colours, erases, begins a line


EVIL_MODEL, EVIL_ERROR = {"version": EVIL, "sha256": EVIL}, {"code": EVIL, "message": EVIL}
EVIL_ANSWERS = {
    "/predict": {"model": EVIL_MODEL, "predictions": [{"index": 0, "error": EVIL_ERROR}]},
    "/read": {"error": EVIL_ERROR},
    "/health": {"status": "ok", "model": EVIL_MODEL, "reason": EVIL, "uptime": 1},
    "/model": {EVIL: EVIL},
}


class Evil(BaseHTTPRequestHandler):
    """A service that has commands for terminals in all that it says."""

    def do_GET(self) -> None:
        body = json.dumps(EVIL_ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def evil() -> Iterator[str]:
    """The address of such a service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "given",
    [
        ["predict", "IMAGE"], ["predict", "IMAGE", "--csv"], ["predict", "IMAGE", "--json"], ["read", "IMAGE"],
        ["health"], ["health", "--csv"], ["model"], ["evaluate", "SET"], ["evaluate", "SET", "--csv"],
        ["evaluate", "NOTHING"],
    ],
)  # fmt: skip
def test_no_terminal_obeys_a_service_or_the_name_of_a_file(
    given: list[str], evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / f"{EVIL}.png"
    image.write_bytes(png(IMAGES[0]))
    (tmp_path / "labels.csv").write_text(f'file,label\n"{image.name}","{EVIL}"\n', newline="")
    places = {"IMAGE": image, "SET": tmp_path, "NOTHING": tmp_path / EVIL}
    assert main([*(str(places.get(word, word)) for word in given), "--url", evil]) in {0, 1, 2}
    said = capsys.readouterr()
    assert "evil" in said.out + said.err
    assert [char for char in said.out + said.err if not char.isprintable() and char != "\n"] == []
