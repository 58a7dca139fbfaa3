"""Selective prediction, computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.evaluation.calibration import operating_points, risk_coverage
from patclass.predictor.calibration import lowest_threshold

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


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        risk_coverage(np.array([]), np.array([], dtype=bool))
