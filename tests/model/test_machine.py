import os
from pathlib import Path

import pytest
import torch

from patclass.core.errors import ModelError
from patclass.model import machine
from patclass.model.machine import check_memory, free_memory, usable_cores


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the limits of a container can be written."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    return tmp_path


def test_without_limits_cores_and_memory_are_those_of_the_machine(container: Path):
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert free_memory() > 2**20


@pytest.mark.parametrize(
    ("written", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("", None)],
)
def test_a_container_limits_the_cores(container: Path, written: str, cores: int | None):
    without = usable_cores()
    (container / "cpu.max").write_text(written + "\n")
    assert usable_cores() == (without if cores is None else cores)


def test_a_container_limits_the_memory_but_for_cached_files(container: Path):
    (container / "memory.max").write_text("1000000\n")
    (container / "memory.current").write_text("900000\n")
    assert free_memory() == 100_000
    (container / "memory.stat").write_text("anon 500000\ninactive_file 300000\n")
    assert free_memory() == 400_000
    (container / "memory.max").write_text("max\n")
    assert free_memory() > 1_000_000


def test_a_base_that_does_not_fit_is_refused_with_what_would(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "free_memory", lambda device: 3 * 2**30)
    check_memory("some", 2**29, "cpu", torch.float32)
    pattern = (
        r"needs 4\.0 GiB of memory, and 3\.0 GiB are free; use precision bfloat16 \(2\.0 GiB\) or"
    )
    with pytest.raises(ModelError, match=pattern):
        check_memory("some", 2**30, "cpu", torch.float32)
    with pytest.raises(ModelError, match=r"8\.0 GiB.*; use a smaller base, such as minilm"):
        check_memory("some", 2**31, "cpu", torch.float32)
