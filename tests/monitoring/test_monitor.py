"""Windows of a real store."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring_data import MIX, Stream, shifted
from patclass.monitoring.monitor import Monitor, MonitoredModel
from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.history import ALERT, EventStore
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.purge import purge_before
from store_rows import ID, prediction

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def monitored() -> MonitoredModel:
    reference = Stream().draw(2000, np.random.default_rng(0)).reference()
    return MonitoredModel("default", "v1", reference)


def store_predictions(database: Database, live: Stream, count: int) -> Sequence[PredictionRow]:
    """Store the given number of further predictions, one per minute."""
    store = PredictionStore(database)
    before = store.count()
    drawn = live.draw(count, np.random.default_rng(before)).rows()
    rows = [
        PredictionRow(
            **vars(row)
            | {
                **{"id": ID(number), "text_sha256": f"{number:064x}"},
                "created": BEGIN + timedelta(minutes=number),
            }
        )
        for number, row in enumerate(drawn, before)
    ]
    store.add(rows)
    return rows


@pytest.mark.parametrize("window", [50, 100])
def test_windows_start_a_quarter_of_a_window_apart(
    database: Database, monitored: MonitoredModel, window: int
):
    """Even if a quarter is not an integer; the first one ends with the first full window."""
    monitor = Monitor(database, window)
    store_predictions(database, Stream(), window - 1)
    assert monitor.last(monitored) is None
    assert monitor.series(monitored, 5) == []
    store_predictions(database, Stream(), window + 1)
    ends = [window + step * monitor.step for step in range(5)]
    found = monitor.series(monitored, 100)
    assert [each.number for each in found] == [end for end in ends if end <= 2 * window]
    assert {each.rows for each in found} == {window}
    assert found[1].begin - found[0].begin == timedelta(minutes=monitor.step)
    assert monitor.last(monitored) == found[-1] == monitor.series(monitored, 2)[-1]


def test_predictions_of_other_versions_and_shadows_are_left_out(
    database: Database, monitored: MonitoredModel
):
    monitor = Monitor(database, 50)
    others = [prediction(1000 + n, version="v2") for n in range(40)]
    shadows = [prediction(2000 + n, shadow_of=ID(n)) for n in range(40)]
    PredictionStore(database).add([*others, *shadows])
    store_predictions(database, Stream(), 40)
    assert monitor.last(monitored) is None


def test_a_shift_raises_one_alert_per_window(database: Database, monitored: MonitoredModel):
    monitor = Monitor(database, 400)
    store_predictions(database, Stream(), 400)
    typical = monitor.last(monitored)
    assert typical is not None
    assert not monitor.record_alert(monitored, typical)
    store_predictions(database, Stream(mix=shifted(MIX, 3, 20), sureness=2.0), 400)
    last = monitor.last(monitored)
    assert last is not None
    assert {"labels", "confidence"} <= set(last.alerts)
    assert [monitor.record_alert(monitored, last) for _ in range(3)] == [True, False, False]
    (event,) = EventStore(database).latest(ALERT)
    assert event.version == "v1"
    assert event.details["model"] == "default"
    assert set(event.details["signals"]) == set(last.alerts)
    assert datetime.fromisoformat(event.details["end"]) == last.end


def test_feedback_is_counted_in_the_windows_that_contain_its_texts(
    database: Database, monitored: MonitoredModel
):
    rows = store_predictions(database, Stream(), 100)
    feedback = FeedbackStore(database)
    for number, row in enumerate((*rows[:2], *rows[98:])):
        entry = Feedback(
            row.id,
            number != 1,
            predicted_label=row.label,
            text_sha256=row.text_sha256,
            version="v1",
        )
        feedback.add(f"feedback-{number}", entry)
    windows = Monitor(database, 60).series(monitored, 10)
    accuracies = [each.accuracy["section"] for each in windows]
    assert [(a.reviewed, a.correct) for a in accuracies] == [(2, 1), (0, 0), (0, 0)]


def test_windows_continue_after_old_predictions_are_deleted(
    database: Database, monitored: MonitoredModel
):
    store_predictions(database, Stream(), 100)
    monitor = Monitor(database, 60)
    before = monitor.last(monitored)
    purge_before(database, BEGIN + timedelta(minutes=10))
    after = monitor.last(monitored)
    assert before is not None
    assert after is not None
    assert after.begin >= BEGIN + timedelta(minutes=10)
    assert monitor.end("v1") == 90


@pytest.mark.parametrize(
    ("before", "end", "steps"), [(0, 1000, 1), (100, 115, 1), (100, 160, 4), (200, 100, 1)]
)
def test_missed_windows_are_checked_later(database: Database, before: int, end: int, steps: int):
    assert Monitor(database, 60).steps(before, end) == steps
