"""The rows that count at a level, and their predictions."""

import numpy as np
import pytest

from patclass.cpc.tree import LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Example
from patclass.evaluation.metrics import evaluate_levels
from patclass.predictor.scored import known_at, predictions_at

TREE = LabelTree(
    ("section", "class"),
    (("A", "A01"), ("A",), ("B", "B60")),
    dict.fromkeys("AB", "") | {"A01": "", "B60": ""},
)
ROWS = [
    Example("1", "x", (0, 0), (0,)),
    Example("2", "x", (1, None), (2,)),
    Example("3", "x", (0, UNKNOWN_LABEL), (1,)),
]
LEAVES = np.array([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8], [0.1, 0.7, 0.2]], dtype=np.float32)


def test_a_row_without_a_known_label_is_ignored():
    places, y_true = known_at(ROWS, 1)
    assert places.tolist() == [0, 2]
    assert y_true.tolist() == [0, UNKNOWN_LABEL]


def test_leaves_are_summed_before_the_label_is_chosen():
    found = predictions_at(ROWS, LEAVES, TREE, "section")
    assert found is not None
    assert found.y_pred.tolist() == [0, 1, 0]
    assert found.confidences == pytest.approx([0.6, 0.8, 0.8])
    assert found.correct.all()


def test_other_is_never_predicted_and_an_unseen_label_never_correct():
    found = predictions_at(ROWS, LEAVES, TREE, "class")
    assert found is not None
    assert found.codes == ["A01", "B60"]
    assert found.y_pred.tolist() == [1, 1]
    assert found.confidences == pytest.approx([0.4, 0.2])
    assert not found.correct.any()


def test_a_level_without_known_labels_is_left_out():
    rows = [Example("1", "x", (0, None), (0,))]
    assert predictions_at(rows, LEAVES[:1], TREE, "class") is None
    assert list(evaluate_levels(rows, LEAVES[:1], TREE)) == ["section"]


def test_each_level_counts_its_own_rows():
    levels = evaluate_levels(ROWS, LEAVES, TREE)
    assert {level: found.rows for level, found in levels.items()} == {"section": 3, "class": 2}
    assert levels["section"].accuracy == 1
