"""Print what extras of pyproject.toml, or `client`, require, a line each, at the versions of constraints.txt.

pip checks hashes only of what comes from an index, not of a folder such as this project. So the
requirements are installed first, under constraints.txt and its hashes, and the project without them.

    python .ci/requirements.py service > requirements.txt
    pip install --constraint constraints.txt --requirement requirements.txt
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([\w.-]+)==.*(?:\n    --hash=.*)+", re.MULTILINE)  # name==version ; marker, and its hashes


def names(extras: dict[str, list[str]], extra: str) -> Iterator[str]:
    for requirement in extras[extra]:
        if nested := re.fullmatch(r"digits\[(.+)\]", requirement):
            for inner in nested[1].split(","):
                yield from names(extras, inner)
        else:
            yield re.sub(r"[<>=!~].*", "", requirement)


def declared() -> dict[str, list[str]]:
    """Return what each extra requires, and the client, a project of its own, with all of its extras."""
    extras = dict(project(ROOT)["optional-dependencies"])
    if (ROOT / "clients").is_dir():  # the images hold none
        client = project(ROOT / "clients")
        extras["client"] = sum(client["optional-dependencies"].values(), client["dependencies"])
    return extras


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


if __name__ == "__main__":
    extras = declared()
    wanted = {name for extra in sys.argv[1:] for name in names(extras, extra)}
    for pin in PIN.finditer((ROOT / "constraints.txt").read_text()):
        for name in sorted(wanted):  # with its extras, as in tensorflow[and-cuda]
            if name.partition("[")[0] == pin[1]:
                print(name + pin[0].removeprefix(pin[1]))
