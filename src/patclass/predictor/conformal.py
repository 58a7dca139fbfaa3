"""Label sets that contain the true label with a given probability (conformal prediction).

Split-conformal prediction (Vovk et al. 2005): on rows that neither trained nor calibrated the
model, the score of a row is one less the probability of its true label. A set at coverage c
holds every label whose score is within the c-quantile of those scores. Labels with enough rows
have a quantile of their own (class-conditional, Vovk 2012) and the others share one, so that
the promise holds for each of them and not only on average.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from patclass.core.errors import ConfigError, ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.predictor.arrays import Arrays, Form, array_of, check_form, parse_arrays

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

# Fewer rows give a quantile too rough to be better than the common one.
MIN_ROWS = 50

# What a probability may be above one, or a score below zero, when float32 is rounded.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class ConformalScores:
    """The scores of held-out rows on one level, and whose they are.

    :param scores: one less the probability of the true label; float32 of shape (rows,).
    :param labels: the true labels, shape (rows,).
    """

    scores: FloatArray
    labels: npt.NDArray[np.intp]

    def allows(self, coverage: float) -> bool:
        """Whether there are held-out rows enough for such a coverage, of labels that are known."""
        enough = 0 < coverage < 1 and _rank(len(self.scores), coverage) <= len(self.scores)
        return enough and self._known >= coverage

    @property
    def _known(self) -> float:
        """The share of the rows whose label the model has; the others are in no set."""
        return float((self.labels >= 0).mean())

    def sets(self, probabilities: FloatArray, coverage: float) -> npt.NDArray[np.bool_]:
        """Which labels are in the set of each row, shape (rows, labels); never none.

        :raises ConfigError: if the held-out rows are too few for such a coverage.
        """
        bounds = self.bounds(probabilities.shape[1], coverage)
        inside = 1 - probabilities <= bounds
        # An empty set would say that nothing fits; the best label is always worth naming.
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        return np.asarray(inside)

    def bounds(self, labels: int, coverage: float) -> FloatArray:
        """The largest score that a label may have, shape (labels,).

        :raises ConfigError: if the held-out rows are too few for such a coverage, or too many of
            them have a label that the model lacks.
        """
        if not 0 < coverage < 1:
            raise ConfigError(f"coverage {coverage:g} is not between 0 and 1, e.g. 0.9.")
        common = _quantile(self.scores, coverage)
        if common is None:
            most = len(self.scores) / (len(self.scores) + 1)
            raise ConfigError(
                f"coverage {coverage:g} needs more held-out rows than the {len(self.scores)} of "
                f"this bundle; ask for at most {math.floor(most * 1000) / 1000:g}."
            )
        if self._known < coverage:
            raise ConfigError(
                f"coverage {coverage:g}: only {self._known:.0%} of the held-out rows have a label "
                "that this bundle knows at the level; ask for less than that, or for a coarser one."
            )
        own = self._own(coverage)
        rest = _quantile(self.scores[~np.isin(self.labels, list(own))], coverage)
        bounds = np.full(labels, common if rest is None else rest, dtype=np.float32)
        bounds[list(own)] = list(own.values())
        return bounds

    def _own(self, coverage: float) -> dict[int, float]:
        """The bounds of labels with rows enough for one of their own.

        The other labels are a class together. Bounds from all rows would be too strict for
        them: most of those rows are of frequent labels, which are answered better.
        """
        labels, rows = np.unique(self.labels, return_counts=True)
        many = [int(label) for label in labels[rows >= MIN_ROWS] if label >= 0]
        found = {label: _quantile(self.scores[self.labels == label], coverage) for label in many}
        return {label: bound for label, bound in found.items() if bound is not None}


@dataclass(frozen=True)
class ConformalSets:
    """The scores of held-out rows by level, for the levels that have any."""

    FILE: ClassVar[str] = "conformal.safetensors"
    REQUIRED: ClassVar[bool] = True

    levels: Mapping[str, ConformalScores]

    @classmethod
    def fit(cls, fitting: "Fitting") -> "ConformalSets":
        """Scores of the held-out predictions."""
        predictions = fitting.held_out.items()
        return cls(
            {level: fit_conformal(a.probabilities, a.y_true.tolist()) for level, a in predictions}
        )

    def save(self, folder: Path) -> None:
        """Write the scores and labels of every level."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for level, scores in self.levels.items():
            arrays[f"{level}/scores"] = scores.scores.astype(np.float32)
            arrays[f"{level}/labels"] = scores.labels.astype(np.int64)
        (folder / self.FILE).write_bytes(save(arrays))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "ConformalSets":
        """Read the scores.

        :raises ModelError: if the file is damaged, or was made for other labels.
        """
        try:
            arrays, _ = parse_arrays(data)
            levels = [level for level in tree.levels if f"{level}/scores" in arrays]
            found = {level: _scores(arrays, level, len(tree.at(level))) for level in levels}
            form: Form = {}
            for level, scores in found.items():
                form[f"{level}/scores"] = ("f", scores.scores.shape)
                form[f"{level}/labels"] = ("i", scores.scores.shape)
            check_form(arrays, form)
        except ValueError as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        return cls(found)


def _scores(arrays: Arrays, level: str, count: int) -> ConformalScores:
    """The scores of a level of ``count`` labels.

    :raises ValueError: if they are none, or are of other labels.
    """
    scores = array_of(arrays, f"{level}/scores", "f", 1)
    labels = array_of(arrays, f"{level}/labels", "i", 1)
    if len(labels) and not -1 <= labels.min() <= labels.max() < count:
        raise ValueError(f"{level}/labels has a label that is none of {count}")
    if len(scores) and not -_ROUNDING <= scores.min() <= scores.max() <= 1 + _ROUNDING:
        raise ValueError(f"{level}/scores has a score that is not between 0 and 1")
    return ConformalScores(scores, labels)


def fit_conformal(probabilities: FloatArray, y_true: Sequence[int]) -> ConformalScores:
    """Scores of held-out rows whose label is known, from probabilities (rows, labels).

    :param y_true: positions of the true labels; one that is negative is unknown to the model,
        so that no set can hold it: its score is one.
    """
    labels = np.asarray(y_true, dtype=np.intp)
    scores = np.ones(len(labels), dtype=np.float32)
    known = np.flatnonzero(labels >= 0)
    scores[known] = 1 - probabilities[known, labels[known]]
    return ConformalScores(scores, labels)


def _quantile(scores: FloatArray, coverage: float) -> float | None:
    """The score of rank ⌈(n + 1) · coverage⌉; None if there are too few."""
    rank = _rank(len(scores), coverage)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else None


def _rank(rows: int, coverage: float) -> int:
    return math.ceil((rows + 1) * coverage - 1e-9)
