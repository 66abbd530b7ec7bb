"""Print what extras of pyproject.toml require, a line each, at the versions of constraints.txt.

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

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([\w.-]+)==.*(?:\n    --hash=.*)+", re.MULTILINE)  # name==version ; marker, and its hashes


def names(extras: dict[str, list[str]], extra: str) -> Iterator[str]:
    for requirement in extras[extra]:
        if nested := re.fullmatch(r"digits\[(.+)\]", requirement):
            for inner in nested[1].split(","):
                yield from names(extras, inner)
        else:
            yield re.sub(r"[<>=!~].*", "", requirement)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {name for extra in sys.argv[1:] for name in names(project["optional-dependencies"], extra)}
    for pin in PIN.finditer((ROOT / "constraints.txt").read_text()):
        for name in sorted(wanted):  # with its extras, as in tensorflow[and-cuda]
            if name.partition("[")[0] == pin[1]:
                print(name + pin[0].removeprefix(pin[1]))
