"""Feedback as records of Argilla."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from patclass.core.errors import DataError
from patclass.data.text import text_sha256
from patclass.learning.argilla import read, write
from patclass.learning.exchange import ImportResult
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.reviews import ReviewStore
from store_rows import ID, prediction

TEXT = "A bandage with a grüne border."
HASH = text_sha256(TEXT)
ADA = "0b0c7f0e-6a3f-4f27-9d55-0d1c5b0a4a11"
BOB = "f3a4a1de-2c59-4a86-8d0e-6a5f0f2a7b22"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = locate_store(tmp_path / "store.db", {})
    row = prediction(1, label="A61", version="0123456789ab", text_sha256=HASH)
    PredictionStore(found).add([row])
    yield found
    found.close()


def add_feedback(database: Database, key: str, **fields: Any) -> None:
    about = {"predicted_label": "A61", "version": "0123456789ab", "text_sha256": HASH, "text": TEXT}
    FeedbackStore(database).add(key, Feedback(ID(1), **({"correct": True} | about | fields)))


def record(*responses: tuple[str | None, str], **fields: Any) -> dict[str, Any]:
    """A record as Argilla writes it."""
    known = {
        "id": ID(1),
        "fields": {"text": TEXT},
        "metadata": {},
        "suggestions": {"label": {"value": "A61", "score": 0.9, "agent": "0123456789ab"}},
        "responses": {"label": [{"value": value, "user_id": user} for value, user in responses]},
        "vectors": {},
        "_server_id": "5d5f8d6b-0000-4a86-8d0e-6a5f0f2a7b22",
    }
    return known | fields


def imported(database: Database, *records: dict[str, Any]) -> ImportResult:
    return read(database, json.dumps(records).encode(), Counter())


def test_a_text_becomes_a_record(database: Database):
    add_feedback(database, "one", reviewer=ADA)
    add_feedback(database, "two", correct=False, label="G06", reviewer=ADA)
    add_feedback(database, "three", correct=False, label="H01", reviewer=BOB)
    left_out: Counter[str] = Counter()
    (found,) = json.loads("".join(write(database, left_out)))
    whole = record(("G06", ADA), ("H01", BOB))
    del whole["_server_id"]
    assert found == whole
    assert left_out == {}


def test_feedback_that_argilla_cannot_represent_is_counted(database: Database):
    add_feedback(database, "one", reviewer="Ada")
    add_feedback(database, "two", correct=False, reviewer=ADA)
    add_feedback(database, "no-text", text=None, text_sha256=f"{9:064x}")
    left_out: Counter[str] = Counter()
    (found,) = json.loads("".join(write(database, left_out)))
    assert found["responses"] == {}
    assert left_out == {
        "rows of feedback by reviewers who are not users of Argilla": 1,
        "rows of feedback without a label": 1,
        "rows of feedback whose text is not stored": 1,
    }


def test_responses_become_feedback(database: Database):
    assert imported(database, record(("A61", ADA), ("G06F", BOB))) == ImportResult(2, 0)
    ada, bob = (given.feedback for given in FeedbackStore(database).all())
    assert (ada.correct, ada.label, ada.reviewer) == (True, None, ADA)
    assert (bob.correct, bob.label, bob.reviewer) == (False, "G06F", BOB)
    assert (bob.predicted_label, bob.version, bob.text_sha256) == ("A61", "0123456789ab", HASH)
    assert bob.text == TEXT
    assert [case.reason for case in ReviewStore(database).all()] == ["disputed"]


def test_a_repeated_import_counts_once(database: Database):
    imported(database, record(("A61", ADA)))
    assert imported(database, record(("A61", ADA), ("G06", BOB))) == ImportResult(1, 1)
    raw = "".join(write(database, Counter())).encode()
    assert read(database, raw, Counter()) == ImportResult(0, 2)


def test_feedback_from_another_source_is_recognised_on_import(database: Database):
    """Argilla stores neither keys nor times, so feedback is recognised by reviewer and label."""
    add_feedback(database, "over-http", reviewer=ADA, caller="web")
    add_feedback(database, "a-change", correct=False, label="G06", reviewer=BOB, caller="web")
    raw = "".join(write(database, Counter())).encode()
    add_feedback(database, "undo", reviewer=ADA, caller="web", withdraws="over-http")
    assert read(database, raw, Counter()) == ImportResult(0, 2)
    assert imported(database, record(("H04", ADA))) == ImportResult(1, 0)


def test_the_latest_feedback_of_a_reviewer_is_exported(database: Database):
    """It is the latest by time, not the last imported."""
    add_feedback(database, "today", correct=False, label="G06", reviewer=ADA)
    (today,) = FeedbackStore(database).all()
    feedback = replace(today.feedback, label="H04")
    older = FeedbackRow(0, "older", today.created - timedelta(days=9), feedback)
    FeedbackStore(database).add_all([older])
    (exported_record,) = json.loads("".join(write(database, Counter())))
    assert exported_record["responses"]["label"] == [{"value": "G06", "user_id": ADA}]


def test_a_record_without_responses_adds_no_feedback(database: Database):
    left_out: Counter[str] = Counter()
    raw = json.dumps([record(responses={}), record((None, ADA))]).encode()
    assert read(database, raw, left_out) == ImportResult(0, 0)
    assert left_out == {"responses without a label": 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (record(("sport", ADA)), "record 2: label 'sport' is no code of the CPC"),
        (record(("A61", ADA), id="gone"), "record 2: prediction_id 'gone' is not stored"),
        (record(("A61", ADA), fields={"text": "Other."}), "record 2: it is not the text of"),
        ({"id": ID(1)}, r"1\.fields: field required"),
        (record(responses={"label": [{"value": ["A61"]}]}), "valid string"),
    ],
)
def test_an_invalid_record_is_named_and_nothing_is_stored(
    database: Database, wrong: dict[str, Any], message: str
):
    with pytest.raises(DataError, match=message):
        imported(database, record(("A61", ADA)), wrong)
    assert FeedbackStore(database).all() == []


def test_a_file_that_is_not_a_list_of_records_is_refused(database: Database):
    with pytest.raises(DataError, match=r"expected what Argilla's records\.to_json writes"):
        read(database, b'{"id": 1}', Counter())
