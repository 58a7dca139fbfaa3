"""Metrics against figures computed by hand."""

import math

import numpy as np
import pytest

from patclass.evaluation.metrics import Metrics, evaluate

CODES = ["A", "B", "C", "D"]
TRUTH = [0, 0, 1, 1, 2]
# Predicted: A, B, B, B, A. Label D is neither true nor predicted anywhere.
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.3, 0.5, 0.1, 0.1],
        [0.2, 0.6, 0.1, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.6, 0.2, 0.1, 0.1],
    ],
    dtype=np.float32,
)


@pytest.fixture
def metrics() -> Metrics:
    return evaluate(TRUTH, PROBABILITIES, CODES)


def test_accuracy_is_the_share_of_correct_predictions(metrics: Metrics):
    assert metrics.rows == 5
    assert metrics.accuracy == pytest.approx(3 / 5)


def test_confusion_counts_true_labels_in_rows_and_predictions_in_columns(metrics: Metrics):
    assert metrics.confusion == ((1, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0))


def test_precision_recall_and_f1_of_each_label(metrics: Metrics):
    figures = [(c.code, c.precision, c.recall, c.f1, c.support) for c in metrics.per_class]
    assert figures == [
        ("A", pytest.approx(1 / 2), pytest.approx(1 / 2), pytest.approx(1 / 2), 2),
        ("B", pytest.approx(2 / 3), pytest.approx(1), pytest.approx(4 / 5), 2),
        ("C", 0, 0, 0, 1),
        ("D", 0, 0, 0, 0),
    ]


def test_macro_f1_is_the_mean_over_labels_that_occur(metrics: Metrics):
    assert metrics.macro_f1 == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)


def test_loss_is_the_mean_negative_logarithm_of_the_true_label(metrics: Metrics):
    true = (0.7, 0.3, 0.6, 0.5, 0.1)
    assert metrics.loss == pytest.approx(-sum(map(math.log, true)) / 5, abs=1e-6)


def test_a_uniform_prediction_has_the_loss_of_guessing():
    metrics = evaluate([0, 3], np.full((2, 4), 0.25, dtype=np.float32), CODES)
    assert metrics.loss == pytest.approx(math.log(4))


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    metrics = evaluate([0], np.array([[0, 1]], dtype=np.float32), ["A", "B"])
    assert 20 < metrics.loss < 40


def test_perfect_predictions_reach_every_maximum():
    metrics = evaluate([0, 1, 2, 3], np.eye(4, dtype=np.float32), CODES)
    assert (metrics.accuracy, metrics.macro_f1) == (1, 1)
    assert metrics.loss == pytest.approx(0, abs=1e-6)


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        evaluate([], np.zeros((0, 4), dtype=np.float32), CODES)


def test_an_unknown_label_is_wrong_and_in_no_cell():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    metrics = evaluate([-1, 1], probabilities, ["A", "B"])
    assert (metrics.rows, metrics.accuracy) == (2, 0.5)
    assert metrics.confusion == ((0, 0), (0, 1))
    assert metrics.loss == pytest.approx(-math.log(0.8), abs=1e-6)
    assert [c.support for c in metrics.per_class] == [0, 1]


def test_rows_of_unknown_labels_only_have_figures_too():
    metrics = evaluate([-1], np.array([[0.9, 0.1]], dtype=np.float32), ["A", "B"])
    assert (metrics.accuracy, metrics.macro_f1, metrics.loss) == (0, 0, 0)
