"""Feedback compared with two models' predictions, each at the level that it reaches."""

import numpy as np

from patclass.data.examples import FeedbackExample
from patclass.learning.gate import LevelPredictions
from patclass.learning.promotion import _feedback_rows
from patclass.learning.training_data import GATE, FeedbackParts

EXAMPLES = [
    FeedbackExample("a", "loom", "D"),
    FeedbackExample("b", "drill", "E21B"),
    FeedbackExample("c", "soap", "C11"),
]
LABELS = {
    "section": frozenset("CDE"),
    "class": frozenset({"C11", "D03", "E21"}),
    "subclass": frozenset({"C11D", "D03D", "E21B"}),
}


def predictions(*codes: str) -> dict[str, LevelPredictions]:
    """A model's predictions for the three texts at each level, with the confidence of its size."""
    return {
        level: LevelPredictions(
            [code[:size] for code in codes], np.full(3, size / 10, dtype=np.float32)
        )
        for level, size in (("section", 1), ("class", 3), ("subclass", 4))
    }


def test_feedback_is_compared_at_the_finest_level_that_it_reaches():
    parts = FeedbackParts({GATE: EXAMPLES}, frozenset({"b"}), {}, 1, 3)
    champion, candidate = predictions("D03D", "E21D", "C11D"), predictions("D03D", "E21B", "C12D")
    rows = _feedback_rows(parts, LABELS, champion, candidate)
    assert rows.y_true == ["D", "E21B", "C11"]
    assert rows.champion.labels == ["D", "E21D", "C11"]
    assert rows.candidate.labels == ["D", "E21B", "C12"]
    assert rows.candidate.confidences.round(1).tolist() == [
        *np.array([0.1, 0.4, 0.3], dtype=np.float32).tolist()
    ]
    assert rows.sampled == [False, True, False]


def test_at_the_coarsest_level_all_feedback_is_a_section():
    parts = FeedbackParts({GATE: EXAMPLES}, frozenset(), {}, 1, 3)
    coarsest = {"section": LABELS["section"]}
    rows = _feedback_rows(
        parts, coarsest, predictions("D", "E21B", "C11D"), predictions("D", "E", "C")
    )
    assert rows.y_true == rows.champion.labels == ["D", "E", "C"]
