"""The store of feedback, on real files."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from patclass.errors import StoreError
from patclass.store.feedback import Feedback, FeedbackStore

WRONG = Feedback("0" * 32, False, "A61", "it is a bandage", "Ada", "search team")
RIGHT = Feedback("1" * 32, True)


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "feedback.db")


def test_feedback_is_kept_in_order(store: FeedbackStore):
    assert store.all() == []
    assert store.add("key-of-wrong", WRONG)
    assert store.add("key-of-right", RIGHT)
    assert FeedbackStore(store.path).all() == [WRONG, RIGHT]


def test_the_same_key_counts_once(store: FeedbackStore):
    assert [store.add("key", WRONG) for _ in range(3)] == [True, False, False]
    assert store.all() == [WRONG]


def test_a_key_is_good_for_one_verdict(store: FeedbackStore):
    store.add("key", WRONG)
    with pytest.raises(ValueError, match="used for other feedback"):
        store.add("key", RIGHT)
    assert store.all() == [WRONG]


def test_two_people_may_judge_the_same_prediction(store: FeedbackStore):
    assert store.add("first", WRONG)
    assert store.add("second", WRONG)
    assert len(store.all()) == 2


def test_many_writers_lose_nothing(store: FeedbackStore):
    def write(number: int) -> None:
        for each in range(25):
            store.add(f"{number}-{each % 20}", RIGHT)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(store.all()) == 80


def test_what_was_acknowledged_outlives_the_process(store: FeedbackStore):
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from patclass.store.feedback import Feedback, FeedbackStore\n"
        f"FeedbackStore(Path(sys.argv[1])).add('key', Feedback('{'1' * 32}', True))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.path)], check=False)
    assert done.returncode == -9
    assert store.all() == [RIGHT]


def test_commits_reach_the_disk(store: FeedbackStore):
    with store._opened() as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    store = FeedbackStore(tmp_path / "nosuch" / "feedback.db")
    with pytest.raises(StoreError, match=r"nosuch/feedback\.db.*--feedback"):
        store.add("key", RIGHT)


def test_another_file_is_not_taken_for_a_store(store: FeedbackStore):
    store.path.write_text("no database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        store.add("key", RIGHT)


def test_a_newer_file_is_left_alone(store: FeedbackStore):
    store.add("key", RIGHT)
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(StoreError, match="version 2; this release reads up to 1"):
        store.all()
