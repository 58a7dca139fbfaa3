"""The number of cores respects a container's quota and the process's CPU affinity."""

import os
from pathlib import Path

import pytest

from patclass.engines.base import LIMIT, cores, instructions


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


def test_instructions_are_those_that_decide_how_exactly_is_multiplied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(LIMIT, raising=False)
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni sse\nflags\t\t: other\n")
    assert instructions(path) == ("avx2", "avx_vnni")
    path.write_text("Features\t: fp asimddp i8mm\n")
    assert instructions(path) == ("asimddp", "i8mm")
    monkeypatch.setenv(LIMIT, "AVX2")
    assert instructions(path) == ("asimddp", "i8mm", "at most avx2")
    path.write_text("nothing")
    assert instructions(path) == ("at most avx2",)
    assert instructions(tmp_path / "absent") == ()
