"""Windows beside the reference: how often they ring without drift, and with it."""

from dataclasses import replace

import numpy as np
import pytest

from monitoring_data import CODES, MIX, Stream, shifted
from patclass.monitoring.assess import SIGNALS, Columns, assess, shifts_of
from patclass.monitoring.defaults import WINDOW
from patclass.monitoring.known import Known

WINDOWS = 1000
REFERENCES = 20
REFERENCE_ROWS = 2500


def alarms(live: Stream, windows: int, seed: int = 0) -> list[tuple[str, ...]]:
    """The alarms of windows, which share a reference twenty times."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(REFERENCES):
        reference = Stream().draw(REFERENCE_ROWS, random).reference()
        for _ in range(windows // REFERENCES):
            shifts = shifts_of(reference, live.draw(WINDOW, random).columns())
            found.append(tuple(shift.signal for shift in shifts if shift.alarm))
    return found


def test_of_a_thousand_windows_without_drift_one_in_a_hundred_rings_at_most():
    rung = [found for found in alarms(Stream(), WINDOWS) if found]
    assert len(rung) <= WINDOWS / 100, rung


@pytest.mark.parametrize("label", ["A", "D", "H"])
def test_ten_points_more_of_a_label_ring_within_a_window(label: str):
    live = Stream(mix=shifted(MIX, CODES.index(label), 10))
    rung = ["labels" in found for found in alarms(live, 200)]
    assert np.mean(rung) >= 0.95


def test_what_is_left_of_ten_points_where_answers_are_wrong_rings_too():
    """Of ten points more patents of G a model that is right four times in five shows 7.5."""
    live = Stream(mix=shifted(MIX, CODES.index("G"), 7.5))
    assert np.mean(["labels" in found for found in alarms(live, 200)]) >= 0.95


@pytest.mark.parametrize(
    ("live", "signal"),
    [(Stream(sureness=4.0), "confidence"), (Stream(length=1000.0), "length")],
)
def test_what_shifts_is_named(live: Stream, signal: str):
    found = alarms(live, 40)
    assert np.mean([each == (signal,) for each in found]) > 0.9


def test_a_difference_that_does_not_matter_is_silent_however_many_answers_show_it():
    random = np.random.default_rng(0)
    reference = Stream().draw(100_000, random).reference()
    window = Stream(length=850.0).draw(100_000, random).columns()
    (length,) = [s for s in shifts_of(reference, window) if s.signal == "length"]
    assert length.p < 1e-9
    assert length.ks == pytest.approx(0.06, abs=0.01)
    assert not length.alarm


def test_a_window_says_all_that_there_is_to_say():
    random = np.random.default_rng(0)
    reference = Stream().draw(REFERENCE_ROWS, random).reference()
    rows = Stream(mix=shifted(MIX, 3, 10)).draw(WINDOW, random).rows()
    known = {rows[0].text_sha256: Known(rows[0].label), "unknown": Known("A")}
    found = assess(reference, rows, 7, known)
    assert (found.number, found.rows, found.level) == (7, WINDOW, "section")
    assert [shift.signal for shift in found.shifts] == list(SIGNALS)
    (label,) = [share for share in found.labels if share.label == "D"]
    assert label.window - label.reference == pytest.approx(0.1, abs=0.03)
    accuracy = found.accuracy["section"]
    assert accuracy.estimated == pytest.approx(6 / 7.5, abs=0.02)
    assert (accuracy.judged, accuracy.right, accuracy.measured) == (1, 1, 1.0)


def test_rows_make_the_same_columns_as_what_they_were_made_of():
    random = np.random.default_rng(0)
    drawn = Stream().draw(200, random)
    found, expected = Columns.of(drawn.reference(), drawn.rows()), drawn.columns()
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.chars.tolist() == np.floor(expected.chars).tolist()
    for name in ("confidences", "unseen", "distance"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_old_rows_without_signals_are_no_shift():
    random = np.random.default_rng(0)
    reference = Stream().draw(REFERENCE_ROWS, random).reference()
    rows = [
        replace(row, unseen=None, distance=None) for row in Stream().draw(WINDOW, random).rows()
    ]
    found = {shift.signal: shift for shift in assess(reference, rows, 1).shifts}
    assert found["unseen"].p == found["distance"].p == 1.0
