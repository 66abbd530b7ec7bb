"""Run the client's tests under every Python that it says it works with, each from the wheel.

    make pythons    # under those that are on PATH; the others are named

An environment holds the wheel, the little that its tests need, and nothing of the service, which may
not exist for so new a Python: that runs under the Python of this program.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.models import publish, templates
from tests.server import PYTHON, ROOT
from tests.start import MODELS

SUITE = [f"tests/test_{name}.py" for name in ("client", "client_calls", "command", "evaluate")]
SUITE.append("tests/test_clients_readme.py::test_the_python_programs_run")
NEEDS = ("pillow", "pytest")


def claimed() -> list[str]:
    """Return the versions that the client's classifiers name."""
    project = tomllib.loads((ROOT / "clients" / "pyproject.toml").read_text())["project"]
    return re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))


def build(project: Path, out: Path) -> Path:
    """Return the wheel of a project, made in a folder."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=project, check=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def install(interpreter: str, wheel: Path, home: Path) -> Path:
    """Return the Python of a new environment with the client, as the wheel has it, and what its tests need."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", interpreter, str(home)], check=True)
    pins = ["--constraint", str(ROOT / "constraints.txt"), "--only-binary", ":all:"]
    wanted = [f"digits-client[completion] @ {wheel.as_uri()}", *NEEDS]
    python = home / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--python", str(python), *pins, *wanted], check=True)
    return python


def tested(python: Path, models: Path) -> str:
    """Run the tests, and return how many passed. Raises `CalledProcessError`."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {PYTHON: sys.executable, MODELS: str(models)}
    where = "import digits_client as client, sys; sys.exit(not client.__file__.startswith(sys.prefix))"
    subprocess.run([str(python), "-c", where], cwd=ROOT, env=environ, check=True)
    command = [str(python), "-m", "pytest", "--noconftest", "-p", "tests.start", "-p", "no:cacheprovider", *SUITE]
    done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
    done.check_returncode()
    (summary,) = re.findall(r"^=+ (\d+ passed.*) =+$", done.stdout, re.MULTILINE)
    return str(summary)


def run() -> Iterator[tuple[str, str, bool]]:
    """Yield each version, what became of it, and whether that is no failure."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        publish(home / "models", templates())
        wheel = build(ROOT / "clients", home / "wheel")
        for version in claimed():
            interpreter = shutil.which(f"python{version}")
            if not interpreter:
                yield version, f"there is no python{version} on PATH", True
                continue
            try:
                python = install(interpreter, wheel, home / version)
                yield full_version(python), tested(python, home / "models"), True
            except subprocess.CalledProcessError as exc:
                yield version, f"failed: {exc}", False


def full_version(python: Path) -> str:
    code = "import platform; print(platform.python_version())"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    failed = False
    for version, result, fine in run():
        print(f"{version:8} {result}", flush=True)
        failed |= not fine
    sys.exit(failed)


if __name__ == "__main__":
    main()
