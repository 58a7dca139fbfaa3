"""What the offices answered, in a folder of bounded size and age. Knows names and bytes only.

A file without content says that the office has nothing under the name.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from patclass.core.errors import OutputError
from patclass.core.files import atomic_write

DAY = 86_400.0

# Nothing else in the folder is ever read or deleted.
_SUFFIX = ".office-reply"

# What an office does not have today it may publish tomorrow.
ABSENT_DAYS = 1.0


class Cache:
    """Files by their names.

    :param folder: created with the first file.
    :param days: age at which a file no longer counts.
    :param max_bytes: of all files; the oldest are deleted first. 0: nothing is kept or read.
    :param now: the time, in seconds since the epoch.
    """

    def __init__(
        self, folder: Path, days: float, max_bytes: int, now: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._days, self._max_bytes, self._now = folder, days, max_bytes, now
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The content of a file, empty if the office has nothing; None if it is to be asked."""
        if not self._max_bytes:
            return None
        path = self._path(name)
        try:
            content = path.read_bytes()
            age = self._now() - path.stat().st_mtime
        except OSError:
            return None
        days = self._days if content else min(self._days, ABSENT_DAYS)
        return content if 0 <= age < days * DAY else None

    def put(self, name: str, content: bytes) -> None:
        """Keep a file, if the folder can be written; what is not kept is asked for again.

        :param name: letters, digits and hyphens.
        """
        if len(content) > self._max_bytes or not self._max_bytes:
            return
        with self._lock, suppress(OutputError, OSError):
            path = self._path(name)
            with atomic_write(path) as partial:
                partial.write_bytes(content)
                now = self._now()
                os.utime(partial, (now, now))
            self._prune()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _prune(self) -> None:
        """Delete what is too old, then the oldest until the rest fits."""
        stats = [(path, path.stat()) for path in self._folder.glob(f"*{_SUFFIX}")]
        newest_first = sorted(stats, key=lambda each: each[1].st_mtime, reverse=True)
        total = 0
        for path, stat in newest_first:
            total += stat.st_size
            if total > self._max_bytes or self._now() - stat.st_mtime > self._days * DAY:
                path.unlink(missing_ok=True)
