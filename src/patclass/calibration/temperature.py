"""Temperatures for every level of a label tree. Knows scores and positions, no texts.

The probability of a leaf is a product down the tree: that of its section, times that of its
class within the section, and so on. Each factor gets a temperature of its own (Guo et al.
2017, arXiv:1706.04599), and the first one may be joined with a second opinion on the coarsest
level (a logarithmic pool; Genest and Zidek 1986). Levels stay sums of one another, because
the factors are normalised among siblings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from patclass.arrays import FloatArray, Positions
from patclass.labels import LabelTree

# Sharper than tenfold or flatter than a twentieth is no calibration but a broken model.
_BOUNDS = (0.05, 10.0)


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities.

    :param sharpness: for each level the inverse of its temperature.
    :param opinion_weight: how much a second opinion on the coarsest level counts.
    """

    sharpness: tuple[float, ...]
    opinion_weight: float = 0.0

    @classmethod
    def none(cls, tree: LabelTree) -> "Calibration":
        """Probabilities as the model gives them."""
        return cls((1.0,) * len(tree.levels))

    def apply(
        self, tree: LabelTree, logits: FloatArray, opinion: FloatArray | None = None
    ) -> FloatArray:
        """Leaf probabilities, float32 of shape (rows, leaves).

        :param logits: leaf logits, shape (rows, leaves).
        :param opinion: log probabilities on the coarsest level, shape (rows, its labels).
        """
        total = np.zeros(logits.shape, dtype=np.float64)
        for depth, (factor, parents) in enumerate(_factors(tree, logits)):
            scores = factor * self.sharpness[depth]
            if depth == 0 and opinion is not None:
                scores = scores + self.opinion_weight * opinion
            total += _normalise(scores, parents)[:, tree.groups[depth]]
        return np.exp(total).astype(np.float32)


def fit_calibration(
    tree: LabelTree,
    logits: FloatArray,
    leaves: Sequence[Sequence[int]],
    opinion: FloatArray | None = None,
) -> Calibration:
    """Choose temperatures, and the weight of the opinion, by the likelihood of known labels.

    A level without a row that knows its label keeps the temperature one.

    :param leaves: for each row the leaves of which one is true; a row counts at each level
        down to which they agree.
    """
    sharpness, weight = [], 0.0
    for depth, (factor, parents) in enumerate(_factors(tree, logits)):
        rows, truth = _known(tree.groups[depth], leaves)
        if not len(rows):
            sharpness.append(1.0)
            continue
        parts = [factor[rows]]
        if depth == 0 and opinion is not None:
            parts.append(opinion[rows].astype(np.float64))
        chosen = _most_likely(parts, parents, truth)
        sharpness.append(chosen[0])
        if len(parts) > 1:
            weight = chosen[1]
    return Calibration(tuple(sharpness), weight)


def _most_likely(
    parts: list[npt.NDArray[np.float64]], parents: Positions, truth: Positions
) -> list[float]:
    """The weights of ``parts`` under which ``truth`` is most likely; a convex problem."""
    every = np.arange(len(truth))

    def loss(weights: npt.NDArray[np.float64]) -> float:
        scores = sum(w * part for w, part in zip(weights, parts, strict=True))
        return float(-_normalise(np.asarray(scores), parents)[every, truth].mean())

    bounds = [_BOUNDS] + [(0.0, _BOUNDS[1])] * (len(parts) - 1)
    found = minimize(loss, np.ones(len(parts)), method="L-BFGS-B", bounds=bounds)
    return [float(weight) for weight in found.x]


def _factors(
    tree: LabelTree, logits: FloatArray
) -> list[tuple[npt.NDArray[np.float64], Positions]]:
    """For each level: log probabilities of its groups given their parents, and the parents."""
    log_leaves = _normalise(logits.astype(np.float64), np.zeros(logits.shape[1], dtype=np.intp))
    factors = []
    above: Positions = np.zeros(len(tree.paths), dtype=np.intp)
    log_above = np.zeros((len(logits), 1))
    for groups in tree.groups:
        log_here = _log_sums(log_leaves, groups)
        parents = np.zeros(log_here.shape[1], dtype=np.intp)
        parents[groups] = above
        factors.append((log_here - log_above[:, parents], parents))
        above, log_above = groups, log_here
    return factors


def _log_sums(values: npt.NDArray[np.float64], groups: Positions) -> npt.NDArray[np.float64]:
    """Log of the sum of exponentials over the columns of each group."""
    count = int(groups.max()) + 1
    top = values.max(axis=1, keepdims=True)
    sums = np.zeros((count, len(values)))
    np.add.at(sums, groups, np.exp(values - top).T)
    return np.asarray(np.log(np.maximum(sums.T, 1e-300)) + top)


def _normalise(scores: npt.NDArray[np.float64], parents: Positions) -> npt.NDArray[np.float64]:
    """Log probabilities among the columns of one parent."""
    return np.asarray(scores - _log_sums(scores, parents)[:, parents])


def _known(groups: Positions, leaves: Sequence[Sequence[int]]) -> tuple[Positions, Positions]:
    """Rows whose leaves are all in one group, and that group."""
    found = [{int(groups[leaf]) for leaf in row} for row in leaves]
    rows = [position for position, row in enumerate(found) if len(row) == 1]
    return np.array(rows, dtype=np.intp), np.array([next(iter(found[r])) for r in rows], np.intp)
