"""A container's quota counts, and the cores that a process is scheduled on."""

import os
from pathlib import Path

import pytest

from patclass.engines.base import cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 2), ("20000 100000", 1)],
)
def test_a_quota_of_time_is_worth_so_many_cores(tmp_path: Path, quota: str, expected: int):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert cores(tmp_path / "cpu.max") == expected


def test_a_quota_never_gives_more_than_there_are(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("3200000 100000")
    assert cores(tmp_path / "cpu.max") == 8


def test_without_a_container_it_is_the_cores_that_we_run_on(tmp_path: Path):
    assert cores(tmp_path / "none") == 8
