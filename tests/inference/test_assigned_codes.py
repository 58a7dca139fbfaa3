"""All codes of an answer, against figures computed by hand."""

import numpy as np

from patclass.cpc.tree import LabelTree
from patclass.inference.assigned_codes import AssignedCode, assigned_codes

# Leaves A01, A61 and H; nodes A, A01, H, Y: no list of the training rows had A61.
TREE = LabelTree(
    ("section", "class"),
    (("A", "A01"), ("A", "A61"), ("H",)),
    {code: f"Title of {code}" for code in ("A", "A01", "A61", "H", "Y")},
    (("A",), ("A", "A01"), ("H",), ("Y",)),
)
PROBABILITIES = np.array([0.6, 0.3, 0.2, 0.7], dtype=np.float32)
THRESHOLDS = np.array([0.5, 0.5, 0.5, 0.5], dtype=np.float32)


def found(main: tuple[str, ...], *confidences: float) -> list[tuple[str, float, str]]:
    codes = assigned_codes(TREE, PROBABILITIES, None, THRESHOLDS, main, confidences)
    return [(code.code, round(code.probability, 3), code.role) for code in codes]


def test_the_main_path_is_there_whatever_its_probability():
    expected = [("Y", 0.7, "additional"), ("A", 0.6, "main"), ("A01", 0.3, "main")]
    assert found(("A", "A01"), 0.9, 0.8) == expected


def test_a_main_code_that_is_no_node_is_at_most_as_probable_as_its_parent():
    assert found(("A", "A61"), 0.9, 0.8)[-1] == ("A61", 0.6, "main")
    assert found(("A", "A61"), 0.9, 0.4)[-1] == ("A61", 0.4, "main")


def test_a_code_has_title_level_and_precision():
    precisions = np.array([0.5, 0.2, 0, 0.95])
    codes = assigned_codes(TREE, PROBABILITIES, precisions, THRESHOLDS, ("A",), (0.9,))
    first = AssignedCode("Y", "Title of Y", "section", codes[0].probability, 0.95, "additional")
    assert codes[0] == first
    assert codes[1].precision == 0.5
    unlisted = assigned_codes(TREE, PROBABILITIES, precisions, THRESHOLDS, ("A", "A61"), (1, 1))
    assert unlisted[-1].precision is None
