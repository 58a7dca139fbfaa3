"""Temperatures, mixing and label smoothing for every level of a label tree. Knows no texts.

The probability of a leaf is a product down the tree: that of its section, times that of its
class within the section, and so on. Each factor gets a temperature of its own (Guo et al.
2017, arXiv:1706.04599), and may be mixed with what the linear model says of the same siblings (a
logarithmic pool; Genest and Zidek 1986), with a weight for each level. Examiners classify
differently, so that even the most confident answer is sometimes counted as wrong, which no
temperature can express: a share of each factor is therefore spread evenly over the siblings (label
smoothing). Levels stay sums of one another, because the factors are normalised among siblings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from patclass.core.errors import ModelError
from patclass.core.files import parse_json, write_json
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

PRECISION = 0.9

# A precision of nine in ten on fewer predictions than this is luck.
MIN_ANSWERS = 20

# What no confidence reaches: nothing is then answered.
NEVER = 1.01

# No fit comes near; beyond, exponentials overflow.
_LARGEST = 1000.0


def lowest_threshold(
    confidences: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], precision: float
) -> float | None:
    """The lowest confidence from which on ``precision`` of the predictions are right, if any.

    Predictions of equal confidence stand or fall together. Shapes are (rows,).
    """
    if not len(confidences):
        return None
    values, firsts = np.unique(np.sort(-confidences), return_index=True)
    last = np.append(firsts[1:], len(confidences)) - 1  # the last prediction of each confidence
    right = np.cumsum(correct[np.argsort(-confidences, kind="stable")])[last]
    enough = np.flatnonzero(right >= precision * (last + 1) - 1e-9)
    return float(-values[enough[-1]]) if len(enough) else None


def f1_threshold(
    confidences: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], true: int
) -> float | None:
    """The confidence from which on F1 is largest; None if nothing is right.

    Predictions of equal confidence stand or fall together. Shapes are (predictions,).

    :param true: how many there are to be found, among these predictions and beyond.
    """
    if not correct.any():
        return None
    order = np.argsort(-confidences, kind="stable")
    right = np.cumsum(correct[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + true)
    f1[:-1][confidences[order[:-1]] == confidences[order[1:]]] = 0
    return float(confidences[order[int(f1.argmax())]])


def threshold_for(confidences: FloatArray, correct: npt.NDArray[np.bool_]) -> float:
    """The confidence at which to answer by default, from held-out predictions; shapes are (rows,).

    ``NEVER`` if no confidence is enough, or too few predictions reach the one that is.
    """
    found = lowest_threshold(confidences, correct, PRECISION)
    if found is None or (confidences >= found).sum() < min(MIN_ANSWERS, len(confidences)):
        return NEVER
    if found <= confidences.min():
        return min(found, PRECISION)  # all are right often enough: what is less sure was not seen
    return found


_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities, and from which confidence on a level is answered.

    :param inverse_temperatures: for each level.
    :param linear_weights: for each level that of the linear model's scores; zero if empty.
    :param smoothing: for each level the share spread evenly over siblings; none at all if empty.
    :param precision: of the predictions on validation from each threshold on.
    :param thresholds: confidence by level; above one if no confidence had that precision.
    """

    FILE: ClassVar[str] = "calibration.json"
    REQUIRED: ClassVar[bool] = True
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    inverse_temperatures: tuple[Annotated[float, Field(gt=0, le=_LARGEST)], ...]
    linear_weights: tuple[Annotated[float, Field(ge=0, le=_LARGEST)], ...] = ()
    smoothing: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    precision: Annotated[float, Field(gt=0, le=1)] = PRECISION
    thresholds: Mapping[str, Annotated[float, Field(ge=0, le=NEVER)]] = field(default_factory=dict)

    @property
    def mixing_weights(self) -> tuple[float, ...]:
        """For each level the weight of the linear model's scores relative to the logits."""
        return tuple(level.linear_weight / level.inverse_temperature for level in self._levels)

    @property
    def _levels(self) -> "list[Chosen]":
        none = (0.0,) * len(self.inverse_temperatures)
        chosen = zip(
            self.inverse_temperatures,
            self.linear_weights or none,
            self.smoothing or none,
            strict=True,
        )
        return [Chosen(*level) for level in chosen]

    @classmethod
    def fit(cls, fitting: "Fitting") -> "Calibration":
        """Fit on the validation rows; thresholds on cross-fitted predictions.

        Of so few examples that they would all have to be right for one, there is no threshold.
        """
        rows = np.arange(len(fitting.corpus["validation"]))
        too_few = fitting.out_of_fold is not None and len(rows) < MIN_ANSWERS
        thresholds = {
            level: NEVER if too_few else threshold_for(found.confidences, found.correct)
            for level, found in fitting.held_out.items()
        }
        return replace(fitting.calibrate(rows), thresholds=thresholds)

    def save(self, folder: Path) -> None:
        """Write the figures."""
        write_json(folder / self.FILE, asdict(self))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "Calibration":
        """Read the figures.

        :raises ModelError: if the file is damaged, or was made for other levels.
        """
        try:
            values = parse_json(data)
            found = TypeAdapter(cls).validate_python(values)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(map(str, first["loc"]))
            message = f"{cls.FILE} is damaged at '{where}': {first['msg'].lower()}."
            raise ModelError(message) from problem
        except ValueError as problem:
            raise ModelError(f"{cls.FILE} is damaged: {problem}.") from problem
        missing = [known.name for known in fields(cls) if known.name not in values]
        if missing:
            raise ModelError(f"{cls.FILE} is damaged at '{missing[0]}': it is missing.")
        by_level = (found.inverse_temperatures, found.linear_weights, found.smoothing)
        if {len(values) for values in by_level} != {len(tree.levels)}:
            raise ModelError(f"{cls.FILE} is not made for the levels {', '.join(tree.levels)}.")
        if not found.thresholds.keys() <= set(tree.levels):
            raise ModelError(f"{cls.FILE} has a threshold of a level that is not one of the tree.")
        return found

    @classmethod
    def none(cls, tree: LabelTree) -> "Calibration":
        """Probabilities as the model gives them."""
        none = (0.0,) * len(tree.levels)
        return cls((1.0,) * len(tree.levels), none, none)

    def apply(
        self, tree: LabelTree, logits: FloatArray, linear_scores: FloatArray | None = None
    ) -> FloatArray:
        """Leaf probabilities, float32 of shape (rows, leaves).

        :param logits: leaf logits, shape (rows, leaves).
        :param linear_scores: of the groups of all levels, shape (rows, groups).
        """
        total = np.ones(logits.shape, dtype=np.float64)
        levels = zip(factors(tree, logits, linear_scores), self._levels, tree.groups, strict=True)
        for factor, chosen, groups in levels:
            total *= factor.probabilities(chosen)[:, groups]
        return total.astype(np.float32)


class Chosen(NamedTuple):
    """What is chosen for one level."""

    inverse_temperature: float = 1.0
    linear_weight: float = 0.0
    smoothing: float = 0.0


@dataclass(frozen=True)
class Factor:
    """The groups of one level given the groups above them.

    :param scores: log probabilities given the parents, shape (rows, groups).
    :param linear_scores: of the linear model, in the same shape, if there is one.
    :param parents: the group above each group, shape (groups,).
    """

    scores: _Floats
    linear_scores: _Floats | None
    parents: Positions

    def of(self, rows: Positions) -> "Factor":
        """The same of some rows."""
        linear_scores = None if self.linear_scores is None else self.linear_scores[rows]
        return Factor(self.scores[rows], linear_scores, self.parents)

    def probabilities(self, chosen: Chosen) -> _Floats:
        """Calibrated probabilities given the parents, a share of them spread evenly."""
        scores = self.scores * chosen.inverse_temperature
        if self.linear_scores is not None:
            scores = scores + chosen.linear_weight * self.linear_scores
        even = 1 / np.bincount(self.parents)[self.parents]
        own = np.exp(normalise(scores, self.parents))
        return np.asarray((1 - chosen.smoothing) * own + chosen.smoothing * even)


def factors(
    tree: LabelTree, logits: FloatArray, linear_scores: FloatArray | None = None
) -> list[Factor]:
    """The factors of the levels, coarsest first."""
    log_leaves = normalise(logits.astype(np.float64), np.zeros(logits.shape[1], dtype=np.intp))
    found = []
    log_above, end = np.zeros((len(logits), 1)), 0
    for depth, groups in enumerate(tree.groups):
        log_here, parents = _log_sums(log_leaves, groups), parents_of(tree, depth)
        start, end = end, end + len(parents)
        linear = None if linear_scores is None else linear_scores[:, start:end].astype(np.float64)
        found.append(Factor(log_here - log_above[:, parents], linear, parents))
        log_above = log_here
    return found


def parents_of(tree: LabelTree, depth: int) -> Positions:
    """The group above each group of a level, shape (groups,); all zero on the coarsest."""
    groups = tree.groups[depth]
    parents: Positions = np.zeros(int(groups.max()) + 1, dtype=np.intp)
    if depth:
        parents[groups] = tree.groups[depth - 1]
    return parents


def _log_sums(values: _Floats, groups: Positions) -> _Floats:
    """Log of the sum of exponentials over the columns of each group."""
    count = int(groups.max()) + 1
    top = values.max(axis=1, keepdims=True)
    sums = np.zeros((count, len(values)))
    np.add.at(sums, groups, np.exp(values - top).T)
    return np.asarray(np.log(np.maximum(sums.T, 1e-300)) + top)


def normalise(scores: _Floats, parents: Positions) -> _Floats:
    """Log probabilities among the columns of one parent."""
    return np.asarray(scores - _log_sums(scores, parents)[:, parents])


# Sharper than tenfold or flatter than a twentieth is no calibration but a broken model.
_BOUNDS = (0.05, 10.0)

# Labelled predictions needed to fit a level's label smoothing; on fewer, the estimate is chance.
ROWS_FOR_SMOOTHING = 200
_FIRST_SMOOTHING, _MOST_SMOOTHING = 0.02, 0.3


def fit_calibration(
    tree: LabelTree,
    logits: FloatArray,
    leaves: Sequence[Sequence[int]],
    linear_scores: FloatArray | None = None,
    mixing_weights: Sequence[float] | None = None,
) -> Calibration:
    """Fit temperatures, label smoothing and the linear model's weights on labelled rows.

    First by the likelihood of the labels; then, where there are rows enough, temperature and
    smoothing by the likelihood of the predictions being correct or wrong, from the coarsest level
    down: the confidence of the prediction is what users see and what thresholds are set on. A level
    without a row that knows its label keeps the temperature one.

    :param leaves: for each row the leaves of which one is true; a row counts at each level
        down to which they agree.
    :param mixing_weights: for each level the weight of the linear model relative to the logits;
        None to fit them too.
    """
    found: list[Chosen] = []
    above = np.ones((len(logits), 1))
    for depth, factor in enumerate(factors(tree, logits, linear_scores)):
        if factor.linear_scores is not None and mixing_weights is not None:
            mixed = factor.scores + mixing_weights[depth] * factor.linear_scores
            factor = Factor(mixed, None, factor.parents)
        rows, y_true = known_groups(tree.groups[depth], leaves)
        known = factor.of(rows)
        chosen = _most_likely(known, y_true) if len(rows) else Chosen()
        if len(rows) >= ROWS_FOR_SMOOTHING:
            chosen = _honest(known, y_true, chosen, above[rows], _named(tree, depth))
        above = above[:, factor.parents] * factor.probabilities(chosen)
        if mixing_weights is not None:
            weight = mixing_weights[depth] * chosen.inverse_temperature
            chosen = chosen._replace(linear_weight=weight)
        found.append(chosen)
    return Calibration(
        tuple(level.inverse_temperature for level in found),
        tuple(level.linear_weight for level in found),
        tuple(level.smoothing for level in found),
    )


def _most_likely(factor: Factor, y_true: Positions) -> Chosen:
    """What makes the true groups most likely; a convex problem."""
    from scipy.optimize import minimize  # fitting only; answering does without scipy

    parts = (
        [factor.scores] if factor.linear_scores is None else [factor.scores, factor.linear_scores]
    )
    every = np.arange(len(y_true))

    def loss(weights: _Floats) -> float:
        scores = sum(w * part for w, part in zip(weights, parts, strict=True))
        return float(-normalise(np.asarray(scores), factor.parents)[every, y_true].mean())

    bounds = [_BOUNDS] + [(0.0, _BOUNDS[1])] * (len(parts) - 1)
    found = minimize(loss, np.ones(len(parts)), method="L-BFGS-B", bounds=bounds)
    return Chosen(*(float(weight) for weight in found.x))


def _honest(
    factor: Factor, y_true: Positions, start: Chosen, above: _Floats, named: npt.NDArray[np.bool_]
) -> Chosen:
    """The temperature and smoothing under which correct and wrong predictions are most likely.

    :param above: calibrated probabilities of the groups above, shape (rows, those groups).
    :param named: which groups are labels; an "other" is never a prediction.
    """
    from scipy.optimize import minimize

    every = np.arange(len(y_true))
    above = above[:, factor.parents]

    def loss(values: _Floats) -> float:
        chosen = start._replace(inverse_temperature=values[0], smoothing=values[1])
        joint = np.where(named, factor.probabilities(chosen) * above, 0)
        predictions = joint.argmax(axis=1)
        sure = joint[every, predictions]
        likely = np.where(predictions == y_true, sure, 1 - sure)
        return float(-np.log(np.maximum(likely, 1e-12)).mean())

    # The predicted label jumps with the temperature, so there is no gradient.
    bounds = [_BOUNDS, (0.0, _MOST_SMOOTHING)]
    values = [start.inverse_temperature, _FIRST_SMOOTHING]
    found = minimize(loss, values, method="Nelder-Mead", bounds=bounds)
    return start._replace(inverse_temperature=float(found.x[0]), smoothing=float(found.x[1]))


def _named(tree: LabelTree, depth: int) -> npt.NDArray[np.bool_]:
    """Which groups of a level are labels, and not an "other" that ends above it."""
    groups = tree.groups[depth]
    named = np.zeros(int(groups.max()) + 1, dtype=np.bool_)
    named[groups] = [len(path) > depth for path in tree.paths]
    return named


def known_groups(groups: Positions, leaves: Sequence[Sequence[int]]) -> tuple[Positions, Positions]:
    """Rows whose leaves are all in one group, and that group."""
    found = [{int(groups[leaf]) for leaf in row} for row in leaves]
    rows = [position for position, row in enumerate(found) if len(row) == 1]
    return np.array(rows, dtype=np.intp), np.array([next(iter(found[r])) for r in rows], np.intp)
