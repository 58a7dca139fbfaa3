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

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

from patclass.core.errors import ConfigError, StoreError
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
    for text_sha256 in sorted({value for value in hashes if value}):
        lock = int.from_bytes(sha256(text_sha256.encode()).digest()[:7])
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


VARIABLE = "PATCLASS_DATABASE_URL"
FILE = Path("patclass.db")

_TIMEOUT = 5  # seconds to wait for a lock or a connection
# Without these a thread would wait for hours for a server that has stopped responding.
_SERVER_OPTIONS = {
    "connect_timeout": _TIMEOUT,
    "keepalives_idle": _TIMEOUT,
    "keepalives_interval": 1,
    "keepalives_count": _TIMEOUT,
    "tcp_user_timeout": 2000 * _TIMEOUT,
}
_REVISION = re.compile(r"\d{4}")  # the form of this project's revisions
_MIGRATION_LOCK = 0x70617463  # key of a PostgreSQL advisory lock


def locate_store(file: Path | None, environment: Mapping[str, str] = os.environ) -> "Database":
    """The store in ``file``, else at PATCLASS_DATABASE_URL, else in the default file.

    :raises ConfigError: if the URL is neither of PostgreSQL nor of SQLite.
    """
    configured = environment.get(VARIABLE)
    if file is None and configured:
        return Database(_parse_url(configured))
    return Database(URL.create("sqlite", database=str(file or FILE)))


def _parse_url(value: str) -> URL:
    try:
        url = make_url(value)
    except ArgumentError:
        url = URL.create("")
    dialect = url.drivername.partition("+")[0]
    if dialect in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if dialect == "sqlite" and url.database:
        return url.set(drivername="sqlite")
    raise ConfigError(  # without the value, which may hold a password
        f"{VARIABLE}: expected postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE."
    )


class RowError(StoreError):
    """A row that the database rejects for its values, so that a retry cannot succeed."""


class Database:
    """A database that several threads and processes may use at once."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = _create_engine(url)
        self._migrated = False
        self._last_failure = (-math.inf, "")  # time of the last failed migration, and its message
        self._migrating = threading.Lock()

    @property
    def location(self) -> str:
        """The file, or the URL without its password."""
        if self.url.drivername == "sqlite":
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

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

        In PostgreSQL, where VACUUM removes them, this does nothing and returns False.

        :raises StoreError: if the database cannot be used.
        """
        if self.url.drivername != "sqlite":
            return False
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

    def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        try:
            self._ensure_migrated()
            options: dict[str, Any] = {"patclass_writes": writes}
            if not writes and self.url.drivername != "sqlite":
                options["isolation_level"] = "REPEATABLE READ"
            with self._engine.execution_options(**options).begin() as connection:
                yield connection
        except DataError as problem:
            raise RowError(f"the store rejects a value: {problem.orig}") from problem
        except SQLAlchemyError as problem:
            raise self._error(problem) from problem

    def _error(self, problem: Exception) -> StoreError:
        reason = " ".join(str(getattr(problem, "orig", None) or problem).split())
        return StoreError(
            f"cannot use the store in {self.location}: {reason}. Free some space, gain the right "
            f"to write there, name another database file, or start the server of {VARIABLE}."
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
            except SQLAlchemyError as problem:
                error = self._error(problem)
                self._last_failure = time.monotonic(), str(error)
                raise error from problem
            self._migrated = True

    def _migrate(self) -> None:
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


def _create_engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _TIMEOUT, "isolation_level": None})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin)
        return engine
    engine = create_engine(url, pool_pre_ping=True, connect_args=_SERVER_OPTIONS)
    event.listen(engine, "connect", _configure_postgresql)
    return engine


def _configure_postgresql(connection: Any, record: object) -> None:
    """Called for each new connection to PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_TIMEOUT}s'")
    connection.commit()


def _configure_sqlite(connection: Any, record: object) -> None:
    """Called for each new connection to a SQLite file."""
    _enable_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # deleted rows are overwritten


def _enable_wal(connection: Any) -> None:
    """Switch the write-ahead log on; retry, as SQLite's busy timeout does not apply to this."""
    end = time.monotonic() + _TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Lock the file for writing before the first read, so that what was read stays valid."""
    writes = connection.get_execution_options().get("patclass_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


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
