"""Temperatures and noise for every level of a label tree. Knows scores and positions, no texts.

The probability of a leaf is a product down the tree: that of its section, times that of its
class within the section, and so on. Each factor gets a temperature of its own (Guo et al.
2017, arXiv:1706.04599), and the first one may be joined with a second opinion on the coarsest
level (a logarithmic pool; Genest and Zidek 1986). Patents are filed by people who differ, so
that even the surest answer is sometimes called wrong, which no temperature can say: a share of
each factor, its noise, is therefore spread evenly over the siblings. Levels stay sums of one
another, because the factors are normalised among siblings.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from patclass.arrays import FloatArray, Positions
from patclass.labels import LabelTree

_Floats = npt.NDArray[np.float64]


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
        for depth, factor in enumerate(factors(tree, logits, opinion)):
            chosen = Chosen(self.sharpness[depth], self.opinion_weight, noise[depth])
            total *= factor.probabilities(chosen)[:, tree.groups[depth]]
        return total.astype(np.float32)


class Chosen(NamedTuple):
    """What is chosen for one level."""

    sharpness: float = 1.0
    opinion_weight: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Factor:
    """The groups of one level given the groups above them.

    :param scores: log probabilities given the parents, shape (rows, groups).
    :param opinion: a second opinion in the same shape, on the coarsest level only.
    :param parents: the group above each group, shape (groups,).
    """

    scores: _Floats
    opinion: _Floats | None
    parents: Positions

    def of(self, rows: Positions) -> "Factor":
        """The same of some rows."""
        opinion = None if self.opinion is None else self.opinion[rows]
        return Factor(self.scores[rows], opinion, self.parents)

    def probabilities(self, chosen: Chosen) -> _Floats:
        """Calibrated probabilities given the parents, a share of them spread evenly."""
        scores = self.scores * chosen.sharpness
        if self.opinion is not None:
            scores = scores + chosen.opinion_weight * self.opinion
        even = 1 / np.bincount(self.parents)[self.parents]
        own = np.exp(normalise(scores, self.parents))
        return np.asarray((1 - chosen.noise) * own + chosen.noise * even)


def factors(tree: LabelTree, logits: FloatArray, opinion: FloatArray | None = None) -> list[Factor]:
    """The factors of the levels, coarsest first."""
    log_leaves = normalise(logits.astype(np.float64), np.zeros(logits.shape[1], dtype=np.intp))
    second = None if opinion is None else opinion.astype(np.float64)
    found = []
    above: Positions = np.zeros(len(tree.paths), dtype=np.intp)
    log_above = np.zeros((len(logits), 1))
    for groups in tree.groups:
        log_here = _log_sums(log_leaves, groups)
        parents = np.zeros(log_here.shape[1], dtype=np.intp)
        parents[groups] = above
        found.append(Factor(log_here - log_above[:, parents], second, parents))
        above, log_above, second = groups, log_here, None
    return found


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
