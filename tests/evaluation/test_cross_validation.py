"""Folds, corrected intervals, the choice of a method: hand-computed, and against chance."""

import numpy as np
import pytest

from patclass.cpc.tree import LabelSet, LabelTree
from patclass.evaluation.cross_validation import (
    FewShotReport,
    OutOfFold,
    compare_methods,
    corrected_interval,
    folds_of,
    precision_recall,
    share_interval,
)

TREE = LabelTree.flat(LabelSet.of_codes(["drones", "none", "seals"]))
LABELS = [row % 3 for row in range(60)]
GROUPS = [f"family {row // 2}" for row in range(60)]


def test_a_group_is_on_one_side_of_every_fold():
    for train, test in folds_of(LABELS, GROUPS, 0):
        assert not {GROUPS[i] for i in train} & {GROUPS[i] for i in test}
        assert sorted([*train, *test]) == list(range(60))
    assert len(folds_of(LABELS, GROUPS, 0)) == 5
    assert [t.tolist() for _, t in folds_of(LABELS, GROUPS, 0)] != [
        t.tolist() for _, t in folds_of(LABELS, GROUPS, 1)
    ]


def test_labels_of_one_example_each_cannot_be_cross_validated():
    assert folds_of([0, 1, 2], list("abc"), 0) == []
    assert folds_of([], [], 0) == []
    assert len(folds_of([0, 0, 1, 2], list("abcd"), 0)) == 2


def test_the_interval_is_that_of_nadeau_and_bengio():
    values = np.array([0.5, 0.7, 0.6, 0.8])
    found = corrected_interval(values, 0.25)
    # t of three degrees of freedom at 97.5 %, times the root of (1/4 + 0.25) 0.05/3
    reach = 3.18245 * (0.5 * 0.05 / 3) ** 0.5
    assert found.low == pytest.approx(0.65 - reach, abs=1e-5)
    assert found.high == pytest.approx(0.65 + reach, abs=1e-5)


def test_an_interval_is_never_narrower_than_that_of_so_many_rows():
    found = share_interval(np.ones(25), 0.25, 12)
    assert (round(found.low, 4), found.high) == (0.7575, 1.0)


def test_the_curve_leads_from_recall_to_precision():
    curve = precision_recall(np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True]))
    assert [(p.threshold, p.precision, p.recall) for p in curve] == [
        (0.1, 0.5, 1.0),
        (0.4, pytest.approx(2 / 3), 1.0),
        (0.6, 0.5, 0.5),
        (0.9, 1.0, 0.5),
    ]
    assert precision_recall(np.array([0.1]), np.array([False])) == ()
    many = precision_recall(np.linspace(0, 1, 5000), np.arange(5000) % 2 == 0)
    assert len(many) == 100


def out_of_fold(**rates: float) -> OutOfFold:
    """Methods that are right at these rates."""
    splits = [folds_of(LABELS, GROUPS, seed) for seed in range(3)]
    logits = {}
    for seed, (method, rate) in enumerate(rates.items()):
        rng = np.random.default_rng(seed)
        found = rng.normal(0, 1, (3, 60, 3)).astype(np.float32)
        hit = rng.random((3, 60)) < rate
        found[:, np.arange(60), LABELS] += np.where(hit, 6, -6)
        logits[method] = found
    return OutOfFold(TREE, LABELS, GROUPS, splits, logits, None)


def test_a_method_is_chosen_only_if_it_is_better_than_by_chance():
    found = compare_methods(
        out_of_fold(first=0.7, second=0.72, third=0.4), [20] * 3, ["a note"], 0.5
    )
    assert found.method == "first"
    assert [each.method for each in found.figures] == ["first", "second", "third"]
    clear = compare_methods(out_of_fold(first=0.5, second=0.9, third=0.8), [20] * 3, [], 1.0)
    assert clear.method == "second"
    assert [each.method for each in clear.figures] == ["second", "first", "third"]
    behind = clear.figures[1].behind
    assert behind is not None
    assert 0.1 < behind.low < 0.4 < behind.high
    assert clear.figures[0].behind is None


def test_the_report_holds_the_figures_of_the_chosen_method():
    found = compare_methods(out_of_fold(only=0.8), [20] * 3, ["a note"], 0.5)
    figures = found.figures[0]
    assert figures.accuracy_interval.low < figures.accuracy < figures.accuracy_interval.high
    assert figures.macro_f1_interval.low < figures.macro_f1 < figures.macro_f1_interval.high
    assert sum(map(sum, found.confusion)) == 60
    assert [c.support for c in found.per_class] == [20] * 3
    assert set(found.curves) == {"drones", "none", "seals"}
    assert (len(found.logits), len(found.logits[0])) == (60, 3)
    assert FewShotReport.model_validate_json(found.model_dump_json()) == found
    assert "note: a note" in found.text()
    assert "only" in found.text()


def test_without_figures_the_report_says_so():
    found = FewShotReport(method="names", labels=("a", "b"), examples=(0, 0))
    assert found.text() == "method: names; too few examples to measure it"


def test_few_right_predictions_are_no_certainty():
    """The confidence in 60 right predictions is that of one mistake among 61."""
    sure = out_of_fold(only=1.0).probabilities("only")[0].max(axis=1).mean()
    assert 0.97 < sure < 0.99
