"""The course of a run as JSON lines, one a step and one an epoch."""

import json
from pathlib import Path
from typing import Any


class Curve:
    """Appends to a file; on resume, forgets what came after the checkpoint."""

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        self._path = path
        kept = [] if resume_at is None else self._lines_until(resume_at)
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def _lines_until(self, step: int) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if _step(line) <= step]

    def add(self, **entry: Any) -> None:
        """Append one line; ``step`` is the number of steps done."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a line cut off by a kill
        return float("inf")
