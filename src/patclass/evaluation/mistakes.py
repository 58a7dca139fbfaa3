"""The wrong answers that the model was surest of. Knows no texts, so that none is stored."""

import numpy as np

from patclass.evaluation.answers import LevelAnswers
from patclass.evaluation.frozen import Frozen

MAX_MISTAKES = 25


class Mistake(Frozen):
    """A confident wrong answer.

    ``true`` is None if the tree has no such label; ``second`` is the next best answer, None if
    there is only one label.
    """

    id: str
    title: str | None
    true: str | None
    answered: str
    confidence: float
    second: str | None


def mistakes(answers: LevelAnswers, most: int = MAX_MISTAKES) -> tuple[Mistake, ...]:
    """Wrong answers, the most confident first; equal ones in the order of the rows."""
    wrong = np.flatnonzero(~answers.hits)
    order = np.argsort(-answers.confidences[wrong], kind="stable")[:most]
    return tuple(_mistake(answers, int(place)) for place in wrong[order])


def _mistake(answers: LevelAnswers, place: int) -> Mistake:
    row, truth, answered = answers.rows[place], answers.truth[place], answers.answered[place]
    others = answers.probabilities[place].copy()
    others[answered] = -1
    return Mistake(
        id=row.id,
        title=row.facts.title,
        true=answers.codes[truth] if truth >= 0 else None,
        answered=answers.codes[answered],
        confidence=float(answers.confidences[place]),
        second=answers.codes[int(others.argmax())] if len(others) > 1 else None,
    )
