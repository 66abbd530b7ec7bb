"""Print what an extra of pyproject.toml requires, one requirement a line, with nested extras spelled out.

pip checks hashes only of what comes from an index, not of a folder such as this project. So the
requirements are installed first, under constraints.txt and its hashes, and the project without them.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extras: dict[str, list[str]], name: str) -> Iterator[str]:
    for requirement in extras[name]:
        if nested := re.fullmatch(r"digits\[(.+)\]", requirement):
            for inner in nested[1].split(","):
                yield from requirements(extras, inner)
        else:
            yield requirement


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    found = [line for name in sys.argv[1:] for line in requirements(project["optional-dependencies"], name)]
    print("\n".join(dict.fromkeys(found)))
