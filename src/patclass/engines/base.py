"""What computes: token ids in, embeddings and logits out. Knows no text and no labels."""

import os
import platform
import re
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


# The instruction sets that decide in which kernels, and so how exactly, OpenVINO multiplies.
_INSTRUCTION_SETS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16", "sve"),
)
_PROCESSOR = Path("/proc/cpuinfo")
_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)

# By this variable oneDNN uses fewer of the processor's instructions. OpenVINO's plugin does not
# know that: it would choose bfloat16, for which there is then no kernel.
LIMIT = "ONEDNN_MAX_CPU_ISA"


def instruction_sets(processor: Path = _PROCESSOR) -> tuple[str, ...]:
    """The processor's architecture, and which of these sets it has, as Linux names them."""
    text = processor.read_text(encoding="utf-8", errors="replace") if processor.is_file() else ""
    flags = _FLAGS.search(text)
    there = flags[1].split() if flags else []
    limit = os.environ.get(LIMIT)
    return (
        platform.machine(),
        *(name for name in _INSTRUCTION_SETS if name in there),
        *([f"at most {limit.lower()}"] if limit else []),
    )


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
