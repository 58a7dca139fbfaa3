"""How a SQLite file and a PostgreSQL server are connected to. Knows drivers, no tables.

What was committed must be found again: a SQLite file that is moved or replaced while it is in use
is not written any more. What does not answer must end: a server that stays silent is given up.
"""

import math
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from patclass.core.errors import StoreError

TIMEOUT = 5  # seconds to wait for a lock or a connection

_Identity = tuple[int, int]  # device and inode

# Key of a connection's information: the identity of its write-ahead log.
_LOG = "patclass_log"


class SqliteFile:
    """A SQLite file that stays the same from its first use on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: _Identity | None = None

    @property
    def location(self) -> str:
        """The file as it was named."""
        return str(self.path)

    def engine(self) -> Engine:
        """An engine that opens the file, and never creates it."""
        # Absolute and quoted, so that SQLite takes no name for one with a meaning of its own.
        place = f"file:{quote(os.path.abspath(self.path))}"
        url = URL.create("sqlite", database=place, query={"mode": "rw", "uri": "true"})
        engine = create_engine(url, connect_args={"timeout": TIMEOUT, "isolation_level": None})
        event.listen(engine, "connect", self._configure)
        event.listen(engine, "begin", _begin)
        return engine

    def use(self) -> None:
        """Create the file if it is missing, readable by its owner alone; remember which it is.

        SQLite gives its log the permissions of the file.

        :raises OSError: if it cannot be created.
        """
        # A file that exists is not opened here: closing it would drop SQLite's locks.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        status = self.path.stat()
        if not S_ISREG(status.st_mode):
            raise StoreError(f"the store {self.path} is no regular file; name another one.")
        self._identity = status.st_dev, status.st_ino

    def drain(self) -> None:
        """Do nothing: a file does not keep anybody waiting for longer than ``TIMEOUT``."""

    def close(self) -> None:
        """Accept whatever file is there at the next use."""
        self._identity = None

    def check(self, connection: Connection) -> None:
        """Refuse a file, or a log of the connection, that is not the one that was used first.

        :raises StoreError: if it was moved, replaced or deleted.
        """
        log, info = _identity(_log_of(self.path)), connection.info
        first = info.get(_LOG)
        if first is None:  # the log is created by the first write
            first = info[_LOG] = log
        if (_identity(self.path), log) != (self._identity, first):
            raise StoreError(
                f"the store {self.path} was moved, replaced or deleted while it was in use, so "
                "nothing is written to it any more. Put it back with its -wal file, or end all "
                "that use it (the service too) and start them again with the file that is there."
            )

    def without_secrets(self, message: str) -> str:
        """The message as it is: a file has no password."""
        return message

    def _configure(self, connection: Any, record: Any) -> None:
        """Called for each new connection."""
        _enable_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # deleted rows are overwritten
        record.info[_LOG] = _identity(_log_of(self.path))


def _log_of(path: Path) -> Path:
    # Beside the file itself, where ``path`` is a link.
    return Path(f"{os.path.realpath(path)}-wal")


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _enable_wal(connection: Any) -> None:
    """Switch the write-ahead log on; retry, as SQLite's busy timeout does not apply to this."""
    end = time.monotonic() + TIMEOUT
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


# The patience with a silent server while the process ends, so that it ends in time.
_PATIENCE_AT_END = 2.0

# Without these a thread would wait for hours for a server whose machine has gone.
_SERVER_OPTIONS = {
    "keepalives_idle": TIMEOUT,
    "keepalives_interval": 1,
    "keepalives_count": TIMEOUT,
    "tcp_user_timeout": 2000 * TIMEOUT,
}


@dataclass
class Server:
    """A PostgreSQL server, which is given up when it stays silent.

    Keepalives do not notice a server that hangs while its machine goes on.

    :param patience: seconds of silence within a statement.
    """

    url: URL
    patience: float = math.inf
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def location(self) -> str:
        """The URL without its password and its parameters, which may hold one too."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    def engine(self) -> Engine:
        """An engine for the server."""
        engine = create_engine(self.url, pool_pre_ping=True, connect_args=_SERVER_OPTIONS)
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "connect", _limit_locks)
        return engine

    def use(self) -> None:
        """Do nothing: a server is not created."""

    def check(self, connection: Connection) -> None:
        """Do nothing: a server refuses by itself what it cannot keep."""

    def drain(self) -> None:
        """Have less patience from now on."""
        self.patience = min(self.patience, _PATIENCE_AT_END)

    def close(self) -> None:
        """Break off all statements that still wait."""
        ending, self._ending = self._ending, threading.Event()
        ending.set()

    def without_secrets(self, message: str) -> str:
        """The message without the URL's passwords, in whichever way they are spelt."""
        given = [self.url.password, *(str(value) for value in self.url.query.values())]
        for secret in filter(None, given):
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret)):
                message = message.replace(spelling, "***")
        return message

    def _connect(self, dialect: object, record: object, args: Any, options: Any) -> Any:
        seconds = max(1, int(min(self.patience, TIMEOUT)))
        connection = _connection_class().connect(*args, **options, connect_timeout=seconds)
        connection.server, connection.ending = self, self._ending
        return connection


@cache
def _connection_class() -> Any:
    from psycopg import Connection, OperationalError  # only with the extra 'postgres'
    from psycopg.pq import TransactionStatus

    class Impatient(Connection[Any]):
        """A connection whose statements end, with an error if the server stays silent."""

        server: Server | None = None  # while it connects, which has a limit of its own
        ending = threading.Event()

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            """Wait for a statement; closes the connection if it is given up."""
            try:
                return super().wait(self._heard(gen), interval, timeout)
            except OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self.pgconn.finish()  # whatever it would answer now belongs to that statement
                raise

        def _heard(self, gen: Any) -> Generator[Any, Any, Any]:
            """The steps of ``gen`` as long as the server is heard."""
            heard = time.monotonic()
            try:
                state = next(gen)
                while True:
                    ready = yield state
                    now = time.monotonic()
                    heard = now if ready else heard
                    patience = math.inf if self.server is None else self.server.patience
                    if self.ending.is_set() or now - heard > patience:
                        raise OperationalError("the server does not answer")
                    state = gen.send(ready)
            except StopIteration as done:
                return done.value

    return Impatient


def _limit_locks(connection: Any, record: object) -> None:
    """Called for each new connection to PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{TIMEOUT}s'")
    connection.commit()
