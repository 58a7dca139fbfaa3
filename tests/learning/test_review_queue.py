"""Which predictions wait for reviewers, and in which order."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from patclass.learning.review_queue import (
    REASONS,
    SAMPLE_SHARE,
    ClaimedReview,
    ReviewQueue,
    review_item_of,
)
from patclass.service.reviews import ReviewsResponse
from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.reviews import LEASE, ReviewStore
from patclass.store.tables import reviews
from store_rows import ID, prediction

LABELS = "ABCDEFGH"


def prediction_row(number: int, label: str = "A", **fields: Any) -> PredictionRow:
    """A prediction with a text and, by default, no reason for a review."""
    levels = {"section": (label, 0.9), "class": (f"{label}01", 0.6)}
    return prediction(number, **{"label": label, "levels": levels, "text": f"t{number}"} | fields)


def in_sample(number: int) -> bool:
    found = review_item_of(prediction(number), disputed=False)
    return found is not None and found.reason == "sample"


SAMPLE = [number for number in range(2000) if in_sample(number)]
OTHERS = [number for number in range(2000) if not in_sample(number)]


@pytest.fixture
def queue(database: Database) -> ReviewQueue:
    return ReviewQueue(database)


def add(database: Database, *rows: PredictionRow) -> None:
    PredictionStore(database).add(rows)


def unsure(number: int, label: str = "A", confidence: float = 0.3, **fields: Any) -> PredictionRow:
    return prediction_row(number, label, sure=False, confidence=confidence, **fields)


def ids(queue: ReviewQueue) -> list[str]:
    return [each.prediction.id for each in queue.pending(["v1"]).items]


def claim(queue: ReviewQueue, reviewer: str = "Ada") -> ClaimedReview:
    found = queue.claim(reviewer, ["v1"])
    assert found is not None
    return found


def feedback_on(number: int, label: str = "B", **fields: Any) -> Feedback:
    given: dict[str, Any] = {
        "predicted_label": "A",
        "text_sha256": f"{number:064x}",
        "reviewer": "Ada",
    }
    return Feedback(ID(number), False, label, **given | fields)


def dispute(database: Database, number: int, **fields: Any) -> None:
    store = FeedbackStore(database)
    store.add(f"one-{number}", feedback_on(number, "B", reviewer="Bob", **fields))
    store.add(f"two-{number}", feedback_on(number, "C", reviewer="Cleo", **fields))


def decide_all(queue: ReviewQueue, database: Database, count: int) -> list[ClaimedReview]:
    """The cases of one reviewer who decides each of them immediately."""
    found = []
    for number in range(count):
        case = claim(queue)
        decided = Feedback(
            *(case.prediction.id, True),
            **{
                "reviewer": "Ada",
                "predicted_label": "A",
                "text_sha256": case.prediction.text_sha256,
            },
        )
        ReviewStore(database).decide(f"decision-{number}", decided)
        found.append(case)
    return found


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"sure": False}, "unsure"),
        ({"confidence": 0.49}, "unsure"),
        ({"agreement": 0.1}, "neighbours"),
        ({"agreement": 0.2}, None),
        ({"novelty": 1.6}, "drifted"),
        ({"novelty": 0.4}, "drifted"),
        ({"novelty": 1.0, "oov_rate": 0.01}, None),
        ({"novelty": 1.0, "oov_rate": 0.06}, "drifted"),
        ({"sure": False, "agreement": 0.0, "novelty": 9.0}, "unsure"),
    ],
)
def test_a_review_item_has_a_reason(fields: dict[str, Any], reason: str | None):
    found = review_item_of(prediction_row(OTHERS[0], **fields), disputed=False)
    assert (None if found is None else found.reason) == reason


def test_all_reasons_have_descriptions_and_are_in_the_api():
    waiting = ReviewsResponse.model_json_schema()["properties"]["waiting"]
    assert set(waiting["propertyNames"]["enum"]) == set(REASONS)


def test_signs_of_uncertainty_raise_the_priority():
    fine = {"confidence": 0.9}
    rows = [
        prediction_row(OTHERS[0], **fine, novelty=2.0),
        prediction_row(OTHERS[0], **fine, agreement=0.1),
        unsure(OTHERS[0], confidence=0.6),
    ]
    found = [review_item_of(row, disputed=False) for row in rows]
    assert [round(each.priority, 2) for each in found if each] == [0.55, 0.5, 0.4]


@given(number=st.integers(0, 2**128 - 1), confidence=st.floats(0, 1), sure=st.booleans())
def test_the_sample_depends_on_the_id_alone(number: int, confidence: float, sure: bool):
    fields = {"confidence": confidence, "sure": sure, "agreement": confidence, "novelty": 9.0}
    found = review_item_of(prediction_row(number, **fields), disputed=False)
    assert (found is not None and found.reason == "sample") == in_sample(number)
    disputed = review_item_of(prediction_row(number, **fields), disputed=True)
    assert disputed is not None
    assert disputed.reason == "disputed"


def test_the_sample_has_the_configured_share():
    assert (
        abs(len(SAMPLE) / 2000 - SAMPLE_SHARE)
        < 3 * (SAMPLE_SHARE * (1 - SAMPLE_SHARE) / 2000) ** 0.5
    )


def test_sure_predictions_and_those_of_other_models_are_not_queued(
    queue: ReviewQueue, database: Database
):
    add(database, prediction_row(OTHERS[0]), unsure(OTHERS[1], version="v0"))
    add(database, unsure(OTHERS[2], shadow_of=ID(OTHERS[0])))
    assert ids(queue) == []
    assert queue.claim("Ada", ["v1"]) is None


def test_disputes_come_first_then_the_least_confident(queue: ReviewQueue, database: Database):
    add(
        database,
        unsure(OTHERS[0], "A", 0.4),
        unsure(OTHERS[1], "B", 0.2),
        prediction_row(OTHERS[2]),
    )
    dispute(database, OTHERS[2])
    assert ids(queue) == [ID(OTHERS[number]) for number in (2, 1, 0)]
    case = claim(queue)
    assert (case.reason, len(case.feedback)) == ("disputed", 2)


def test_a_dispute_waits_whatever_its_age_and_model(queue: ReviewQueue, database: Database):
    add(database, prediction_row(OTHERS[0], version="v0", text=None))
    dispute(database, OTHERS[0])
    assert queue.pending(["v1"]).without_text == 1
    dispute(database, OTHERS[0] + 10_000)  # of a deleted prediction
    store = FeedbackStore(database)
    store.add("three", feedback_on(OTHERS[0], "D", reviewer="Dora", text="given"))
    assert claim(queue).prediction.text == "given"


def test_a_resolved_dispute_is_not_queued(queue: ReviewQueue, database: Database):
    add(database, prediction_row(OTHERS[0]))
    dispute(database, OTHERS[0])
    FeedbackStore(database).add("agreed", feedback_on(OTHERS[0], "B", reviewer="Cleo"))
    assert ids(queue) == []


def test_reviewed_predictions_are_not_queued(queue: ReviewQueue, database: Database):
    add(database, unsure(OTHERS[0]), unsure(OTHERS[1]))
    FeedbackStore(database).add("reviewed", feedback_on(OTHERS[0]))
    assert ids(queue) == [ID(OTHERS[1])]
    withdrawn = feedback_on(OTHERS[0], withdraws="reviewed")
    FeedbackStore(database).add("withdrawn", withdrawn)
    assert len(ids(queue)) == 2


def test_sampled_predictions_are_queued_even_if_already_reviewed(
    queue: ReviewQueue, database: Database
):
    """Reviewers tend to report mistakes, so unreviewed predictions would be a biased sample."""
    add(database, prediction_row(SAMPLE[0], text="a"), prediction_row(SAMPLE[1], text="b"))
    FeedbackStore(database).add("reviewed", feedback_on(SAMPLE[0]))
    assert set(ids(queue)) == {ID(SAMPLE[0]), ID(SAMPLE[1])}
    assert {case.reason for case in decide_all(queue, database, 2)} == {"sample"}
    assert ids(queue) == []


def test_a_claimed_case_is_not_assigned_to_another_reviewer(queue: ReviewQueue, database: Database):
    add(database, unsure(OTHERS[0]), unsure(OTHERS[1]))
    first = claim(queue)
    assert claim(queue, "Ada").prediction == first.prediction
    second = claim(queue, "Bob")
    assert second.prediction.id != first.prediction.id
    assert ids(queue) == []
    assert queue.claim("Cleo", ["v1"]) is None


def test_an_expired_claim_is_assigned_again(queue: ReviewQueue, database: Database):
    add(database, unsure(OTHERS[0]))
    claim(queue, "Bob")
    with database.write() as connection:
        late = datetime.now(UTC) - LEASE - timedelta(seconds=1)
        connection.execute(update(reviews).values(updated=late, created=late))
    assert claim(queue, "Ada").prediction.id == ID(OTHERS[0])


def test_one_text_is_one_case(queue: ReviewQueue, database: Database):
    same = {"text_sha256": "t", "text": "t"}
    add(
        database,
        unsure(OTHERS[0], **same),
        unsure(OTHERS[1], **same),
        prediction_row(SAMPLE[0], **same),
    )
    assert ids(queue) == [ID(SAMPLE[0])]
    claim(queue, "Ada")
    assert queue.claim("Bob", ["v1"]) is None


def test_predictions_without_a_text_are_only_counted(queue: ReviewQueue, database: Database):
    add(
        database,
        unsure(OTHERS[0], text=None),
        unsure(OTHERS[1], text=None),
        prediction_row(OTHERS[2]),
    )
    waiting = queue.pending(["v1"])
    assert (waiting.items, waiting.without_text) == ((), 2)


def test_a_text_stored_once_is_enough(queue: ReviewQueue, database: Database):
    add(database, unsure(OTHERS[0], text_sha256="t", text=None))
    add(database, prediction_row(OTHERS[1], text_sha256="t", text="stored"))
    assert claim(queue).prediction.text == "stored"


def test_a_released_case_comes_last_for_a_while(queue: ReviewQueue, database: Database):
    add(database, *(unsure(OTHERS[n], confidence=0.1 * n) for n in range(1, 4)))
    first = claim(queue)
    ReviewStore(database).release(first.prediction.id, "Ada")
    assert [claim(queue, name).prediction.id for name in ("Ada", "Bob", "Cleo")] == [
        ID(OTHERS[number]) for number in (2, 3, 1)
    ]


def test_a_released_case_regains_its_place_later(queue: ReviewQueue, database: Database):
    add(database, *(unsure(OTHERS[n], confidence=0.1 * n) for n in range(1, 4)))
    first = claim(queue)
    ReviewStore(database).release(first.prediction.id, "Ada")
    with database.write() as connection:
        late = datetime.now(UTC) - LEASE - timedelta(seconds=1)
        connection.execute(update(reviews).values(updated=late, created=late - LEASE))
    assert claim(queue, "Bob").prediction.id == first.prediction.id


@pytest.mark.parametrize("labels", ["AB", "ABCD", LABELS])
def test_labels_alternate(queue: ReviewQueue, database: Database, labels: str):
    """Even if all predictions of one label are less confident than those of the others."""
    rows = [
        unsure(OTHERS[number], label, 0.01 * place + 0.0001 * number)
        for place, label in enumerate(labels)
        for number in range(40 * place, 40 * place + 40)
    ]
    add(database, *rows)
    listed = [each.prediction.label for each in queue.pending(["v1"]).items[:20]]
    given = [case.prediction.label for case in decide_all(queue, database, 20)]
    for found in (listed, given):
        for start in range(11):
            assert len(set(found[start : start + 10])) == len(labels)


def test_a_new_label_alternates_with_the_others(queue: ReviewQueue, database: Database):
    add(database, *(unsure(number, "A", 0.1) for number in OTHERS[:30]))
    decide_all(queue, database, 12)
    add(database, *(unsure(number, "B", 0.4) for number in OTHERS[30:60]))
    found = [claim(queue, f"reviewer {n}").prediction.label for n in range(6)]
    assert "".join(found) == "BABABA"


def test_every_fifth_case_is_from_the_sample_while_available(
    queue: ReviewQueue, database: Database
):
    add(database, *(unsure(number) for number in OTHERS[:30]))
    add(database, *(prediction_row(number) for number in SAMPLE[:3]))
    found = [case.reason for case in decide_all(queue, database, 20)]
    assert [place for place, reason in enumerate(found) if reason == "sample"] == [4, 9, 14]


def test_the_order_of_the_sample_does_not_depend_on_confidence(
    queue: ReviewQueue, database: Database
):
    add(database, *(unsure(n, LABELS[n % 8], 0.01 * (n % 40)) for n in SAMPLE[:50]))
    before = ids(queue)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE predictions SET confidence = 1 - confidence, sure = 1")
    assert ids(queue) == before


def test_concurrent_reviewers_never_get_the_same_case(queue: ReviewQueue, database: Database):
    add(database, *(unsure(n, LABELS[n % 8], text_sha256=f"{n // 2:064x}") for n in range(60)))
    found: list[str] = []

    def claim_case(name: str) -> None:
        found.append(claim(queue, name).prediction.text_sha256)

    threads = [threading.Thread(target=claim_case, args=(f"reviewer {n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 20
