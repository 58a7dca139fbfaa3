"""A database, SQLite or PostgreSQL, in whole transactions. Knows no tables.

What was acknowledged survives a loss of power: SQLite keeps a write-ahead log that is synced at
every commit, PostgreSQL does so by itself. The tables are brought up to date at the first use.
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


def unless_there(
    connection: Connection, table: Table, unique: str
) -> SqliteInsert | PostgresInsert:
    """An insert that leaves alone a row with the same value of the column ``unique``."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=[unique])
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=[unique])


def insert_new(connection: Connection, table: Table, unique: str, row: Mapping[str, Any]) -> bool:
    """Add one row; False if one with the same value of ``unique`` is there."""
    statement = unless_there(connection, table, unique).returning(table.c.number)
    return connection.execute(statement, dict(row)).first() is not None


def lock_texts(connection: Connection, hashes: Iterable[str | None]) -> None:
    """Have other writers who work on these texts wait until this transaction ends.

    SQLite has one writer at a time by itself. In PostgreSQL two transactions do not see each
    other's new rows: each of two verdicts that disagree would find no other.

    :param hashes: of the texts; None for one that is not known.
    """
    if connection.dialect.name != "postgresql":
        return
    # In one order everywhere, so that nobody waits for somebody who waits for them.
    for each in sorted({each for each in hashes if each}):
        number = int.from_bytes(sha256(each.encode()).digest()[:7])
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


VARIABLE = "PATCLASS_DATABASE_URL"
FILE = Path("patclass.db")

# Where feedback was kept before there was anything else; the first migration takes it over.
FEEDBACK_FILE = Path("patclass-feedback.db")

_SECONDS = 5  # that a writer waits for another, or for the server
# A server that does not answer any more is noticed, or a thread would wait for it for hours.
_SERVER = {
    "connect_timeout": _SECONDS,
    "keepalives_idle": _SECONDS,
    "keepalives_interval": 1,
    "keepalives_count": _SECONDS,
    "tcp_user_timeout": 2000 * _SECONDS,
}
_REVISION = re.compile(r"\d{4}")  # as all of ours are numbered
_LOCK = 0x70617463  # of migrations, among PostgreSQL's advisory locks


def locate_store(file: Path | None, environment: Mapping[str, str] = os.environ) -> "Database":
    """The store in ``file``, else PATCLASS_DATABASE_URL, else the usual file.

    :raises ConfigError: if the URL is none of PostgreSQL or SQLite.
    """
    given = environment.get(VARIABLE)
    if file is None and given:
        return Database(_parse(given))
    if file is None:
        file = FEEDBACK_FILE if FEEDBACK_FILE.exists() and not FILE.exists() else FILE
    return Database(URL.create("sqlite", database=str(file)))


def _parse(given: str) -> URL:
    try:
        url = make_url(given)
    except ArgumentError:
        url = URL.create("")
    kind = url.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database:
        return url.set(drivername="sqlite")
    raise ConfigError(  # without the value, which may hold a password
        f"{VARIABLE}: expected postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE."
    )


class RowError(StoreError):
    """A row that the database will never take, however often it is offered."""


class Database:
    """A database that several threads and processes may use at once."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = _engine(url)
        self._ready = False
        self._failed = (-math.inf, "")  # when the last attempt to make it ready did, and why
        self._preparing = threading.Lock()

    @property
    def place(self) -> str:
        """Where it is, without its password."""
        if self.url.drivername == "sqlite":
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds or not as a whole.

        :raises StoreError: if it cannot be carried out.
        """
        with self._opened(writes=True) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database.

        :raises StoreError: if it cannot be carried out.
        """
        with self._opened(writes=False) as connection:
            yield connection

    def wipe(self) -> bool:
        """Have nothing of deleted rows left in SQLite's files; whether that could be done now.

        Somebody who is reading may hold it up. PostgreSQL does it by itself, in its own time.

        :raises StoreError: if the database cannot be used.
        """
        if self.url.drivername != "sqlite":
            return False
        try:
            self._prepare()
            connection = self._engine.raw_connection()
            try:
                busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        except (SQLAlchemyError, sqlite3.Error) as problem:
            raise self._trouble(problem) from problem
        return not busy

    def close(self) -> None:
        """Give the connections back; the database may be used again."""
        self._engine.dispose()

    @contextmanager
    def _opened(self, writes: bool) -> Iterator[Connection]:
        try:
            self._prepare()
            options: dict[str, Any] = {"patclass_writes": writes}
            if not writes and self.url.drivername != "sqlite":
                options["isolation_level"] = "REPEATABLE READ"
            with self._engine.execution_options(**options).begin() as connection:
                yield connection
        except DataError as problem:
            raise RowError(f"the store refuses a value: {problem.orig}") from problem
        except SQLAlchemyError as problem:
            raise self._trouble(problem) from problem

    def _trouble(self, problem: Exception) -> StoreError:
        said = " ".join(str(getattr(problem, "orig", None) or problem).split())
        return StoreError(
            f"cannot use the store in {self.place}: {said}. Free some space, gain the right to "
            f"write there, name another file with --store, or start the server of {VARIABLE}."
        )

    def _prepare(self) -> None:
        """Bring the tables up to date, once; whoever comes meanwhile waits.

        :raises StoreError: if that fails, be it in the attempt of another while this one waited.
        """
        asked = time.monotonic()
        with self._preparing:
            if self._ready:
                return
            when, why = self._failed
            if when > asked:
                raise StoreError(why)
            try:
                self._update()
            except SQLAlchemyError as problem:
                trouble = self._trouble(problem)
                self._failed = time.monotonic(), str(trouble)
                raise trouble from problem
            self._ready = True

    def _update(self) -> None:
        with self._engine.execution_options(patclass_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            known = _revision(connection)
            if known is not None and not _REVISION.fullmatch(known):
                raise StoreError(
                    f"the database {self.place} belongs to another application, which keeps "
                    f"'{known}' in its table alembic_version; give patclass one of its own."
                )
            if known is None or known < HEAD:
                _upgrade(connection)
            elif known > HEAD:
                raise StoreError(
                    f"the store in {self.place} is of version {known}; this release knows up "
                    f"to {HEAD}. Use the release of patclass that wrote it."
                )


def _engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _SECONDS, "isolation_level": None})
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        return engine
    engine = create_engine(url, pool_pre_ping=True, connect_args=_SERVER)
    event.listen(engine, "connect", _wait_no_longer)
    return engine


def _wait_no_longer(connection: Any, record: object) -> None:
    """Of each new connection to a server."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_SECONDS}s'")
    connection.commit()


def _set_up(connection: Any, record: object) -> None:
    """Of each new connection to a SQLite file."""
    _use_log(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten


def _use_log(connection: Any) -> None:
    """Switch the write-ahead log on; where several do so at once, SQLite has nobody wait."""
    end = time.monotonic() + _SECONDS
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
    """A writer waits for others before it reads, so that nothing changes under its hands."""
    writes = connection.get_execution_options().get("patclass_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # a third of a second, and hardly ever needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "patclass.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
