"""People's verdicts on predictions, kept in one SQLite file. Knows no HTTP and no models.

Rows are only ever added. What was acknowledged survives a loss of power: write-ahead log, synced
at every commit.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from patclass.errors import StoreError

VERSION = 1

_TABLE = """
CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    prediction_id TEXT NOT NULL,
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    label TEXT,
    note TEXT,
    reviewer TEXT,
    caller TEXT,
    created TEXT NOT NULL
) STRICT
"""
_SECONDS = 5.0  # that a writer waits for another


@dataclass(frozen=True)
class Feedback:
    """A verdict on one prediction.

    :param label: what it should have been, where that is known.
    :param reviewer: who says so, in their own words; ``caller`` is who called, by API key.
    """

    prediction_id: str
    correct: bool
    label: str | None = None
    note: str | None = None
    reviewer: str | None = None
    caller: str | None = None


class FeedbackStore:
    """A file of feedback that several threads and processes may add to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, key: str, feedback: Feedback) -> bool:
        """Keep ``feedback`` under its idempotency key; False if it was kept before.

        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if it cannot be kept.
        """
        given = asdict(feedback)
        row = {"idempotency_key": key, **given, "created": datetime.now(UTC).isoformat()}
        names = ", ".join(row)
        places = ", ".join(f":{name}" for name in row)
        with self._opened() as database:
            added = database.execute(
                f"INSERT INTO feedback ({names}) VALUES ({places}) "
                "ON CONFLICT (idempotency_key) DO NOTHING",
                row,
            )
            if added.rowcount:
                return True
            known = database.execute(
                f"SELECT {', '.join(given)} FROM feedback WHERE idempotency_key = ?", (key,)
            ).fetchone()
        if tuple(known) != tuple(given.values()):
            raise ValueError("this Idempotency-Key was used for other feedback; make a new one")
        return False

    def all(self) -> list[Feedback]:
        """All feedback in the order in which it came.

        :raises StoreError: if it cannot be read.
        """
        names = list(Feedback.__dataclass_fields__)
        with self._opened() as database:
            rows = database.execute(f"SELECT {', '.join(names)} FROM feedback ORDER BY number")
            found = [dict(zip(names, row, strict=True)) for row in rows]
        return [Feedback(**fields | {"correct": bool(fields["correct"])}) for fields in found]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The database in one transaction, which holds or not as a whole."""
        try:
            database = sqlite3.connect(self.path, timeout=_SECONDS)
            try:
                self._prepare(database)
                with database:
                    yield database
            finally:
                database.close()
        except sqlite3.Error as problem:
            raise StoreError(
                f"cannot use the feedback in {self.path}: {problem}. Free some space, gain the "
                "right to write there, or name another file with --feedback."
            ) from problem

    def _prepare(self, database: sqlite3.Connection) -> None:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{self.path} is of version {version}; this release reads up to {VERSION}. Use "
                "the release of patclass that wrote it."
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if not version:
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {VERSION}")
