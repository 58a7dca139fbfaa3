"""What the machine has: cores within quota and affinity, instruction sets."""

import os
import platform
from pathlib import Path

import pytest

from patclass.engines.base import LIMIT, cores, instruction_sets


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


X86 = """processor\t: 0
model name\t: A processor
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni avx_vnni_int8
bugs\t\t: avx512_bf16
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (X86, ["avx2", "avx512f", "avx512_vnni"]),
        (ARM, ["asimddp", "i8mm", "bf16"]),
        ("", []),
        (None, []),
    ],
    ids=["x86", "arm", "empty", "missing"],
)
def test_instruction_sets_for_short_formats_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: list[str]
):
    monkeypatch.delenv(LIMIT, raising=False)
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert instruction_sets(path) == (platform.machine(), *expected)
    monkeypatch.setenv(LIMIT, "AVX2")
    assert instruction_sets(path) == (platform.machine(), *expected, "at most avx2")
