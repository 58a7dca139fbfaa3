"""How many cores this process may use. Knows the operating system, no model."""

import os
from pathlib import Path

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
