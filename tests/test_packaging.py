"""What is shipped, and what each part does without."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import digits
import digits_client
from tests.images import mnist, png
from tests.pythons import build
from tests.server import serve

ROOT = Path(__file__).parent.parent
CLEAN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT / "clients", tmp_path_factory.mktemp("client"))


def test_the_wheel_holds_the_kernel_its_model_and_nothing_else(tmp_path: Path) -> None:
    names = {name for name in names_in(build(ROOT, tmp_path)) if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"digits"}
    others = {name for name in names if not name.endswith(".py")}
    assert all(name.startswith("digits/pretrained/") for name in others)
    assert "mnist_cnn_model.h5" in {Path(name).name for name in others}


def test_the_wheel_of_the_client_holds_the_client_and_nothing_else(client_wheel: Path) -> None:
    names = {name for name in names_in(client_wheel) if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"digits_client"}
    assert "digits_client/py.typed" in names
    assert all(name.endswith((".py", "py.typed")) for name in names)


def test_the_client_goes_under_the_same_version_and_licence() -> None:
    assert digits_client.__version__ == digits.__version__
    assert (ROOT / "clients" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_wheel_of_the_client_runs_in_an_environment_of_its_own(
    client_wheel: Path, published: Path, tmp_path: Path
) -> None:
    """It brings two libraries, and theirs, and then predicts."""
    home, python = tmp_path / "venv", tmp_path / "venv" / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(home)], check=True)
    pins = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*uv, "pip", "install", "--python", str(python), *pins, str(client_wheel)], check=True)
    code = "from importlib.metadata import requires; print(*requires('digits-client'))"
    needs = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert needs[:2] == ["httpx>=0.28", "numpy>=2.0"]
    assert "extra" in " ".join(needs[2:])
    (tmp_path / "seven.png").write_bytes(png(mnist(1)[0][0]))
    with serve(published) as server:
        command = [str(home / "bin" / "digits"), "predict", "seven.png", "--url", server.url, "--json"]
        told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=CLEAN)
    assert json.loads(told.stdout)[0]["digit"] == 7


@pytest.mark.parametrize(
    ("module", "blocked"),
    [
        ("service.__main__", ["tensorflow", "keras", "jax", "h5py", "onnx", "trainer"]),
        ("digits.convert", ["tensorflow", "keras", "jax", "fastapi"]),
        ("digits_client.__main__", ["tensorflow", "keras", "fastapi", "PIL", "onnxruntime", "digits"]),
    ],
)
def test_a_part_imports_without(module: str, blocked: list[str]) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_constraints_pin_everything_with_hashes_and_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pins = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    assert "://" not in text
    for block in re.split(r"\n(?=\w)", text.strip()):
        assert "--hash=sha256:" in block, block[:80]
    wanted = {re.split(r"[\[<>=]", line)[0] for line in requirements()}
    assert wanted - {"digits"} <= set(pins)


def requirements() -> list[str]:
    """Return what this project and its client require, with all their extras."""
    projects = [
        tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, ROOT / "clients")
    ]
    extras = [line for project in projects for lines in project["optional-dependencies"].values() for line in lines]
    return extras + [line for project in projects for line in project["dependencies"]]


def test_ranges_respect_the_known_vulnerabilities() -> None:
    """Floors below which these libraries have published security holes that a service like this one exposes."""
    floors = {
        "fastapi": "0.132",
        "starlette": "1.3.1",
        "python-multipart": "0.0.31",
        "pillow": "12.3",
        "keras": "3.15.1",
    }
    lines = requirements()
    for name, floor in floors.items():
        (found,) = {line.partition(">=")[2] for line in lines if line.startswith(f"{name}>=")}
        assert tuple(map(int, found.split("."))) >= tuple(map(int, floor.split("."))), name
