"""A database, SQLite or PostgreSQL, with transactions for reading and writing. Knows no tables.

Committed data survives a power failure: SQLite keeps a write-ahead log that is synced at every
commit, as PostgreSQL does by default. Migrations run at the first use.
"""

import math
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

from patclass.core.errors import ConfigError, StoreError
from patclass.store.connections import Server, SqliteFile
from patclass.store.migrations import HEAD


def insert_or_ignore(
    connection: Connection, table: Table, unique: str
) -> SqliteInsert | PostgresInsert:
    """An insert that does nothing where a row has the same value of the column ``unique``."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=[unique])
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=[unique])


def insert_if_absent(
    connection: Connection, table: Table, unique: str, row: Mapping[str, Any]
) -> bool:
    """Insert one row; False if a row with the same value of ``unique`` exists."""
    statement = insert_or_ignore(connection, table, unique).returning(table.c.number)
    return connection.execute(statement, dict(row)).first() is not None


def lock_texts(connection: Connection, hashes: Iterable[str | None]) -> None:
    """Lock texts for writing until this transaction ends.

    SQLite allows one writer at a time. In PostgreSQL two transactions do not see each other's new
    rows, so two that add contradictory feedback at once would both miss the disagreement.

    :param hashes: SHA-256 of the texts; None for a text that is not known.
    """
    if connection.dialect.name != "postgresql":
        return
    # Always in the same order, so that no two transactions can deadlock.
    buckets = {_bucket(value) for value in hashes if value}
    statement = text("SELECT pg_advisory_xact_lock(:kind, :bucket)")
    for bucket in sorted(buckets):
        connection.execute(statement, {"kind": _MIGRATION_LOCK, "bucket": bucket})


# Locks for all texts together: the server has room for some thousand, and an import has more texts.
_BUCKETS = 1024


def _bucket(text_sha256: str) -> int:
    return int.from_bytes(sha256(text_sha256.encode()).digest()[:4]) % _BUCKETS


VARIABLE = "PATCLASS_DATABASE_URL"
FILE = Path("patclass.db")

_REVISION = re.compile(r"\d{4}")  # the form of this project's revisions
_MIGRATION_LOCK = 0x70617463  # key of a PostgreSQL advisory lock


def locate_store(
    file: Path | None,
    environment: Mapping[str, str] = os.environ,
    patience: float = math.inf,
) -> "Database":
    """The store in ``file``, else at PATCLASS_DATABASE_URL, else in the default file.

    :param patience: seconds after which a server that stays silent is given up.
    :raises ConfigError: if the URL is neither of PostgreSQL nor of a SQLite file.
    """
    configured = environment.get(VARIABLE)
    if file is None and configured:
        return Database(_parse_url(configured, patience))
    if str(file) in _NAMELESS:
        raise ConfigError(
            f"store {file}: it would be lost at the end; name a file.", setting="store"
        )
    return Database(SqliteFile(file or FILE))


# What SQLite takes for a database in memory.
_NAMELESS = ("", ":memory:")


def _parse_url(value: str, patience: float) -> SqliteFile | Server:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        url = URL.create("")
    dialect = url.drivername.partition("+")[0]
    # In a host the @ is of the password, which would be taken for a part of the host.
    if dialect in ("postgresql", "postgres") and "@" not in (url.host or ""):
        return Server(url.set(drivername="postgresql+psycopg"), patience)
    named = url.database not in (None, *_NAMELESS) and not str(url.database).startswith("file:")
    if dialect == "sqlite" and named and not url.query:
        return SqliteFile(Path(str(url.database)))
    raise ConfigError(  # without the value, which may hold a password
        f"{VARIABLE}: expected postgresql://USER:PASSWORD@HOST/DATABASE, with %40 for an @ in the "
        "password, or sqlite:///FILE, with the name of a file and without parameters."
    )


class RowError(StoreError):
    """A row that the database rejects for its values, so that a retry cannot succeed."""


class Database:
    """A database that several threads and processes may use at once."""

    def __init__(self, place: SqliteFile | Server) -> None:
        self._place = place
        self._engine = place.engine()
        # Whether it could be used the last time.
        self.available = True
        self._migrated = False
        self._last_failure = (-math.inf, "")  # time of the last failed migration, and its message
        self._migrating = threading.Lock()

    @property
    def location(self) -> str:
        """The file, or the URL without its password."""
        return self._place.location

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed as a whole, or rolled back if the block raises.

        :raises StoreError: if the database cannot be used.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one snapshot of the database.

        :raises StoreError: if the database cannot be used.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    def checkpoint(self) -> bool:
        """Remove deleted rows from SQLite's write-ahead log; False if a reader prevents it.

        In PostgreSQL, where VACUUM removes them, this does nothing and returns True.

        :raises StoreError: if the database cannot be used.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        try:
            self._ensure_migrated()
            connection = self._engine.raw_connection()
            try:
                busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        except (SQLAlchemyError, sqlite3.Error) as problem:
            raise self._error(problem) from problem
        return not busy

    def drain(self) -> None:
        """Give a silent server up sooner from now on, because the process ends."""
        self._place.drain()

    def close(self) -> None:
        """Close all connections, also those that wait; they are opened again at the next use."""
        self._place.close()
        self._engine.dispose()
        self._migrated = False

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        try:
            self._ensure_migrated()
            options: dict[str, Any] = {"patclass_writes": writes}
            if not writes and self._engine.dialect.name != "sqlite":
                options["isolation_level"] = "REPEATABLE READ"
            with self._engine.execution_options(**options).connect() as connection:
                with connection.begin():
                    self._place.check(connection)
                    yield connection
                self._place.check(connection)  # what was committed is acknowledged after this
            self.available = True
        except DataError as problem:
            reason = self._place.without_secrets(str(problem.orig))
            raise RowError(f"the store rejects a value: {reason}") from problem
        except SQLAlchemyError as problem:
            self.available = False
            raise self._error(problem) from problem
        except StoreError:
            self.available = False
            raise

    def _error(self, problem: Exception) -> StoreError:
        reason = " ".join(str(getattr(problem, "orig", None) or problem).split())
        return StoreError(
            f"cannot use the store in {self.location}: {self._place.without_secrets(reason)}. "
            "Free some space, gain the right to write there, name another database file, or start "
            f"the server of {VARIABLE}."
        )

    def _ensure_migrated(self) -> None:
        """Migrate the tables once; other threads wait meanwhile.

        :raises StoreError: if that fails, also in another thread for which this one waited.
        """
        started = time.monotonic()
        with self._migrating:
            if self._migrated:
                return
            failed_at, message = self._last_failure
            if failed_at > started:
                raise StoreError(message)
            try:
                self._migrate()
            except (SQLAlchemyError, OSError) as problem:
                error = self._error(problem)
                self._last_failure = time.monotonic(), str(error)
                raise error from problem
            self._migrated = True

    def _migrate(self) -> None:
        self._place.use()
        with self._engine.execution_options(patclass_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                )
            revision = _current_revision(connection)
            if revision is not None and not _REVISION.fullmatch(revision):
                raise StoreError(
                    f"the database {self.location} belongs to another application, which keeps "
                    f"'{revision}' in its table alembic_version; give patclass one of its own."
                )
            if revision is None or revision < HEAD:
                _upgrade(connection)
            elif revision > HEAD:
                raise StoreError(
                    f"the store in {self.location} is of version {revision}; this release knows "
                    f"up to {HEAD}. Use the release of patclass that wrote it."
                )


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # takes 0.3 s to import, and is rarely needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "patclass.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
