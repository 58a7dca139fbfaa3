"""What computes: token ids in, embeddings and logits out. Knows no text and no labels."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from patclass.core.types import FloatArray, OnProgress


@dataclass(frozen=True)
class Outputs:
    """What a model computes of rows: embeddings (rows, hidden), logits (rows, outputs)."""

    embeddings: FloatArray
    logits: FloatArray


class Engine(Protocol):
    """A model that is ready to answer; several threads may ask it at once."""

    def run(
        self, rows: Sequence[Sequence[int]], on_progress: OnProgress = lambda rows: None
    ) -> Outputs:
        """States and logits of rows of token ids, in order, both float32.

        :param on_progress: called with the number of rows after each batch, for progress bars.
        """


# A container's quota of time in microseconds: "max", or how much of each period.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = _QUOTA) -> int:
    """Cores that we are scheduled on, or as many as a container's quota of time is worth."""
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if not quota.is_file():
        return allowed
    most, period = quota.read_text().split()
    return allowed if most == "max" else max(1, min(allowed, round(int(most) / int(period))))


# Of a processor's instruction sets, those by which products of short numbers differ.
_SHORT_FORMATS = frozenset(
    ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
) | {"asimddp", "i8mm", "bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def instruction_sets(cpuinfo: Path = _CPUINFO) -> tuple[str, ...]:
    """The processor's architecture, and which sets for short numbers it has, if Linux tells."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return (platform.machine(), *sorted(_SHORT_FORMATS.intersection(flags.split())))
