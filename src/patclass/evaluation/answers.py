"""The answers at one level of the tree. Knows rows and their probabilities, no figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from patclass.arrays import FloatArray, Positions
from patclass.data.corpus import Example
from patclass.labels import LabelTree


@dataclass(frozen=True)
class LevelAnswers:
    """The rows whose label is known at a level, with what was answered to them.

    :param places: where these rows stand among all, shape (rows,).
    :param truth: positions of the true labels, shape (rows,); negative where the tree lacks it.
    :param probabilities: those of the level's labels, shape (rows, labels).
    """

    codes: Sequence[str]
    rows: Sequence[Example]
    places: Positions
    truth: Positions
    probabilities: FloatArray

    @cached_property
    def answered(self) -> Positions:
        """Positions of the most probable labels, shape (rows,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidences(self) -> FloatArray:
        """Their probabilities, shape (rows,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Whether they are right, shape (rows,)."""
        return np.asarray(self.answered == self.truth)


def known_at(rows: Sequence[Example], depth: int) -> tuple[Positions, Positions]:
    """Where rows with a known label at a level stand, and its positions there."""
    known = [(place, row.truth[depth]) for place, row in enumerate(rows)]
    found = [(place, truth) for place, truth in known if truth is not None]
    table = np.array(found, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def answers_at(
    rows: Sequence[Example], probabilities: FloatArray, tree: LabelTree, level: str
) -> LevelAnswers | None:
    """Answers from leaf probabilities of shape (rows, leaves); None if no label is known."""
    places, truth = known_at(rows, tree.levels.index(level))
    if not len(places):
        return None
    return LevelAnswers(
        codes=tree.at(level).codes,
        rows=[rows[place] for place in places.tolist()],
        places=places,
        truth=truth,
        probabilities=tree.sums(probabilities[places], level),
    )
