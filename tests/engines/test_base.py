"""The number of cores respects a container's quota and the process's CPU affinity."""

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
def test_a_cpu_quota_is_converted_to_cores(tmp_path: Path, quota: str, expected: int):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert cores(tmp_path / "cpu.max") == expected


def test_a_quota_never_exceeds_the_available_cores(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("3200000 100000")
    assert cores(tmp_path / "cpu.max") == 8


def test_without_a_container_the_affinity_of_the_process_counts(tmp_path: Path):
    assert cores(tmp_path / "none") == 8
