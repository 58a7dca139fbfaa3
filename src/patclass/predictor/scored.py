"""A model's predictions for labelled rows, as a whole and level by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example, known_at
from patclass.predictor.all_codes import AllCodes
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.pipeline import Pipeline, run_with_progress


@dataclass(frozen=True)
class LabelledPredictions:
    """The rows whose label is known at a level, with what was predicted for them.

    :param places: where these rows stand among all, shape (rows,).
    :param y_true: positions of the true labels, shape (rows,); negative where the tree lacks it.
    :param probabilities: those of the level's labels, shape (rows, labels).
    """

    codes: Sequence[str]
    rows: Sequence[Example]
    places: Positions
    y_true: Positions
    probabilities: FloatArray

    @cached_property
    def y_pred(self) -> Positions:
        """Positions of the most probable labels, shape (rows,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidences(self) -> FloatArray:
        """Their probabilities, shape (rows,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether they are right, shape (rows,)."""
        return np.asarray(self.y_pred == self.y_true)


def predictions_at(
    rows: Sequence[Example], probabilities: FloatArray, tree: LabelTree, level: str
) -> LabelledPredictions | None:
    """Predictions from leaf probabilities of shape (rows, leaves); None if no label is known.

    Of several labels that a row has, the one that is predicted counts as the true one, so that
    the accuracy is the precision of the first prediction.
    """
    places, y_true = known_at(rows, tree.levels.index(level))
    if tree.overlapping:
        places, y_true = _any_of(rows, probabilities)
    if not len(places):
        return None
    return LabelledPredictions(
        codes=tree.at(level).codes,
        rows=[rows[place] for place in places.tolist()],
        places=places,
        y_true=y_true,
        probabilities=tree.sums(probabilities[places], level),
    )


def _any_of(rows: Sequence[Example], probabilities: FloatArray) -> tuple[Positions, Positions]:
    """Rows with their most probable label of those that they have, by position among leaves."""
    places = [place for place, row in enumerate(rows) if row.carried]
    labels = [
        max(rows[place].leaves, key=lambda leaf: float(probabilities[place, leaf]))
        for place in places
    ]
    return np.array(places, dtype=np.intp), np.array(labels, dtype=np.intp)


COVERAGE = 0.9


@dataclass(frozen=True)
class Scored:
    """Rows with the probabilities that a model gave them.

    :param raw: leaf probabilities of the model before calibration, shape (rows, leaves).
    :param calibrated: the same after calibration: what the model predicts.
    :param nodes: probability of each node, shape (rows, nodes).
    :param given: which nodes the model gives as codes of the row, in the same shape; None if it
        has no thresholds for them.
    """

    rows: Sequence[Example]
    tree: LabelTree
    raw: FloatArray
    calibrated: FloatArray
    nodes: FloatArray
    given: npt.NDArray[np.bool_] | None = None


def score_rows(pipeline: Pipeline, rows: Sequence[Example], what: str) -> Scored:
    """Predict for the rows' texts, with a progress bar called ``what``."""
    outputs = run_with_progress(pipeline, [row.text for row in rows], what)
    all_codes = pipeline.components.get(AllCodes)
    given = None if all_codes is None else all_codes.given(pipeline.tree, outputs.nodes)
    return Scored(rows, pipeline.tree, outputs.raw, outputs.leaves, outputs.nodes, given)


def label_sets(
    scored: Scored, conformal: ConformalSets, coverage: float = COVERAGE
) -> dict[str, npt.NDArray[np.bool_]]:
    """The label set of each row, for each level that has held-out scores enough.

    Shapes are (rows, labels of the level).
    """
    return {
        level: found.sets(scored.tree.sums(scored.calibrated, level), coverage)
        for level, found in conformal.levels.items()
        if found.allows(coverage)
    }


def codes_by_id(scored: Scored, level: str) -> dict[str, tuple[str | None, str]]:
    """True and predicted code of each row at a level, by the row's id.

    The true code is None where it is not known, or not among the model's labels.
    """
    labels, depth = scored.tree.at(level), scored.tree.levels.index(level)
    best = scored.tree.sums(scored.calibrated, level).argmax(axis=1)
    found = {}
    for row, best_label in zip(scored.rows, best, strict=True):
        y_true = row.y_true[depth]
        known = None if y_true is None or y_true < 0 else labels[y_true].code
        found[row.id] = (known, labels[int(best_label)].code)
    return found
