"""What is shipped, and what each part does without."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_the_kernel_and_the_client_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"digits", "digits_client"}
    assert "digits_client/py.typed" in names
    assert not [name for name in names if not name.endswith((".py", "py.typed")) and ".dist-info/" not in name]


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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=]", line)[0] for lines in project["optional-dependencies"].values() for line in lines}
    assert wanted - {"digits"} <= set(pins)


def test_ranges_respect_the_known_vulnerabilities() -> None:
    """Floors below which these libraries have published security holes that a service like this one exposes."""
    floors = {
        "fastapi": "0.132",
        "starlette": "1.3.1",
        "python-multipart": "0.0.31",
        "pillow": "12.3",
        "keras": "3.15.1",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for lines in project["optional-dependencies"].values() for line in lines]
    for name, floor in floors.items():
        (found,) = {line.partition(">=")[2] for line in lines if line.startswith(f"{name}>=")}
        assert tuple(map(int, found.split("."))) >= tuple(map(int, floor.split("."))), name
