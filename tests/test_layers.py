"""Each part imports only the parts below it: service → digits ← trainer, and the client nothing of ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"digits", "service", "trainer", "digits_client", "benchmarks", "evaluation", "tests"}
MAY_IMPORT = {
    "digits": {"digits"},
    "service": {"digits", "service"},
    "trainer": {"digits", "trainer"},
    "clients/digits_client": {"digits_client"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_down(part: str) -> None:
    files = list((ROOT / part).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) & OURS <= MAY_IMPORT[part], path
