"""What is kept of a model's answers to held-out rows."""

import numpy as np
import pytest

from patclass.data.corpus import Example
from patclass.labels import LabelTree
from patclass.model.reading import Passage, Reading
from patclass.monitoring import collect
from patclass.monitoring.collect import collect_reference
from patclass.monitoring.reference import Reference, tokens_seen

CODES = ("A", "A01", "A61", "H", "H01")
# A01, A61, and a leaf for all else in H, beside H01.
TREE = LabelTree(
    ("section", "class"),
    (("A", "A01"), ("A", "A61"), ("H",), ("H", "H01")),
    {code: code for code in CODES},
)


def example(number: int, *truth: int | None) -> Example:
    return Example(f"P{number}", "x" * (10 + number), truth, ())


def collected(rows: list[Example], leaves: list[list[float]]) -> Reference:
    readings = [Reading((Passage((1, 2), 0, 5), Passage((2, 9), 5, 10)), 1.0) for _ in rows]
    random = np.random.default_rng(0)
    states = random.normal(size=(len(rows), 8)).astype(np.float32)
    table = np.array(leaves, dtype=np.float32)
    return collect_reference(TREE, rows, readings, states, table, tokens_seen([[1, 2]]))


ROWS = [example(0, 0, 0), example(1, 1, 2), example(2, 0, None), example(3, 1, -1)]
LEAVES = [
    [0.3, 0.3, 0.2, 0.2],  # A, A61 (of equals the later)
    [0.1, 0.1, 0.2, 0.6],  # H, H01
    [0.35, 0.05, 0.3, 0.3],  # H, H01 although A01 alone is more probable
    [0.5, 0.2, 0.2, 0.1],  # A, A01
]


def test_answers_are_those_that_would_be_given():
    found = collected(ROWS, LEAVES)
    assert found.codes == {"section": ("A", "H"), "class": ("A01", "A61", "H01")}
    assert found.answers["section"].tolist() == [0, 1, 1, 0]
    assert found.answers["class"].tolist() == [1, 2, 2, 0]
    assert found.confidences["section"] == pytest.approx([0.6, 0.8, 0.6, 0.7])
    assert found.confidences["class"] == pytest.approx([0.3, 0.6, 0.3, 0.5])


def test_accuracy_is_that_of_the_answers_where_the_truth_is_known():
    found = collected(ROWS, LEAVES)
    assert found.accuracy == {"section": 0.5, "class": pytest.approx(1 / 3)}
    assert collected([example(0, None, None)], LEAVES[:1]).accuracy == {}


def test_lengths_and_new_tokens_of_all_passages_are_kept():
    found = collected(ROWS, LEAVES)
    assert found.chars.tolist() == [10, 11, 12, 13]
    assert found.unseen.tolist() == [0.25] * 4
    assert found.distance.shape == (4,)
    found.check()


def test_of_very_many_rows_some_from_all_over_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collect, "MOST_ROWS", 3)
    assert collected([example(n, 0, 0) for n in range(9)], [LEAVES[0]] * 9).chars.tolist() == [
        *(10, 14, 18)
    ]
