"""Temperatures and noise for every level of a label tree. Knows scores and positions, no texts.

The probability of a leaf is a product down the tree: that of its section, times that of its
class within the section, and so on. Each factor gets a temperature of its own (Guo et al.
2017, arXiv:1706.04599), and the first one may be joined with a second opinion on the coarsest
level (a logarithmic pool; Genest and Zidek 1986). Patents are filed by people who differ, so
that even the surest answer is sometimes called wrong, which no temperature can say: a share of
each factor, its noise, is therefore spread evenly over the siblings. Levels stay sums of one
another, because the factors are normalised among siblings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from patclass.arrays import FloatArray, Positions
from patclass.labels import LabelTree

_Floats = npt.NDArray[np.float64]

# Sharper than tenfold or flatter than a twentieth is no calibration but a broken model.
_BOUNDS = (0.05, 10.0)

# So many answers with a known label are needed to learn a level's noise; on fewer, it is chance.
ANSWERS_FOR_NOISE = 200
_FIRST_NOISE, _MOST_NOISE = 0.02, 0.3


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities.

    :param sharpness: for each level the inverse of its temperature.
    :param opinion_weight: how much a second opinion on the coarsest level counts.
    :param noise: for each level the share spread evenly over siblings; none at all if empty.
    """

    sharpness: tuple[float, ...]
    opinion_weight: float = 0.0
    noise: tuple[float, ...] = ()

    @classmethod
    def none(cls, tree: LabelTree) -> "Calibration":
        """Probabilities as the model gives them."""
        return cls((1.0,) * len(tree.levels), 0.0, (0.0,) * len(tree.levels))

    def apply(
        self, tree: LabelTree, logits: FloatArray, opinion: FloatArray | None = None
    ) -> FloatArray:
        """Leaf probabilities, float32 of shape (rows, leaves).

        :param logits: leaf logits, shape (rows, leaves).
        :param opinion: log probabilities on the coarsest level, shape (rows, its labels).
        """
        total = np.ones(logits.shape, dtype=np.float64)
        noise = self.noise or (0.0,) * len(self.sharpness)
        for depth, factor in enumerate(_factors(tree, logits, opinion)):
            chosen = _Chosen(self.sharpness[depth], self.opinion_weight, noise[depth])
            total *= factor.probabilities(chosen)[:, tree.groups[depth]]
        return total.astype(np.float32)


def fit_calibration(
    tree: LabelTree,
    logits: FloatArray,
    leaves: Sequence[Sequence[int]],
    opinion: FloatArray | None = None,
) -> Calibration:
    """Choose temperatures, noise and the weight of the opinion from rows with known labels.

    First by the likelihood of the labels; then, where there are rows enough, sharpness and noise
    by the likelihood of the answers being right or wrong, from the coarsest level down: the
    confidence of the answer is what people are shown and what thresholds are set on. A level
    without a row that knows its label keeps the temperature one.

    :param leaves: for each row the leaves of which one is true; a row counts at each level
        down to which they agree.
    """
    found: list[_Chosen] = []
    above = np.ones((len(logits), 1))
    for depth, factor in enumerate(_factors(tree, logits, opinion)):
        rows, truth = _known(tree.groups[depth], leaves)
        known = factor.of(rows)
        chosen = known.most_likely(truth) if len(rows) else _Chosen()
        if len(rows) >= ANSWERS_FOR_NOISE:
            chosen = known.honest(truth, chosen, above[rows], _named(tree, depth))
        above = above[:, factor.parents] * factor.probabilities(chosen)
        found.append(chosen)
    return Calibration(
        tuple(level.sharpness for level in found),
        found[0].opinion_weight,
        tuple(level.noise for level in found),
    )


class _Chosen(NamedTuple):
    """What is chosen for one level."""

    sharpness: float = 1.0
    opinion_weight: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class _Factor:
    """The groups of one level given the groups above them.

    :param scores: log probabilities given the parents, shape (rows, groups).
    :param opinion: a second opinion in the same shape, on the coarsest level only.
    :param parents: the group above each group, shape (groups,).
    """

    scores: _Floats
    opinion: _Floats | None
    parents: Positions

    def of(self, rows: Positions) -> "_Factor":
        """The same of some rows."""
        opinion = None if self.opinion is None else self.opinion[rows]
        return _Factor(self.scores[rows], opinion, self.parents)

    def probabilities(self, chosen: _Chosen) -> _Floats:
        """Calibrated probabilities given the parents, a share of them spread evenly."""
        scores = self.scores * chosen.sharpness
        if self.opinion is not None:
            scores = scores + chosen.opinion_weight * self.opinion
        even = 1 / np.bincount(self.parents)[self.parents]
        own = np.exp(_normalise(scores, self.parents))
        return np.asarray((1 - chosen.noise) * own + chosen.noise * even)

    def most_likely(self, truth: Positions) -> _Chosen:
        """What makes the true groups most likely; a convex problem."""
        parts = [self.scores] if self.opinion is None else [self.scores, self.opinion]
        every = np.arange(len(truth))

        def loss(weights: _Floats) -> float:
            scores = sum(w * part for w, part in zip(weights, parts, strict=True))
            return float(-_normalise(np.asarray(scores), self.parents)[every, truth].mean())

        bounds = [_BOUNDS] + [(0.0, _BOUNDS[1])] * (len(parts) - 1)
        found = minimize(loss, np.ones(len(parts)), method="L-BFGS-B", bounds=bounds)
        return _Chosen(*(float(weight) for weight in found.x))

    def honest(
        self, truth: Positions, start: _Chosen, above: _Floats, named: npt.NDArray[np.bool_]
    ) -> _Chosen:
        """The sharpness and noise under which right and wrong answers are most likely.

        :param above: calibrated probabilities of the groups above, shape (rows, those groups).
        :param named: which groups are labels; an "other" is never an answer.
        """
        every = np.arange(len(truth))
        above = above[:, self.parents]

        def loss(values: _Floats) -> float:
            chosen = start._replace(sharpness=values[0], noise=values[1])
            joint = np.where(named, self.probabilities(chosen) * above, 0)
            answers = joint.argmax(axis=1)
            sure = joint[every, answers]
            likely = np.where(answers == truth, sure, 1 - sure)
            return float(-np.log(np.maximum(likely, 1e-12)).mean())

        # Which label is the answer jumps with the sharpness, so there is no gradient.
        bounds = [_BOUNDS, (0.0, _MOST_NOISE)]
        values = [start.sharpness, _FIRST_NOISE]
        found = minimize(loss, values, method="Nelder-Mead", bounds=bounds)
        return start._replace(sharpness=float(found.x[0]), noise=float(found.x[1]))


def _named(tree: LabelTree, depth: int) -> npt.NDArray[np.bool_]:
    """Which groups of a level are labels, and not an "other" that ends above it."""
    groups = tree.groups[depth]
    named = np.zeros(int(groups.max()) + 1, dtype=np.bool_)
    named[groups] = [len(path) > depth for path in tree.paths]
    return named


def _factors(
    tree: LabelTree, logits: FloatArray, opinion: FloatArray | None = None
) -> list[_Factor]:
    """The factors of the levels, coarsest first."""
    log_leaves = _normalise(logits.astype(np.float64), np.zeros(logits.shape[1], dtype=np.intp))
    second = None if opinion is None else opinion.astype(np.float64)
    factors = []
    above: Positions = np.zeros(len(tree.paths), dtype=np.intp)
    log_above = np.zeros((len(logits), 1))
    for groups in tree.groups:
        log_here = _log_sums(log_leaves, groups)
        parents = np.zeros(log_here.shape[1], dtype=np.intp)
        parents[groups] = above
        factors.append(_Factor(log_here - log_above[:, parents], second, parents))
        above, log_above, second = groups, log_here, None
    return factors


def _log_sums(values: _Floats, groups: Positions) -> _Floats:
    """Log of the sum of exponentials over the columns of each group."""
    count = int(groups.max()) + 1
    top = values.max(axis=1, keepdims=True)
    sums = np.zeros((count, len(values)))
    np.add.at(sums, groups, np.exp(values - top).T)
    return np.asarray(np.log(np.maximum(sums.T, 1e-300)) + top)


def _normalise(scores: _Floats, parents: Positions) -> _Floats:
    """Log probabilities among the columns of one parent."""
    return np.asarray(scores - _log_sums(scores, parents)[:, parents])


def _known(groups: Positions, leaves: Sequence[Sequence[int]]) -> tuple[Positions, Positions]:
    """Rows whose leaves are all in one group, and that group."""
    found = [{int(groups[leaf]) for leaf in row} for row in leaves]
    rows = [position for position, row in enumerate(found) if len(row) == 1]
    return np.array(rows, dtype=np.intp), np.array([next(iter(found[r])) for r in rows], np.intp)
