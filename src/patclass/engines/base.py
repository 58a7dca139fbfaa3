"""What computes: token ids in, embeddings and logits out. Knows no text and no labels."""

import os
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
