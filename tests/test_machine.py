"""A container's memory counts, not the machine's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from digits.machine import memory

HERE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max", HERE), ("1073741824", 1 << 30), (str(HERE + 1), HERE), ("nonsense", HERE), ("", HERE)],
)
@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_follows_the_limit_of_a_container(tmp_path: Path, file: str, content: str, expected: int) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"{content}\n")
    assert memory(tmp_path) == expected


def test_without_a_limit_all_memory_counts(tmp_path: Path) -> None:
    assert memory(tmp_path) == HERE
