"""Verdicts beside two models' answers, each at the level that it reaches."""

import numpy as np

from patclass.data.examples import FeedbackExample
from patclass.learning.gate import Answered
from patclass.learning.training_data import GATE, FeedbackParts
from patclass.learning.trial import _verdicts

JUDGED = [
    FeedbackExample("a", "loom", "D"),
    FeedbackExample("b", "drill", "E21B"),
    FeedbackExample("c", "soap", "C11"),
]
LABELS = {
    "section": frozenset("CDE"),
    "class": frozenset({"C11", "D03", "E21"}),
    "subclass": frozenset({"C11D", "D03D", "E21B"}),
}


def answers(*codes: str) -> dict[str, Answered]:
    """What a model says of the three texts at each level, surer the finer it is."""
    return {
        level: Answered([code[:size] for code in codes], np.full(3, size / 10, dtype=np.float32))
        for level, size in (("section", 1), ("class", 3), ("subclass", 4))
    }


def test_a_verdict_is_compared_at_the_finest_level_that_it_reaches():
    material = FeedbackParts({GATE: JUDGED}, frozenset({"b"}), {}, 1, 3)
    champion, candidate = answers("D03D", "E21D", "C11D"), answers("D03D", "E21B", "C12D")
    rows = _verdicts(material, LABELS, champion, candidate)
    assert rows.truth == ["D", "E21B", "C11"]
    assert rows.champion.codes == ["D", "E21D", "C11"]
    assert rows.candidate.codes == ["D", "E21B", "C12"]
    assert rows.candidate.confidences.round(1).tolist() == [
        *np.array([0.1, 0.4, 0.3], dtype=np.float32).tolist()
    ]
    assert rows.sampled == [False, True, False]


def test_at_the_coarsest_level_all_verdicts_are_sections():
    material = FeedbackParts({GATE: JUDGED}, frozenset(), {}, 1, 3)
    coarsest = {"section": LABELS["section"]}
    rows = _verdicts(material, coarsest, answers("D", "E21B", "C11D"), answers("D", "E", "C"))
    assert rows.truth == rows.champion.codes == ["D", "E", "C"]
