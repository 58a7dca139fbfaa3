"""The two baselines: correct where possible, and never a reason for a report to fail."""

import numpy as np
import pytest

from patclass.evaluation import baselines
from patclass.evaluation.baselines import (
    LabelledTexts,
    MultilabelTexts,
    majority,
    tfidf_one_vs_rest,
    tfidf_regression,
)
from patclass.evaluation.multilabel import label_matrix

CODES = ["A", "B", "C"]
WORDS = {0: "plough soil harvest", 1: "welding torch nozzle", 2: "polymer catalyst acid"}


def rows(*labels: int, start: int = 0) -> LabelledTexts:
    """Rows whose words determine the label."""
    texts = [f"{WORDS[label]} number{number}" for number, label in enumerate(labels, start)]
    return LabelledTexts(texts, labels)


def test_majority_predicts_the_most_frequent_label_of_train():
    metrics = majority(rows(1, 1, 1, 0, 2), rows(0, 1, 1, 2), CODES)
    assert metrics.accuracy == pytest.approx(2 / 4)
    assert [sum(column) for column in zip(*metrics.confusion, strict=True)] == [0, 4, 0]


def test_majority_predicts_the_label_shares_of_train():
    metrics = majority(rows(0, 0, 0, 1), rows(0, 1), ["A", "B"])
    assert metrics.loss == pytest.approx(-(np.log(3 / 4) + np.log(1 / 4)) / 2, abs=1e-6)


def test_regression_separates_separable_texts():
    train, seen, unseen = rows(*[0, 1, 2] * 8), rows(0, 1, 2, start=50), rows(2, 1, 0, start=60)
    metrics = tfidf_regression(train, seen, unseen, CODES)
    assert metrics.accuracy == 1
    assert metrics.loss < np.log(3)


def test_regression_learns_nothing_from_uninformative_texts():
    train = LabelledTexts(["the same words everywhere"] * 20, [0, 1] * 10)
    metrics = tfidf_regression(train, train, train, ["A", "B"])
    assert metrics.accuracy == pytest.approx(0.5)
    assert metrics.loss == pytest.approx(np.log(2), abs=1e-3)


def test_regression_uses_word_pairs():
    # Each word occurs under both labels; only the word beside it distinguishes them.
    pairs = ["valve closed. pump open", "valve open. pump closed"]
    train = LabelledTexts(pairs * 10, [0, 1] * 10)
    assert tfidf_regression(train, train, train, ["A", "B"]).accuracy == 1


def test_a_label_absent_from_train_is_counted_and_never_predicted():
    train, test = rows(*[0, 1] * 6), rows(0, 1, 2, start=90)
    for metrics in (
        majority(train, test, CODES),
        tfidf_regression(train, train, test, CODES),
    ):
        assert [c.code for c in metrics.per_class] == CODES
        assert metrics.confusion[2][2] == 0
        assert sum(metrics.confusion[2]) == 1
        assert np.isfinite(metrics.loss)


def test_only_the_head_of_a_long_text_is_used():
    tail = " plough" * 3000
    train = rows(*[0, 1] * 6)
    test = LabelledTexts(["welding torch nozzle " + "the " * 3000 + tail], [1])
    assert tfidf_regression(train, train, test, CODES).accuracy == 1


def test_texts_without_words_do_not_fail_a_report():
    train = LabelledTexts(["x = 1", "y > 2"], [0, 1])
    assert np.isfinite(tfidf_regression(train, train, train, ["A", "B"]).loss)


def test_an_unknown_label_is_wrong_whatever_the_prediction():
    test = LabelledTexts(["plough soil", "anything"], [0, -1])
    assert majority(rows(0, 0, 1), test, CODES).accuracy == 0.5
    assert tfidf_regression(rows(*[0, 1] * 6), rows(0, 1), test, CODES).accuracy == 0.5


def test_with_one_label_in_train_only_the_majority_baseline_is_fitted():
    metrics = tfidf_regression(rows(1, 1, 1), rows(0, 1), rows(0, 1), CODES)
    assert metrics == majority(rows(1, 1, 1), rows(0, 1), CODES)


def test_without_validation_rows_the_baselines_are_fitted_too():
    train = rows(*[0, 1, 2] * 8)
    assert tfidf_regression(train, LabelledTexts([], []), rows(2, 1), CODES).accuracy == 1


def test_many_labels_are_fitted_with_fewer_features(monkeypatch: pytest.MonkeyPatch):
    fitted = []
    real = baselines._fit

    def spy(features: object, labels: list[int], strength: float, steps: int) -> object:
        fitted.append((features.dtype, features.shape[1], strength, steps))
        return real(features, labels, strength, steps)

    monkeypatch.setattr(baselines, "_fit", spy)
    monkeypatch.setattr(baselines, "MANY_LABELS_WEIGHTS", 60 * 100)
    labels = [n % 60 for n in range(120)]
    train = LabelledTexts([f"word{label} number{n}" for n, label in enumerate(labels)], labels)
    codes = [f"L{n}" for n in range(60)]
    assert tfidf_regression(train, train, train, codes).rows == 120
    assert fitted == [(np.float32, 100, 4.0, 100), (np.float32, 100, 16.0, 100)]


def texts_of(*carried: tuple[int, ...], start: int = 0) -> MultilabelTexts:
    """Rows whose words determine all labels; label 3 is the parent of 0 and 1."""
    texts = [
        f"{' '.join(WORDS[label] for label in labels if label in WORDS)} number{number}"
        for number, labels in enumerate(carried, start)
    ]
    return MultilabelTexts(texts, label_matrix(carried, 5))


LEVELS, DEPTHS = ("coarse", "fine"), np.array([1, 1, 1, 0, 1])
CARRIED = [(0, 3), (1, 3), (2,), (0, 1, 3), (0, 2, 3)]


def test_one_regression_for_each_label_finds_all_of_them():
    train, seen = texts_of(*CARRIED * 6), texts_of(*CARRIED, start=50)
    found = tfidf_one_vs_rest(train, seen, texts_of(*CARRIED, start=90), LEVELS, DEPTHS)
    assert [*found] == ["coarse", "fine"]
    for metrics in found.values():
        assert metrics.precision_at[1].value == 1
        assert (metrics.micro_f1.value, metrics.example_f1.value) == (1, 1)


def test_a_label_with_too_few_training_rows_is_missed_and_ranks_last():
    train = texts_of(*CARRIED * 6, (4,))
    found = tfidf_one_vs_rest(train, texts_of(*CARRIED), texts_of((0, 4, 3)), LEVELS, DEPTHS)
    fine = found["fine"]
    assert fine.micro_f1.value == pytest.approx(2 * 1 / (2 + 1))
    assert fine.coverage_error.value == 4


def test_a_label_that_all_rows_carry_is_always_chosen():
    carried = [(0, 3), (1, 3), (0, 1, 3)]
    found = tfidf_one_vs_rest(
        texts_of(*carried * 6), texts_of(*carried), texts_of(*carried), LEVELS, DEPTHS
    )
    assert found["coarse"].micro_f1.value == 1
