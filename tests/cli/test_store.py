"""``patclass store``."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from helpers import Cli
from patclass.data.text import text_sha256
from patclass.store.database import locate_store
from patclass.store.predictions import PredictionStore
from store_rows import ID, prediction


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with an old prediction and a new one."""
    database = locate_store(tmp_path / "store.db", {})
    now = datetime.now(UTC)
    rows = [prediction(n, created=now - timedelta(days=100 * n)) for n in range(2)]
    PredictionStore(database).add(rows)
    database.close()
    return tmp_path / "store.db"


def count(file: Path) -> int:
    database = locate_store(file, {})
    found = PredictionStore(database).count()
    database.close()
    return found


def test_the_tables_are_counted(cli: Cli, file: Path):
    done = cli("store", "status", "--store", file)
    assert done.code == 0
    assert str(file) in done.out
    assert "predictions             2" in done.out


def test_old_rows_are_deleted(cli: Cli, file: Path):
    done = cli("store", "purge", "--store", file, "--older-than", "90d")
    assert (done.code, done.out) == (0, "1 predictions, 0 reviews, 0 feedback, 0 events deleted\n")
    assert count(file) == 1
    assert cli("store", "purge", "--store", file, "--older-than", "12h").code == 0
    assert count(file) == 1


def test_a_text_is_deleted(cli: Cli, file: Path):
    assert cli("store", "purge", "--store", file, "--text-hash", f"{1:064x}").code == 0
    assert count(file) == 1


def test_the_text_of_a_prediction_is_deleted(cli: Cli, file: Path):
    assert cli("store", "purge", "--store", file, "--prediction", ID(1)).code == 0
    assert count(file) == 1
    done = cli("store", "purge", "--store", file, "--prediction", ID(1))
    assert (done.code, done.err) == (1, f"there are no rows of {ID(1)}\n")


def test_pages_held_by_a_reader_are_wiped_by_the_second_run(cli: Cli, file: Path):
    purge = ("store", "purge", "--store", file, "--text-hash", f"{7:064x}")
    database = locate_store(file, {})
    PredictionStore(database).add([prediction(7, text="A SECRET LOOM")])
    log = file.with_name("store.db-wal")
    with database.read() as connection:
        connection.execute(text("SELECT 1 FROM predictions")).all()
        done = cli(*purge)
        assert done.code == 0
        assert "run this again" in done.out
        assert b"SECRET" in log.read_bytes()
    assert cli(*purge).code == 1
    assert b"SECRET" not in log.read_bytes() + file.read_bytes()
    database.close()


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--prediction", "0" * 32, "--text-hash", "0" * 64],
        ["--older-than", "90d", "--text-hash", "0" * 64],
        ["--older-than", "90"],
        ["--older-than", "90y"],
        ["--text-hash", "xyz"],
    ],
)
def test_invalid_arguments_delete_nothing(cli: Cli, file: Path, flags: list[str]):
    done = cli("store", "purge", "--store", file, *flags)
    assert done.code == 2
    assert count(file) == 2


def test_the_hash_of_a_text_can_be_printed(cli: Cli):
    done = cli("store", "hash", "A  Loom.")
    assert done.out == f"{text_sha256('a loom.')}\n"


def test_an_unusable_store_is_a_one_line_error(cli: Cli, tmp_path: Path):
    done = cli("store", "status", "--store", tmp_path / "nosuch" / "store.db")
    assert done.code == 2
    assert done.err.startswith("error: cannot use the store in ")
