"""A container's share of the machine counts, not the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from digits.cores import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000", HERE), ("100000 100000", 1), ("50000 100000", 1), (f"{HERE}00000 100000", HERE),
     (f"{HERE + 1}00000 100000", HERE), ("nonsense", HERE), ("", HERE), ("1000 0", HERE)],
)  # fmt: skip
def test_cores_follow_the_quota_of_a_container(tmp_path: Path, content: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{content}\n")
    assert cores(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", HERE), ("100000", 1), ("50000", 1), (f"{HERE}00000", HERE)])
def test_cores_follow_the_older_kind_of_quota_too(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cores(tmp_path) == expected


def test_without_a_quota_all_cores_count(tmp_path: Path) -> None:
    assert cores(tmp_path) == HERE
