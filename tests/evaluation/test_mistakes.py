"""The most confident wrong answers."""

import numpy as np

from patclass.data.corpus import Example, Facts
from patclass.evaluation.answers import LevelAnswers
from patclass.evaluation.mistakes import mistakes


def answers(truth: list[int], probabilities: list[list[float]]) -> LevelAnswers:
    rows = [
        Example(f"P{n}", "secret text", (t,), (0,), (), Facts(title=f"Title {n}"))
        for n, t in enumerate(truth)
    ]
    table = np.array(probabilities, dtype=np.float32)
    codes = ["A", "B", "C"][: table.shape[1]]
    return LevelAnswers(codes, rows, np.arange(len(rows)), np.array(truth), table)


def test_mistakes_come_by_confidence_and_right_answers_not_at_all():
    found = mistakes(answers([0, 0, -1], [[0.9, 0.1, 0], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7]]))
    assert [(m.id, m.true, m.answered, m.second) for m in found] == [
        ("P2", None, "C", "B"),
        ("P1", "A", "B", "C"),
    ]
    assert found[0].title == "Title 2"
    assert "secret" not in "".join(m.model_dump_json() for m in found)


def test_only_so_many_are_kept():
    assert len(mistakes(answers([1] * 40, [[0.9, 0.1]] * 40))) == 25


def test_a_single_label_has_no_second():
    assert mistakes(answers([-1], [[0.9]]))[0].second is None
