"""Figures for every level of a label tree."""

from collections.abc import Sequence

from patclass.arrays import FloatArray
from patclass.data.corpus import Example
from patclass.evaluation.answers import answers_at
from patclass.evaluation.metrics import Metrics, evaluate
from patclass.labels import LabelTree


def evaluate_levels(
    rows: Sequence[Example], probabilities: FloatArray, tree: LabelTree
) -> dict[str, Metrics]:
    """Compare rows with leaf probabilities of shape (rows, leaves), level by level.

    Each level counts the rows whose label is known there; a level without any is left out.
    """
    answers = {level: answers_at(rows, probabilities, tree, level) for level in tree.levels}
    return {
        level: evaluate(found.truth, found.probabilities, found.codes)
        for level, found in answers.items()
        if found is not None
    }
