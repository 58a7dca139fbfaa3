"""Deletion, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import EventStore
from patclass.store.predictions import PredictionStore
from patclass.store.purge import Purged, purge_before, purge_prediction, purge_text
from patclass.store.reviews import ReviewStore
from patclass.store.tables import predictions
from store_rows import ID, prediction

NOW = datetime.now(UTC)


@pytest.fixture
def filled(database: Database) -> Database:
    old, new = NOW - timedelta(days=100), NOW - timedelta(days=1)
    PredictionStore(database).add([prediction(1, created=old), prediction(2, created=new)])
    for number in (1, 2):
        feedback = Feedback(
            ID(number), True, predicted_label="A", text_sha256=f"{number:064x}", text="t"
        )
        FeedbackStore(database).add(f"key-{number}", feedback)
        ReviewStore(database).claim(ID(number), "t", "unsure", "Ada")
    EventStore(database).add("alert", "one", "v1", {})
    EventStore(database).add("promoted", "two", "v1", {"reason": "better"})
    return database


def row_counts(database: Database) -> tuple[int, int, int, int]:
    return (
        PredictionStore(database).count(),
        len(FeedbackStore(database).all()),
        len(ReviewStore(database).all()),
        len(EventStore(database).latest()),
    )


def test_the_case_of_a_deleted_text_is_deleted_even_without_its_prediction(
    filled: Database,
):
    with filled.write() as connection:
        connection.execute(delete(predictions).where(predictions.c.id == ID(1)))
    assert purge_text(filled, f"{1:064x}") == Purged(0, 1, 1, 0)


def test_old_rows_are_deleted_except_feedback(filled: Database):
    purged = purge_before(filled, NOW - timedelta(days=90))
    assert purged == Purged(predictions=1, reviews=0, feedback=0, events=0)
    assert row_counts(filled) == (1, 2, 2, 2)
    assert PredictionStore(filled).get(ID(1)) is None


def test_a_case_without_feedback_is_deleted_with_its_prediction(database: Database):
    PredictionStore(database).add([prediction(1)])
    ReviewStore(database).claim(ID(1), "t", "unsure", "Ada")
    assert purge_before(database, NOW).reviews == 1


def test_everything_can_be_deleted(filled: Database):
    purged = purge_before(filled, NOW + timedelta(days=1), with_feedback=True)
    assert purged == Purged(predictions=2, reviews=2, feedback=2, events=1)
    assert row_counts(filled) == (0, 0, 0, 1)
    assert [event.kind for event in EventStore(filled).latest()] == ["promoted"]


def test_everything_about_a_text_is_deleted(filled: Database):
    assert purge_text(filled, f"{2:064x}") == Purged(1, 1, 1, 0)
    assert row_counts(filled) == (1, 1, 1, 2)
    assert purge_text(filled, "unknown") == Purged(0, 0, 0, 0)


def test_feedback_without_a_text_is_deleted_with_its_prediction(database: Database):
    PredictionStore(database).add([prediction(1)])
    FeedbackStore(database).add("key", Feedback(ID(1), True, note="as in the patent"))
    assert purge_text(database, f"{1:064x}") == Purged(1, 0, 1, 0)


def test_everything_about_the_text_of_a_prediction_is_deleted(filled: Database):
    PredictionStore(filled).add([prediction(3, text_sha256=f"{2:064x}")])
    FeedbackStore(filled).add("old", Feedback(ID(9), True, text="from before"))
    assert purge_prediction(filled, ID(3)) == Purged(2, 1, 1, 0)
    assert purge_prediction(filled, ID(9)) == Purged(0, 0, 1, 0)
    assert purge_prediction(filled, ID(9)) == Purged(0, 0, 0, 0)
