"""Calibration errors of scores whose true calibration is known; selective prediction by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from patclass.evaluation.calibration import (
    expected_calibration_error,
    operating_points,
    reliability,
    risk_coverage,
    set_report,
)
from patclass.predictor.calibration import lowest_threshold


def test_calibrated_scores_have_a_small_error():
    generator = np.random.default_rng(0)
    sure = generator.random(20_000)
    assert expected_calibration_error(sure, generator.random(20_000) < sure) < 0.02


def test_overconfident_scores_have_the_injected_error():
    generator = np.random.default_rng(0)
    true = generator.uniform(0.3, 0.7, 20_000)
    error = expected_calibration_error(true + 0.2, generator.random(20_000) < true)
    assert error == pytest.approx(0.2, abs=0.02)


def test_a_hand_computed_error():
    sure = np.array([0.95, 0.95, 0.52, 0.52], dtype=np.float32)
    correct = np.array([True, False, True, True])
    # Two predictions are overconfident by 45 points, two underconfident by 48 points.
    assert expected_calibration_error(sure, correct) == pytest.approx((0.45 + 0.48) / 2)


def test_bins_are_open_below_and_closed_above():
    sure, correct = np.array([0.0, 0.5, 0.51, 1.0]), np.array([False, True, True, True])
    bins = reliability(sure, correct, bins=2)
    assert [(b.low, b.high, b.rows) for b in bins] == [(0, 0.5, 2), (0.5, 1, 2)]
    assert bins[0].confidence == pytest.approx(0.25)
    assert bins[0].accuracy == 0.5


def test_a_confidence_rounded_above_one_is_in_the_last_bin():
    bins = reliability(np.array([1.0000001], dtype=np.float32), np.array([True]))
    assert [(b.high, b.confidence) for b in bins] == [(1, 1)]


@given(arrays(np.float32, 30, elements=st.floats(0, 1, width=32)), arrays(np.bool_, 30))
def test_every_prediction_is_in_a_bin_and_the_error_is_between_0_and_1(
    sure: np.ndarray, correct: np.ndarray
):
    bins = reliability(sure, correct)
    assert sum(b.rows for b in bins) == 30
    assert sum(b.rows * b.accuracy for b in bins) == pytest.approx(correct.sum())
    assert all(b.low - 1e-9 <= b.confidence <= b.high + 1e-9 for b in bins)
    assert 0 <= expected_calibration_error(sure, correct) <= 1


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        expected_calibration_error(np.array([]), np.array([], dtype=bool))


INSIDE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)


def test_label_sets_are_counted():
    found = set_report(INSIDE, np.array([0, 2, 1, 2]), 0.9)
    assert (found.target, found.coverage) == (0.9, 0.5)
    assert found.mean_size == pytest.approx(6 / 4)
    assert (found.single, found.empty) == (0.25, 0.25)
    assert found.interval.low < 0.5 < found.interval.high


def test_an_unknown_label_is_in_no_set():
    assert set_report(np.ones((2, 3), dtype=bool), np.array([-1, 0]), 0.9).coverage == 0.5


def test_label_sets_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        set_report(INSIDE, np.array([0]), 0.9)


SURE = np.array([0.6, 0.9, 0.8, 0.7], dtype=np.float32)
HITS = np.array([False, True, True, False])


def test_risk_rises_with_coverage():
    curve = risk_coverage(SURE, HITS)
    assert [(p.coverage, p.risk) for p in curve.points] == [
        (0.25, 0),
        (0.5, 0),
        (0.75, pytest.approx(1 / 3)),
        (1, pytest.approx(1 / 2)),
    ]
    assert curve.aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_share_their_correct_predictions_in_any_order():
    sure = np.array([0.5, 0.5], dtype=np.float32)
    curves = [risk_coverage(sure, np.array(correct)) for correct in ([True, False], [False, True])]
    assert curves[0] == curves[1]
    assert [p.risk for p in curves[0].points] == [0.5, 0.5]


def test_a_long_curve_is_downsampled_and_keeps_both_ends():
    generator = np.random.default_rng(0)
    curve = risk_coverage(generator.random(5000), generator.random(5000) < 0.8)
    assert len(curve.points) == 101
    assert curve.points[0].coverage == 1 / 5000
    assert curve.points[-1].coverage == 1


def test_a_fixed_threshold_counts_what_reaches_it():
    point = operating_points(SURE, HITS)[2]
    assert (point.threshold, point.target, point.rows, point.coverage) == (0.7, None, 3, 0.75)
    assert point.precision == pytest.approx(2 / 3)


def test_a_threshold_above_every_confidence_has_no_precision():
    point = operating_points(SURE, HITS)[5]
    assert (point.threshold, point.rows, point.coverage) == (0.95, 0, 0)
    assert point.precision is None
    assert point.interval is None


def test_the_threshold_of_a_precision_has_the_largest_coverage():
    point = operating_points(SURE, HITS)[-1]
    assert point.target == 0.95
    assert point.threshold == pytest.approx(0.8)
    assert (point.rows, point.precision) == (2, 1)
    assert point.interval is not None
    assert point.interval.low == pytest.approx(0.3424, abs=1e-3)


def test_an_unreachable_precision_has_no_threshold():
    point = operating_points(SURE, np.zeros(4, dtype=bool))[-1]
    assert (point.threshold, point.rows, point.precision) == (None, 0, None)


def test_a_threshold_never_separates_equal_confidences():
    sure = np.array([0.9, 0.9, 0.5], dtype=np.float32)
    assert lowest_threshold(sure, np.array([True, False, True]), 0.9) is None


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_the_lowest_sufficient_threshold_is_chosen(rows: list[tuple[int, bool]]):
    sure = np.array([score / 8 for score, _ in rows], dtype=np.float32)
    correct = np.array([hit for _, hit in rows])
    reached = [t for t in set(sure.tolist()) if correct[sure >= t].mean() >= 0.9]
    assert lowest_threshold(sure, correct, 0.9) == (min(reached) if reached else None)


def test_no_rows_have_no_curve():
    with pytest.raises(ValueError, match="no rows"):
        risk_coverage(np.array([]), np.array([], dtype=bool))
