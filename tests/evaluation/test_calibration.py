"""Calibration errors of scores whose true calibration is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from patclass.evaluation.calibration import expected_calibration_error, reliability


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
