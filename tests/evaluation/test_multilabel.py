"""Figures of several labels a row: computed by hand, against scikit-learn, and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from patclass.evaluation.multilabel import (
    MultilabelMetrics,
    coverage_error,
    evaluate_multilabel,
    evaluate_multilabel_levels,
    example_f1,
    label_matrix,
    macro_f1,
    micro_f1,
    micro_f1_threshold,
    ndcg_at,
    precision_at,
    ranked,
    recall_at,
)

Y_TRUE = label_matrix([(0, 2), (0,), (1, 3)], 4)
SCORES = np.array(
    [[0.9, 0.5, 0.4, 0.1], [0.2, 0.3, 0.8, 0.6], [0.1, 0.7, 0.2, 0.3]], dtype=np.float32
)
CHOSEN = SCORES >= 0.5
ONCE = np.ones((1, 3), dtype=np.float32)


def random_rows(seed: int, rows: int = 40, labels: int = 12) -> tuple[np.ndarray, ...]:
    """True labels, at least one a row, scores without equal ones, and what is chosen by them."""
    generator = np.random.default_rng(seed)
    y_true = generator.random((rows, labels)) < 0.2
    y_true[np.arange(rows), generator.integers(labels, size=rows)] = True
    scores = generator.random((rows, labels), dtype=np.float32) + 0.5 * y_true
    return y_true, scores, scores > 0.8


def test_labels_are_ranked_by_score_and_equal_ones_in_their_order():
    assert ranked(np.array([[1, 3, 2, 3]], dtype=np.float32), 3).tolist() == [[1, 3, 2]]


def test_rankings_by_hand():
    ranking = ranked(SCORES)
    assert precision_at(Y_TRUE, ranking, 1).tolist() == [1, 0, 1]
    assert precision_at(Y_TRUE, ranking, 3) == pytest.approx([2 / 3, 0, 2 / 3])
    assert precision_at(Y_TRUE, ranking, 5) == pytest.approx([2 / 5, 1 / 5, 2 / 5])
    assert recall_at(Y_TRUE, ranking, 1).tolist() == [0.5, 0, 0.5]
    assert recall_at(Y_TRUE, ranking, 3).tolist() == [1, 0, 1]
    best = 1 + 1 / np.log2(3)
    assert ndcg_at(Y_TRUE, ranking, 5) == pytest.approx([1.5 / best, 1 / np.log2(5), 1])
    assert ndcg_at(Y_TRUE, ranking, 1) == pytest.approx([1, 0, 1])
    assert coverage_error(Y_TRUE, SCORES).tolist() == [3, 4, 2]


def test_f1s_by_hand():
    assert micro_f1(Y_TRUE, CHOSEN, ONCE) == pytest.approx([2 * 2 / (5 + 5)])
    assert macro_f1(Y_TRUE, CHOSEN, ONCE) == pytest.approx([(2 / 3 + 2 / 3 + 0 + 0) / 4])
    assert example_f1(Y_TRUE, CHOSEN) == pytest.approx([1 / 2, 0, 2 / 3])


def test_rows_count_as_often_as_they_were_drawn():
    # The second row twice, the third not at all: label 1 is true nowhere, label 3 neither.
    weights = np.array([[1, 2, 0]], dtype=np.float32)
    assert micro_f1(Y_TRUE, CHOSEN, weights) == pytest.approx([2 * 1 / (4 + 6)])
    assert macro_f1(Y_TRUE, CHOSEN, weights) == pytest.approx([(2 / (3 + 1) + 0) / 2])


@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_scikit_learn(seed: int):
    y_true, scores, chosen = random_rows(seed)
    found = evaluate_multilabel(y_true, scores, chosen, resamples=2)
    assert found.coverage_error.value == pytest.approx(sklearn.coverage_error(y_true, scores))
    assert found.ndcg_at_5.value == pytest.approx(sklearn.ndcg_score(y_true, scores, k=5))
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro"), ("example_f1", "samples")):
        expected = sklearn.f1_score(y_true, chosen, average=average, zero_division=0)
        assert getattr(found, name).value == pytest.approx(expected), name


def test_a_label_that_the_model_lacks_costs_recall_and_f1():
    y_true = np.hstack([Y_TRUE, [[True], [False], [False]]])
    scores = np.hstack([SCORES, np.full((3, 1), -np.inf, dtype=np.float32)])
    chosen = np.hstack([CHOSEN, np.zeros((3, 1), dtype=bool)])
    assert recall_at(y_true, ranked(scores), 3).tolist() == [2 / 3, 0, 1]
    assert micro_f1(y_true, chosen, ONCE) == pytest.approx([2 * 2 / (6 + 5)])
    assert coverage_error(y_true, scores).tolist() == [5, 4, 2]


def test_a_row_without_a_label_counts_only_where_it_can():
    y_true = np.vstack([Y_TRUE, np.zeros((1, 4), dtype=bool)])
    scores = np.vstack([SCORES, SCORES[:1]])
    found = evaluate_multilabel(y_true, scores, np.vstack([CHOSEN, CHOSEN[:1]]), resamples=2)
    assert found.precision_at[1].value == pytest.approx(2 / 4)
    assert found.recall_at[3].value == pytest.approx(2 / 3)
    assert found.coverage_error.value == pytest.approx(9 / 3)
    assert found.micro_f1 is not None
    assert found.micro_f1.value == pytest.approx(2 * 2 / (5 + 7))


def test_nothing_true_and_nothing_chosen_is_right():
    nothing = np.zeros((2, 3), dtype=bool)
    assert example_f1(nothing, nothing).tolist() == [1, 1]
    once = np.ones((1, 2), dtype=np.float32)
    assert (micro_f1(nothing, nothing, once), macro_f1(nothing, nothing, once)) == (0, 0)


def test_a_model_that_only_ranks_has_no_f1():
    found = evaluate_multilabel(Y_TRUE, SCORES, resamples=2)
    assert (found.rows, found.labels) == (3, 4)
    assert found.labels_per_row == pytest.approx(5 / 3)
    assert (found.micro_f1, found.macro_f1, found.example_f1) == (None, None, None)


def test_figures_survive_json():
    found = evaluate_multilabel(Y_TRUE, SCORES, CHOSEN, resamples=5)
    assert MultilabelMetrics.model_validate_json(found.model_dump_json()) == found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 6))
def test_the_threshold_has_the_highest_micro_f1(seed: int, rows: int, labels: int):
    y_true, scores, _ = random_rows(seed, rows, labels)
    scores = scores.round(1)  # with equal ones
    once = np.ones((1, rows), dtype=np.float32)
    found = micro_f1(y_true, scores >= micro_f1_threshold(y_true, scores), once)[0]
    every = [micro_f1(y_true, scores >= lowest, once)[0] for lowest in np.unique(scores)]
    assert found == pytest.approx(max(every))


def test_without_a_true_label_that_is_scored_nothing_is_chosen():
    scores = np.array([[-np.inf, 2.0]], dtype=np.float32)
    assert micro_f1_threshold(np.array([[True, False]]), scores) == float("inf")
    assert micro_f1_threshold(np.array([[True, True]]), scores) == 2.0


def test_what_is_certain_is_chosen_and_counts():
    scores = np.array([[np.inf, 0.9], [np.inf, 0.1]], dtype=np.float32)
    y_true = np.array([[True, False], [True, False]])
    assert micro_f1_threshold(y_true, scores) == float("inf")


def test_levels_count_the_rows_with_a_label_there():
    depths = np.array([0, 0, 1, 1])
    found = evaluate_multilabel_levels(
        ("section", "class", "subclass"), depths, Y_TRUE, SCORES, CHOSEN
    )
    assert {level: metrics.rows for level, metrics in found.items()} == {"section": 3, "class": 2}
    assert found["section"].precision_at[1].value == pytest.approx(2 / 3)
    assert found["class"].precision_at[1].value == 1
    assert evaluate_multilabel_levels(("section",), depths, Y_TRUE, SCORES)["section"].rows == 3


def test_intervals_have_about_the_width_of_the_normal_approximation():
    rows = 1000
    y_true = np.zeros((rows, 2), dtype=bool)
    y_true[:800, 0] = y_true[800:, 1] = True
    scores = np.tile(np.array([1, 0], dtype=np.float32), (rows, 1))
    found = evaluate_multilabel(y_true, scores, scores > 0.5)
    for estimate in (found.precision_at[1], found.micro_f1, found.example_f1):
        assert estimate is not None
        assert estimate.value == pytest.approx(0.8)
        width = estimate.interval.high - estimate.interval.low
        assert width == pytest.approx(2 * 1.96 * (0.16 / rows) ** 0.5, rel=0.12)


@pytest.mark.parametrize(
    ("scores", "chosen"), [(SCORES[:2], None), (SCORES[:, :2], None), (SCORES, CHOSEN[:2])]
)
def test_arrays_of_other_shapes_are_an_error(scores: np.ndarray, chosen: np.ndarray | None):
    with pytest.raises(ValueError, match="differ in shape"):
        evaluate_multilabel(Y_TRUE, scores, chosen)


def test_no_rows_cannot_be_evaluated():
    with pytest.raises(ValueError, match="no rows"):
        evaluate_multilabel(Y_TRUE[:0], SCORES[:0])
