"""Review cases, on both databases: a case is claimed by one reviewer at a time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from patclass.store.consensus import Feedback, consensus_of
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.reviews import (
    CLAIMED,
    DECIDED,
    LEASE,
    OPEN,
    NotClaimedError,
    ReviewStore,
    open_case,
)
from patclass.store.tables import reviews
from store_rows import prediction

ID = "0" * 32


@pytest.fixture
def store(database: Database) -> ReviewStore:
    return ReviewStore(database)


def feedback_by(reviewer: str = "Ada", label: str = "G06") -> Feedback:
    return Feedback(ID, False, label, reviewer=reviewer, predicted_label="A61", text_sha256="t")


def state(store: ReviewStore) -> tuple[str, str | None]:
    (case,) = store.all()
    return case.state, case.reviewer


def test_a_case_is_claimed_by_one_reviewer(store: ReviewStore):
    assert store.claim(ID, "t", "unsure", "Ada")
    assert not store.claim(ID, "t", "unsure", "Bob")
    assert store.claim(ID, "t", "unsure", "Ada")  # the page was reloaded
    assert state(store) == (CLAIMED, "Ada")


def test_another_prediction_of_the_same_text_is_the_same_case(
    store: ReviewStore, database: Database
):
    same_text = [prediction(number, text_sha256="t") for number in (1, 2)]
    PredictionStore(database).add(same_text)
    assert store.claim(same_text[0].id, "t", "unsure", "Ada")
    assert not store.claim(same_text[1].id, "t", "unsure", "Bob")
    store.release(same_text[0].id, "Ada")
    assert store.claim(same_text[1].id, "t", "unsure", "Bob")


def test_concurrent_claims_are_exclusive(store: ReviewStore):
    store.all()  # creates the tables
    got: list[str] = []

    def claim(name: str) -> None:
        for number in range(10):
            if store.claim(f"{number:032x}", "t", "unsure", name):
                got.append(f"{number:032x}")

    threads = [threading.Thread(target=claim, args=(f"reviewer {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"{number:032x}" for number in range(10)]


def test_an_expired_claim_is_available_again(store: ReviewStore, database: Database):
    store.claim(ID, "t", "unsure", "Ada")
    with database.write() as connection:
        late = datetime.now(UTC) - LEASE - timedelta(seconds=1)
        connection.execute(update(reviews).values(updated=late))
    assert not store.all()[0].unavailable(datetime.now(UTC))
    assert store.claim(ID, "t", "unsure", "Bob")
    with pytest.raises(NotClaimedError):
        store.decide("key-of-ada", feedback_by("Ada"))
    assert FeedbackStore(database).all() == []  # nothing was stored partially


def test_a_decision_is_feedback_that_resolves_a_dispute(store: ReviewStore, database: Database):
    feedback = FeedbackStore(database)
    feedback.add("one", Feedback(ID, True, reviewer="Bob", predicted_label="A61", text_sha256="t"))
    feedback.add("two", feedback_by("Cleo", "H04"))
    assert state(store) == (OPEN, None)
    assert store.claim(ID, "t", "ignored", "Ada")
    assert store.decide("key-of-ada", feedback_by())
    assert state(store) == (DECIDED, "Ada")
    assert consensus_of(feedback.all()).label == "G06"
    assert not store.claim(ID, "t", "unsure", "Bob")


def test_a_decision_sent_twice_counts_once(store: ReviewStore, database: Database):
    store.claim(ID, "t", "unsure", "Ada")
    assert store.decide("key-of-ada", feedback_by())
    assert not store.decide("key-of-ada", feedback_by())
    assert len(FeedbackStore(database).all()) == 1


def test_a_decision_can_be_undone(store: ReviewStore, database: Database):
    store.claim(ID, "t", "unsure", "Ada")
    store.decide("key-of-ada", feedback_by())
    with pytest.raises(NotClaimedError):
        store.undo(ID, "Bob")
    store.undo(ID, "Ada")
    assert state(store) == (CLAIMED, "Ada")
    assert consensus_of(FeedbackStore(database).all()).label is None
    assert store.decide("another-key", feedback_by(label="H04"))
    assert consensus_of(FeedbackStore(database).all()).label == "H04"


def test_a_case_can_be_released(store: ReviewStore):
    store.claim(ID, "t", "unsure", "Ada")
    with pytest.raises(NotClaimedError):
        store.release(ID, "Bob")
    store.release(ID, "Ada")
    assert state(store) == (OPEN, None)
    assert store.claim(ID, "t", "unsure", "Bob")


def test_a_case_is_opened_once_and_reopened_after_a_decision(
    store: ReviewStore, database: Database
):
    with database.write() as connection:
        assert open_case(connection, ID, "t", "disputed")
        assert not open_case(connection, ID, "t", "disputed")
    store.claim(ID, "t", "", "Ada")
    store.decide("key-of-ada", feedback_by())
    with database.write() as connection:
        assert open_case(connection, ID, "t", "disputed")
    assert state(store) == (OPEN, None)
