"""A container's memory counts, not the machine's; and a processor has a name where the system knows it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from trainer.machine import memory, processor

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


def test_a_processor_has_the_name_that_the_system_gives_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 9B14\n\nmodel name\t: another\n")
    assert processor(tmp_path / "cpuinfo") == "AMD EPYC 9B14"


@pytest.mark.parametrize("content", ["", "processor\t: 0\nBogoMIPS\t: 50.00\n", None])
def test_a_processor_without_a_name_is_of_a_kind(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    assert processor(tmp_path / "cpuinfo") == platform.machine()
