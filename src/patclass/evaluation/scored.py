"""A model's answers on labelled rows: what every figure is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patclass.arrays import FloatArray
from patclass.calibration.conformal import Conformal
from patclass.data.corpus import Example
from patclass.labels import LabelTree
from patclass.pipeline import Pipeline, with_bar

COVERAGE = 0.9


@dataclass(frozen=True)
class Scored:
    """Rows with the probabilities that a model gave them.

    :param raw: leaf probabilities of the model before calibration, shape (rows, leaves).
    :param calibrated: the same after calibration: what the model answers with.
    :param tags: probability of each tag, shape (rows, tags).
    """

    rows: Sequence[Example]
    tree: LabelTree
    raw: FloatArray
    calibrated: FloatArray
    tags: FloatArray


def score_rows(pipeline: Pipeline, rows: Sequence[Example], what: str) -> Scored:
    """Answer the rows' texts, with a progress bar called ``what``."""
    answers = with_bar(pipeline, [row.text for row in rows], what)
    return Scored(rows, pipeline.tree, answers.raw, answers.leaves, answers.tags)


def label_sets(
    scored: Scored, conformal: Mapping[str, Conformal], coverage: float = COVERAGE
) -> dict[str, npt.NDArray[np.bool_]]:
    """The label set of each row, for each level that has held-out scores enough.

    Shapes are (rows, labels of the level).
    """
    return {
        level: found.sets(scored.tree.sums(scored.calibrated, level), coverage)
        for level, found in conformal.items()
        if found.allows(coverage)
    }


def labelled_answers(scored: Scored, level: str) -> dict[str, tuple[str | None, str]]:
    """True and answered code of each row at a level, by the row's id.

    The true code is None where it is not known, or not among the model's labels.
    """
    labels, depth = scored.tree.at(level), scored.tree.levels.index(level)
    best = scored.tree.sums(scored.calibrated, level).argmax(axis=1)
    found = {}
    for row, answer in zip(scored.rows, best, strict=True):
        truth = row.truth[depth]
        known = None if truth is None or truth < 0 else labels[truth].code
        found[row.id] = (known, labels[int(answer)].code)
    return found
