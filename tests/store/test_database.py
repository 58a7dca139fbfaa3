"""Databases: located, created, migrated, with atomic transactions."""

import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from helpers import wait_until
from patclass.core.errors import ConfigError, StoreError
from patclass.store import connections
from patclass.store import database as database_module
from patclass.store.consensus import Feedback
from patclass.store.database import VARIABLE, Database, RowError, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.history import EventStore
from patclass.store.migrations import HEAD
from patclass.store.predictions import PredictionStore
from patclass.store.purge import purge_text
from patclass.store.tables import events, metadata
from store_rows import ID, prediction


def test_migrations_produce_the_declared_tables(database: Database):
    with database.write() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_the_newest_migration_is_known_without_alembic():
    assert ScriptDirectory(_migrations()).get_current_head() == HEAD


def _migrations() -> str:
    from patclass.store import migrations

    assert migrations.__file__ is not None
    return str(Path(migrations.__file__).parent)


def test_tables_can_be_created_concurrently(url: str):
    failures: list[Exception] = []

    def use() -> None:
        database = locate_store(None, {VARIABLE: url})
        try:
            EventStore(database).latest()
        except StoreError as problem:
            failures.append(problem)
        database.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_transaction_is_atomic(database: Database):
    store = EventStore(database)
    row = {"created": _now(), "kind": "k", "key": "half", "details": {}}

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(events.insert(), row)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.latest() == []


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_newer_store_is_refused(database: Database, url: str):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    again = locate_store(None, {VARIABLE: url})
    with pytest.raises(StoreError, match=f"version 9999; this release knows up to {HEAD}"):
        EventStore(again).latest()
    again.close()


def test_a_database_of_another_application_is_refused(database: Database, url: str):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '01ab34cd56ef'"))
    again = locate_store(None, {VARIABLE: url})
    with pytest.raises(StoreError, match="belongs to another application, which keeps '01ab34"):
        EventStore(again).latest()
    again.close()


def test_concurrent_callers_share_a_failed_connection_attempt(tmp_path: Path):
    """Otherwise each of many callers of an unresponsive server would wait for those before it."""
    database, attempts, messages = locate_store(tmp_path / "store.db", {}), [], []

    clock_reads: list[float] = []

    def now() -> float:
        clock_reads.append(time.monotonic())
        return clock_reads[-1]

    def fail() -> None:
        attempts.append(1)
        wait_until(lambda: len(clock_reads) == 4)  # the other three wait for this attempt
        raise OperationalError("connect", None, Exception("silence"))

    def use() -> None:
        with pytest.raises(StoreError) as found:
            EventStore(database).latest()
        messages.append(str(found.value))

    clock = SimpleNamespace(monotonic=now)
    with patch.object(database, "_migrate", fail), patch.object(database_module, "time", clock):
        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(attempts) == 1
    assert len(messages) == 4
    assert "silence" in messages[0]
    assert EventStore(database).latest() == []  # the next call tries again
    database.close()


def test_timestamps_are_read_in_utc(database: Database):
    EventStore(database).add("k", "one", None, {})
    with database.read() as connection:
        created = connection.execute(select(events.c.created)).scalar_one()
    assert abs((_now() - created).total_seconds()) < 60


def test_commits_are_durable(tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})
    with database.write() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    database.close()


def test_an_unwritable_location_is_named(tmp_path: Path):
    store = FeedbackStore(locate_store(tmp_path / "nosuch" / "store.db", {}))
    with pytest.raises(StoreError, match=r"nosuch/store\.db.*name another database file"):
        store.all()


class BusyConnection:
    """A connection that fails a few times."""

    def __init__(self, code: int, times: int) -> None:
        self.code, self.times, self.calls = code, times, 0

    def execute(self, statement: str) -> None:
        self.calls += 1
        if self.calls <= self.times:
            problem = sqlite3.OperationalError("no")
            problem.sqlite_errorcode = self.code
            raise problem


def test_enabling_wal_is_retried_only_while_the_database_is_busy():
    busy = BusyConnection(sqlite3.SQLITE_BUSY, 3)
    connections._enable_wal(busy)
    assert busy.calls == 4
    read_only = BusyConnection(sqlite3.SQLITE_READONLY, 3)
    with pytest.raises(sqlite3.OperationalError):
        connections._enable_wal(read_only)
    assert read_only.calls == 1


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path):
    path = tmp_path / "store.db"
    path.write_text("no database " * 100)
    database = locate_store(path, {})
    with pytest.raises(StoreError, match="not a database"):
        FeedbackStore(database).all()
    database.close()


def test_an_unavailable_server_is_named_without_its_password():
    url = "postgresql://ada:secret@127.0.0.1:1/patents"
    database = locate_store(None, {VARIABLE: url})
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/patents") as found:
        EventStore(database).latest()
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("url", ["mysql://ada:secret@host/db", "nonsense", "sqlite://"])
def test_other_databases_are_refused_without_the_password(url: str):
    with pytest.raises(ConfigError, match="expected postgresql://") as found:
        locate_store(None, {VARIABLE: url})
    assert "secret" not in str(found.value)


def test_a_file_takes_precedence_over_the_environment(tmp_path: Path):
    location = locate_store(tmp_path / "s.db", {VARIABLE: "postgresql://host/db"}).location
    assert location == str(tmp_path / "s.db")


@pytest.mark.parametrize("kind", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_postgresql_url_uses_the_same_driver(kind: str):
    location = locate_store(None, {VARIABLE: f"{kind}://ada@host/db"}).location
    assert location == "postgresql+psycopg://ada@host/db"


def test_row_numbers_are_not_reused(database: Database):
    store = FeedbackStore(database)
    for number in (1, 2, 3):
        store.add(f"key-{number}", Feedback(ID(number), True, text_sha256="t"))
    purge_text(database, "t")
    store.add("key-4", Feedback(ID(4), True))
    assert [given.number for given in store.all()] == [4]


def test_deleted_texts_are_wiped_from_the_files(tmp_path: Path):
    path, secret = tmp_path / "store.db", "a most secret patent"
    database = locate_store(path, {})
    PredictionStore(database).add([prediction(1, text=secret), prediction(2)])
    files = [path, path.with_name("store.db-wal")]
    assert any(secret.encode() in file.read_bytes() for file in files)
    purge_text(database, f"{1:064x}")
    assert database.checkpoint()
    assert not any(secret.encode() in file.read_bytes() for file in files)
    database.close()


def test_a_value_that_cannot_be_stored_is_a_row_error(database: Database):
    store = PredictionStore(database)
    if database.location.endswith(".db"):
        store.add([prediction(1, text="NUL \0")])  # SQLite accepts it
        return
    with pytest.raises(RowError, match="NUL"):
        store.add([prediction(1, text="NUL \0")])
    with pytest.raises(RowError):
        store.add([prediction(1, label="x" * 201)])


def test_the_default_file_is_used_unless_configured(tmp_path: Path):
    assert locate_store(None, {}).location == "patclass.db"
    other = locate_store(None, {VARIABLE: f"sqlite:///{tmp_path / 'other.db'}"})
    assert other.location == str(tmp_path / "other.db")
