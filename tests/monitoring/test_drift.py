"""Distances between distributions, against figures computed by hand or by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import full
from monitoring_data import CODES, MIX, Stream, shifted
from patclass.core.settings import WINDOW
from patclass.monitoring.accuracy import ReviewedText
from patclass.monitoring.drift import (
    SIGNALS,
    SignalValues,
    assess,
    assessment_text,
    binned,
    jensen_shannon,
    kolmogorov_smirnov,
    label_shift,
    population_stability,
    shifts_of,
)

counts = st.lists(st.integers(0, 500), min_size=3, max_size=8).filter(sum)


def test_psi_matches_a_textbook_example():
    found = population_stability(np.array([60, 30, 10]), np.array([50, 30, 20]))
    assert found == pytest.approx(-0.1 * np.log(5 / 6) + 0.1 * np.log(2))


def test_a_vanished_label_gives_a_large_but_finite_psi():
    assert 0.25 < population_stability(np.array([50, 50]), np.array([100, 0])) < 10


def test_the_jensen_shannon_distance_is_between_0_and_1():
    assert jensen_shannon(np.array([1, 2, 3]), np.array([10, 20, 30])) == pytest.approx(0)
    assert jensen_shannon(np.array([1, 0]), np.array([0, 1])) == pytest.approx(1)


@given(counts, counts)
def test_both_distances_are_symmetric_and_not_negative(a: list[int], b: list[int]):
    size = min(len(a), len(b))
    first, second = np.array(a[:size]), np.array(b[:size])
    if first.sum() and second.sum():
        for distance in (population_stability, jensen_shannon):
            assert distance(first, second) >= -1e-12
            assert distance(first, second) == pytest.approx(distance(second, first))


def test_each_decile_contains_a_tenth_of_the_reference():
    random = np.random.default_rng(0)
    values = random.normal(size=1000)
    assert binned(values, values).tolist() == [100.0] * 10
    assert binned(values, values + 10).tolist() == [0.0] * 9 + [1000.0]


def test_many_equal_values_share_one_bin():
    values = np.array([0.0] * 95 + [0.5] * 5)
    assert binned(values, values).tolist() == [95.0, 5.0]


def test_ks_distinguishes_samples():
    random = np.random.default_rng(0)
    typical = random.normal(size=2000)
    assert kolmogorov_smirnov(typical, random.normal(size=1000))[1] > 0.01
    gap, p = kolmogorov_smirnov(typical, random.normal(0.5, size=1000))
    assert gap == pytest.approx(0.2, abs=0.05)
    assert p < 1e-6


def test_a_shift_of_a_single_label_is_detected():
    assert label_shift([100] * 10, [100] * 10) == 1.0
    assert label_shift([1000] * 40 + [5], [1000] * 40 + [40]) < 1e-3


def test_small_shifts_of_many_labels_are_detected():
    before, after = [500] * 20, [500 + (70 if n % 2 else -70) for n in range(20)]
    assert label_shift(before, after) < 1e-6


@pytest.mark.parametrize("window", [[0, 0], [10, 0], [0, 10]])
def test_a_window_of_at_most_one_label_is_no_shift(window: list[int]):
    assert label_shift([10, 0], window) == 1.0 or window == [0, 10]


def test_chance_is_rarely_detected_as_a_shift():
    random = np.random.default_rng(0)
    mix = np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.01])
    ps = [
        label_shift(random.multinomial(2000, mix), random.multinomial(1000, mix))
        for _ in range(400)
    ]
    assert np.mean(np.array(ps) < 0.05) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


WINDOWS, SHIFTED = full(200, 1000), full(80, 200)
REFERENCES = full(4, 20)
REFERENCE_ROWS = 2500


def alerts(live: Stream, windows: int, seed: int = 0) -> list[tuple[str, ...]]:
    """The alerts of windows that share a few references."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(REFERENCES):
        reference = Stream().draw(REFERENCE_ROWS, random).reference()
        for _ in range(windows // REFERENCES):
            shifts = shifts_of(reference, live.draw(WINDOW, random).columns())
            found.append(tuple(shift.signal for shift in shifts if shift.alert))
    return found


def test_at_most_one_window_in_a_hundred_raises_a_false_alert():
    alerted = [found for found in alerts(Stream(), WINDOWS) if found]
    assert len(alerted) <= WINDOWS / 100, alerted


@pytest.mark.parametrize("label", ["A", "D", "H"])
def test_ten_points_more_of_a_label_raise_an_alert_within_a_window(label: str):
    live = Stream(mix=shifted(MIX, CODES.index(label), 10))
    alerted = ["labels" in found for found in alerts(live, SHIFTED)]
    assert np.mean(alerted) >= 0.95


def test_ten_points_diluted_by_wrong_predictions_raise_an_alert_too():
    """Of ten points more patents of G, a model with an accuracy of 80 % shows 7.5."""
    live = Stream(mix=shifted(MIX, CODES.index("G"), 7.5))
    assert np.mean(["labels" in found for found in alerts(live, SHIFTED)]) >= 0.95


@pytest.mark.parametrize(
    ("live", "signal"),
    [(Stream(sureness=4.0), "confidence"), (Stream(length=1000.0), "length")],
)
def test_only_the_shifted_signal_raises_an_alert(live: Stream, signal: str):
    found = alerts(live, 40)
    assert np.mean([each == (signal,) for each in found]) > 0.9


def test_a_negligible_difference_raises_no_alert_however_large_the_window():
    random = np.random.default_rng(0)
    reference = Stream().draw(100_000, random).reference()
    window = Stream(length=850.0).draw(100_000, random).columns()
    (length,) = [s for s in shifts_of(reference, window) if s.signal == "length"]
    assert length.p < 1e-9
    assert length.ks == pytest.approx(0.06, abs=0.01)
    assert not length.alert


def test_an_assessment_of_a_window_is_complete():
    random = np.random.default_rng(0)
    reference = Stream().draw(REFERENCE_ROWS, random).reference()
    rows = Stream(mix=shifted(MIX, 3, 10)).draw(WINDOW, random).rows()
    known = {rows[0].text_sha256: ReviewedText(rows[0].label), "unknown": ReviewedText("A")}
    found = assess(reference, rows, 7, known)
    assert (found.number, found.rows, found.level) == (7, WINDOW, "section")
    assert [shift.signal for shift in found.shifts] == list(SIGNALS)
    (label,) = [share for share in found.labels if share.label == "D"]
    assert label.window - label.reference == pytest.approx(0.1, abs=0.03)
    accuracy = found.accuracy["section"]
    assert accuracy.estimated == pytest.approx(6 / 7.5, abs=0.02)
    assert (accuracy.reviewed, accuracy.correct, accuracy.measured) == (1, 1, 1.0)


def test_an_assessment_as_text_and_as_json():
    random = np.random.default_rng(0)
    reference = Stream().draw(REFERENCE_ROWS, random).reference()
    rows = Stream(mix=shifted(MIX, 3, 10)).draw(WINDOW, random).rows()
    known = {rows[0].text_sha256: ReviewedText(rows[0].label)}
    assessment = assess(reference, rows, 7, known)
    lines = assessment_text(assessment).splitlines()
    assert lines[0].startswith(f"{WINDOW:,} predictions from 20")
    by_title = {line[:24].strip(): line for line in lines}
    for shift in assessment.shifts:
        assert f"{shift.psi:.3f}" in by_title[SIGNALS[shift.signal].title]
        assert by_title[SIGNALS[shift.signal].title].endswith("yes" if shift.alert else "no")
    assert by_title["Labels"].endswith("yes")
    assert any(f"{assessment.accuracy['section'].estimated:.1%}" in line for line in lines)
    assert any(line.startswith("section") and "100.0%" in line for line in lines)
    assert any(line.startswith("D ") for line in lines)
    assert assessment.number == 7
    assert [shift.signal for shift in assessment.shifts] == list(SIGNALS)
    assert assessment.alerts == ("labels",)


def test_signal_values_round_trip_through_rows():
    random = np.random.default_rng(0)
    drawn = Stream().draw(200, random)
    found, expected = SignalValues.of(drawn.reference(), drawn.rows()), drawn.columns()
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.chars.tolist() == np.floor(expected.chars).tolist()
    for name in ("confidences", "oov_rate", "novelty"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_old_rows_without_signals_are_no_shift():
    random = np.random.default_rng(0)
    reference = Stream().draw(REFERENCE_ROWS, random).reference()
    rows = [
        replace(row, oov_rate=None, novelty=None) for row in Stream().draw(WINDOW, random).rows()
    ]
    found = {shift.signal: shift for shift in assess(reference, rows, 1).shifts}
    assert found["oov_rate"].p == found["novelty"].p == 1.0
