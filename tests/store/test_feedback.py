"""The store of feedback, on both databases."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.reviews import ReviewStore
from store_rows import ID, prediction

WRONG = Feedback("0" * 32, False, "A61", "it is a bandage", "Ada", "search team")
RIGHT = Feedback("1" * 32, True)


@pytest.fixture
def store(database: Database) -> FeedbackStore:
    return FeedbackStore(database)


def all_feedback(store: FeedbackStore) -> list[Feedback]:
    return [given.feedback for given in store.all()]


def test_feedback_is_stored_in_order(store: FeedbackStore, url: str):
    assert store.all() == []
    assert store.add("key-of-wrong", WRONG)
    assert store.add("key-of-right", RIGHT)
    again = locate_store(None, {"PATCLASS_DATABASE_URL": url})
    assert all_feedback(FeedbackStore(again)) == [WRONG, RIGHT]
    again.close()


def test_later_feedback_is_found_by_number(store: FeedbackStore):
    store.add("key-of-wrong", WRONG)
    store.add("key-of-right", RIGHT)
    first, second = store.all()
    assert store.all(first.number) == [second]


def test_the_same_key_counts_once(store: FeedbackStore):
    assert [store.add("key", WRONG) for _ in range(3)] == [True, False, False]
    assert all_feedback(store) == [WRONG]


def test_a_key_is_used_for_one_feedback(store: FeedbackStore):
    store.add("key", WRONG)
    with pytest.raises(ValueError, match="used for other feedback"):
        store.add("key", RIGHT)
    assert all_feedback(store) == [WRONG]


def test_two_reviewers_may_review_the_same_prediction(store: FeedbackStore):
    assert store.add("first", WRONG)
    assert store.add("second", WRONG)
    assert len(store.all()) == 2


def test_concurrent_writers_lose_nothing(store: FeedbackStore):
    def write(number: int) -> None:
        for each in range(25):
            store.add(f"{number}-{each % 20}", RIGHT)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(store.all()) == 80


def about(text: str, **fields: object) -> Feedback:
    return Feedback("0" * 32, text_sha256=text, predicted_label="A61", **fields)  # type: ignore[arg-type]


def test_disagreeing_reviewers_open_a_case(store: FeedbackStore, database: Database):
    cases = ReviewStore(database)
    store.add("ada", about("t", correct=True, reviewer="Ada"))
    assert cases.all() == []
    store.add("bob", about("t", correct=False, label="G06", reviewer="Bob"))
    (case,) = cases.all()
    assert (case.prediction_id, case.reason, case.state) == ("0" * 32, "disputed", "open")


def test_a_case_is_opened_for_a_stored_prediction(store: FeedbackStore, database: Database):
    PredictionStore(database).add([prediction(7, text_sha256="t"), prediction(8, text_sha256="t")])
    store.add("ada", about("t", correct=True, reviewer="Ada"))  # a purged prediction
    store.add("bob", about("t", correct=False, label="G06", reviewer="Bob"))
    assert [case.prediction_id for case in ReviewStore(database).all()] == [ID(7)]


def test_feedback_imported_without_predictions_opens_no_case(
    store: FeedbackStore, database: Database
):
    entries = [about("t", correct=True, reviewer="Ada"), about("t", correct=False, reviewer="Bob")]
    given = [FeedbackRow(n, f"key-{n}", datetime.now(UTC), each) for n, each in enumerate(entries)]
    assert store.add_all(given) == 2
    assert ReviewStore(database).all() == []


def test_concurrent_disagreement_opens_a_case(store: FeedbackStore, database: Database):
    for number in range(20):
        text, start = f"text-{number}", threading.Barrier(2)

        def add_feedback(
            name: str, label: str, text: str = text, start: threading.Barrier = start
        ) -> None:
            start.wait()
            feedback = about(text, correct=False, label=label, reviewer=name)
            store.add(f"{name}-{text}", replace(feedback, prediction_id=f"{hash(text):x}"[-20:]))

        threads = [
            threading.Thread(target=add_feedback, args=each)
            for each in (("Ada", "G06"), ("Bob", "H04"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ReviewStore(database).all()) == 20


def test_a_reviewer_who_changes_their_mind_opens_no_case(store: FeedbackStore, database: Database):
    store.add("one", about("t", correct=True, reviewer="Ada"))
    store.add("two", about("t", correct=False, label="G06", reviewer="Ada"))
    assert ReviewStore(database).all() == []


def test_feedback_on_different_texts_is_no_dispute(store: FeedbackStore, database: Database):
    store.add("one", about("t", correct=True, reviewer="Ada"))
    store.add("two", about("u", correct=False, label="G06", reviewer="Bob"))
    assert ReviewStore(database).all() == []
