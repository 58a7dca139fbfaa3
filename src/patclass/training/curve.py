"""The course of a run as JSON lines, one a step and one an epoch."""

import json
from pathlib import Path
from typing import Any

from patclass.errors import cannot_write


class Curve:
    """Appends to a file; on resume, forgets what came after the checkpoint."""

    def __init__(self, path: Path, resume_at: int | None = None) -> None:
        self._path = path
        kept = [] if resume_at is None else self._lines_until(resume_at)
        self._write("w", "".join(f"{line}\n" for line in kept))

    def _lines_until(self, step: int) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if _step(line) <= step]

    def add(self, **entry: Any) -> None:
        """Append one line; ``step`` is the number of steps done.

        :raises OutputError: if the disk is full.
        """
        self._write("a", json.dumps(entry) + "\n")

    def _write(self, mode: str, text: str) -> None:
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as problem:
            raise cannot_write(self._path, problem) from problem


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a line cut off by a kill
        return float("inf")
