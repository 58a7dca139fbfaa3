"""What this machine has for a run: cores and memory, also where a container limits them.

Knows the operating system, no model.
"""

import os
from pathlib import Path

import psutil
import torch

from patclass.core.errors import ModelError

# Where Linux says what a container may use (control groups, version 2).
CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may use: of its affinity and its container, at least one."""
    allowed = getattr(os, "sched_getaffinity", None)
    count = len(allowed(0)) if allowed else os.cpu_count() or 1
    quota, _, period = _limit("cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        count = min(count, int(quota) // int(period))
    return max(1, count)


def free_memory(device: str = "cpu") -> int:
    """Bytes that a device has left for this process."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    free = int(psutil.virtual_memory().available)
    limit, used = _limit("memory.max"), _limit("memory.current")
    if limit.isdigit() and used.isdigit():
        free = min(free, int(limit) - int(used) + _reclaimable())
    return max(0, free)


def _reclaimable() -> int:
    """Bytes that the container counts as used, but that files are only cached in."""
    lines = (line.split() for line in _limit("memory.stat").splitlines())
    return next((int(line[1]) for line in lines if line[:1] == ["inactive_file"]), 0)


def _limit(name: str) -> str:
    try:
        return (CGROUP / name).read_text(encoding="utf-8").strip()
    except OSError:  # there is no such limit here
        return ""


def check_memory(base: str, weights: int, device: str, dtype: torch.dtype) -> None:
    """Refuse a base that does not fit, before any of it is loaded.

    :raises ModelError: naming what it needs, what is free, and what would fit.
    """
    free, half = free_memory(device), weights * torch.bfloat16.itemsize
    needed = weights * dtype.itemsize
    if needed <= free:
        return
    fits = f"precision bfloat16 ({gibibytes(half)}) or " if half <= free else ""
    raise ModelError(
        f"base '{base}' needs {gibibytes(needed)} of memory, and {gibibytes(free)} are free; use "
        f"{fits}a smaller base, such as minilm (0.1 GiB).",
        setting=("base", "precision"),
    )


def gibibytes(size: float) -> str:
    """A size as people read it."""
    return f"{size / 2**30:.1f} GiB"
