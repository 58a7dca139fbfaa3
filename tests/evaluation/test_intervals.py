"""Intervals against published values and their nominal coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.evaluation.intervals import bootstrap, wilson
from patclass.evaluation.metrics import evaluate


@pytest.mark.parametrize(
    ("correct", "rows", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_intervals(correct: int, rows: int, low: float, high: float):
    found = wilson(correct, rows)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_share_and_stays_between_0_and_1(case: tuple[int, int]):
    correct, rows = case
    found = wilson(correct, rows)
    assert 0 <= found.low <= correct / rows <= found.high <= 1


@pytest.mark.parametrize(("correct", "rows"), [(0, 0), (3, 2), (-1, 2)])
def test_an_invalid_share_is_an_error(correct: int, rows: int):
    with pytest.raises(ValueError, match="no share"):
        wilson(correct, rows)


def test_wilson_has_about_the_nominal_coverage():
    drawn = np.random.default_rng(0).binomial(60, 0.9, size=2000)
    held = [
        wilson(correct, 60).low <= 0.9 <= wilson(correct, 60).high for correct in drawn.tolist()
    ]
    assert 0.93 < np.mean(held) < 0.98


def test_bootstrap_of_accuracy_agrees_with_the_normal_approximation():
    y_true = np.zeros(1000, dtype=np.intp)
    y_pred = np.where(np.arange(1000) < 800, 0, 1)
    found = bootstrap(y_true, y_pred, 2, resamples=4000).accuracy
    assert (found.low + found.high) / 2 == pytest.approx(0.8, abs=0.003)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.16 / 1000) ** 0.5, rel=0.08)


def test_bootstrap_computes_the_same_figures_as_metrics():
    # With one resample, both bounds are the figure of that resample.
    generator = np.random.default_rng(5)
    y_true, y_pred = generator.integers(-1, 4, 50), generator.integers(0, 4, 50)
    drawn = np.random.default_rng(7).integers(50, size=(1, 50))[0]
    found = bootstrap(y_true, y_pred, 4, resamples=1, seed=7)
    expected = evaluate(y_true[drawn], np.eye(4, dtype=np.float32)[y_pred[drawn]], list("ABCD"))
    assert found.macro_f1.low == found.macro_f1.high == pytest.approx(expected.macro_f1)
    assert found.accuracy.low == pytest.approx(expected.accuracy)


def test_bootstrap_of_macro_f1_has_about_the_nominal_coverage():
    # The recall of each label is 0.7 and errors are spread evenly: macro F1 is 0.7.
    generator = np.random.default_rng(1)
    held = []
    for seed in range(200):
        y_true = generator.integers(0, 3, 300)
        wrong = (y_true + generator.integers(1, 3, 300)) % 3
        y_pred = np.where(generator.random(300) < 0.7, y_true, wrong)
        found = bootstrap(y_true, y_pred, 3, resamples=200, seed=seed).macro_f1
        held.append(found.low <= 0.7 <= found.high)
    assert np.mean(held) > 0.89


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(0, 9),
)
def test_bootstrap_is_ordered_bounded_and_reproducible(rows: list[tuple[int, int]], seed: int):
    y_true, y_pred = np.array(rows, dtype=np.intp).T
    found = bootstrap(y_true, y_pred, 5, resamples=50, seed=seed)
    assert found == bootstrap(y_true, y_pred, 5, resamples=50, seed=seed)
    for interval in (found.accuracy, found.macro_f1):
        assert 0 <= interval.low <= interval.high <= 1


def test_perfect_predictions_have_no_spread():
    y_true = np.arange(30) % 3
    found = bootstrap(y_true, y_true, 3, resamples=20)
    assert (found.accuracy.low, found.macro_f1.high) == (1, 1)


def test_no_rows_cannot_be_resampled():
    empty = np.array([], dtype=np.intp)
    with pytest.raises(ValueError, match="no rows"):
        bootstrap(empty, empty, 3)
