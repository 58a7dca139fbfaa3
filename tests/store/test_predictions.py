"""Predictions and those of shadow models, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore, disagreement
from store_rows import ID, prediction


@pytest.fixture
def store(database: Database) -> PredictionStore:
    return PredictionStore(database)


def test_a_prediction_round_trips(store: PredictionStore):
    row = prediction(1, oov_rate=0.02, novelty=1.1, agreement=0.7, text="A text with an ö.")
    store.add([row])
    assert store.get(row.id) == row
    assert store.get(ID(2)) is None


def test_existing_rows_are_not_overwritten(store: PredictionStore):
    store.add([prediction(1)])
    store.add([prediction(1, label="B"), prediction(2)])
    assert store.count() == 2
    found = store.get(ID(1))
    assert found is not None
    assert found.label == "A"


def test_many_rows_are_added_at_once(store: PredictionStore):
    store.add([prediction(number) for number in range(1234)])
    assert store.count() == 1234
    store.add([])
    assert store.count() == 1234


def test_the_latest_of_a_version_are_returned_oldest_first(store: PredictionStore):
    store.add([prediction(n, version="v1" if n % 2 else "v2") for n in range(10)])
    store.add([prediction(11, shadow_of=ID(1))])
    assert [row.id for row in store.latest("v1", 3)] == [ID(5), ID(7), ID(9)]
    assert [row.id for row in store.latest("v1", 100)] == [ID(n) for n in (1, 3, 5, 7, 9)]
    assert store.latest("v3", 3) == []


def test_counts_distinguish_shadows(store: PredictionStore):
    store.add([prediction(1), prediction(2, version="v2", shadow_of=ID(1))])
    assert store.count() == 1
    assert store.count("v2") == 0
    assert store.count("v2", shadow=True) == 1


def test_a_text_is_found_with_any_prediction_or_feedback(
    store: PredictionStore, database: Database
):
    store.add([prediction(1, text_sha256="t"), prediction(2, text_sha256="t", text="kept")])
    given = Feedback(ID(3), True, text_sha256="u", text="sent", predicted_label="A")
    FeedbackStore(database).add("key", given)
    assert [store.text(each) for each in "tuv"] == ["kept", "sent", None]


def test_timestamps_keep_their_time_zone(store: PredictionStore):
    now = datetime.now(UTC)
    store.add([prediction(1, created=now)])
    found = store.get(ID(1))
    assert found is not None
    assert abs(found.created - now) < timedelta(milliseconds=1)


def test_several_predictions_are_found_at_once(database: Database):
    store = PredictionStore(database)
    store.add([prediction(n) for n in range(700)])
    found = store.get_many([ID(n) for n in range(690, 1400)])
    assert found == {ID(n): prediction(n) for n in range(690, 700)}
    assert store.get_many([]) == {}


def test_a_shadow_is_compared_with_the_served_predictions(database: Database):
    live = [prediction(n, label="A" if n < 6 else "B") for n in range(10)]
    shadow = [
        prediction(100 + n, version="v2", shadow_of=ID(n), label="A" if n < 8 else "C")
        for n in range(10)
    ]
    PredictionStore(database).add([*live, *shadow])
    found = disagreement(database, "v2")
    assert (found.rows, found.differ) == (10, 4)
    assert found.pairs == (("B", "A", 2), ("B", "C", 2))
    assert found.text().startswith("shadow: 4 of 10 predictions differ (40.0%)\n  B -> A: 2")


def test_without_a_shadow_nothing_differs(database: Database):
    PredictionStore(database).add([prediction(1)])
    assert disagreement(database, "v2").rows == 0
