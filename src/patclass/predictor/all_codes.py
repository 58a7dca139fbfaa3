"""All codes of a patent: calibrated probabilities of the nodes, and thresholds to choose by.

Knows nodes, scores and the codes that rows carry; no texts. The probability of a node given its
parent is a logistic function of its logit and of what the tree softmax says of it (Platt 1999,
with a second score); the joint ones are products down the tree. Thresholds are those of a level,
or of a node with rows enough for its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from patclass.core.errors import ConfigError, ModelError
from patclass.core.types import FloatArray, Positions
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.predictor.arrays import check_form, parse_arrays
from patclass.predictor.calibration import MIN_ANSWERS, NEVER, f1_threshold, lowest_threshold

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

# Precisions and recalls for which thresholds are kept.
TARGETS = (*(round(step * 0.05, 2) for step in range(1, 20)), 0.99)

# Rows that must carry a code before it gets thresholds of its own.
MIN_CARRIED = 50

# Rows whose codes are all known that are needed to fit anything.
MIN_ROWS = 10

# Log-odds beyond say nothing more, and are infinite where a probability is rounded.
_BOUND = 10.0

_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AllCodes:
    """How node logits become probabilities, and from which on a code is given.

    :param weights: for each level those of the node's logit, of the log-odds by the tree softmax,
        and the intercepts of nodes below and outside of that softmax; shape (levels, 4).
    :param own: nodes with thresholds of their own, in rising order, shape (own,).
    :param precision: thresholds by target, rows are levels, then ``own``; shape
        (levels + own, targets).
    :param recall: the same for recall.
    :param f1: thresholds of the largest F1, shape (levels + own,).
    """

    FILE: ClassVar[str] = "codes.safetensors"
    REQUIRED: ClassVar[bool] = False

    weights: FloatArray
    own: npt.NDArray[np.int64]
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray

    @classmethod
    def fit(cls, fitting: "Fitting") -> "AllCodes | None":
        """Fit on the validation rows whose codes are all known; None if they are too few."""
        tree, examples = fitting.tree, fitting.corpus["validation"]
        rows = [row for row, example in enumerate(examples) if example.carried is not None]
        if not tree.nodes or len(rows) < MIN_ROWS:
            return None
        carried, asked = carried_nodes([examples[row] for row in rows], tree)
        logits = fitting.validation.logits[rows, len(tree.paths) :]
        leaves = fitting.held_out_leaves[rows]
        weights = _fit_weights(tree, logits, main_log_odds(tree, leaves), carried, asked)
        probabilities = _probabilities(weights, tree, logits, leaves)
        own = np.flatnonzero(carried.sum(axis=0) >= MIN_CARRIED)
        curves = list(_curves(tree, own, probabilities, carried))
        return cls(
            weights,
            own.astype(np.int64),
            np.array([_by_precision(*curve) for curve in curves], dtype=np.float32),
            np.array([_by_recall(*curve) for curve in curves], dtype=np.float32),
            np.array([_by_f1(*curve) for curve in curves], dtype=np.float32),
        )

    def probabilities(self, tree: LabelTree, logits: FloatArray, leaves: FloatArray) -> FloatArray:
        """Probabilities of the nodes, float32 of shape (rows, nodes).

        :param logits: of the nodes, in the same shape.
        :param leaves: calibrated probabilities of the leaves, shape (rows, leaves).
        """
        return _probabilities(self.weights, tree, logits, leaves)

    def thresholds(
        self, tree: LabelTree, precision: float | None = None, recall: float | None = None
    ) -> FloatArray:
        """The probability from which on each node is given, shape (nodes,).

        :param precision: share of the given codes that are right on validation rows; the next
            larger one of ``TARGETS`` counts. Above one where no threshold reaches it.
        :param recall: share of the true codes that are given, likewise.
        :raises ConfigError: if both are given, or one that no threshold is kept for.
        """
        if precision is not None and recall is not None:
            raise ConfigError(
                "precision and recall: the codes can be chosen for one of them.",
                setting=("precision", "recall"),
            )
        if precision is not None:
            return self._by_node(tree, self.precision[:, _target("precision", precision)])
        if recall is not None:
            return self._by_node(tree, self.recall[:, _target("recall", recall)])
        return self._by_node(tree, self.f1)

    def precisions(self, tree: LabelTree, probabilities: FloatArray) -> npt.NDArray[np.float64]:
        """For each node the largest of ``TARGETS`` for which it would be given, shape (nodes,).

        As a code is given with all above it, none has less than one below it. Zero where it would
        be given for none of them.

        :param probabilities: of the nodes of one row, in the same shape.
        """
        # Thresholds rise with the precision.
        reached = (probabilities[:, None] >= self._by_node(tree, self.precision)).sum(axis=1)
        return tree.raised(np.array([0, *TARGETS])[reached])

    def _by_node(self, tree: LabelTree, curves: FloatArray) -> FloatArray:
        """Each node's row of ``curves``: its own if it has one, else that of its level."""
        found = curves[: len(tree.levels)][tree.node_depths]
        found[self.own] = curves[len(tree.levels) :]
        return found

    def given(self, tree: LabelTree, probabilities: FloatArray) -> _Bools:
        """Which nodes are given where nothing else is asked for, and those above them.

        Shapes are (rows, nodes).
        """
        return tree.raised(probabilities >= self.thresholds(tree))

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        arrays = {
            name: np.ascontiguousarray(value, np.float32) for name, value in vars(self).items()
        }
        (folder / self.FILE).write_bytes(save(arrays | {"own": self.own}))

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "AllCodes":
        """Read the arrays back.

        :raises ModelError: if the file is damaged or made for other labels.
        """
        try:
            arrays, _ = parse_arrays(data)
            own = arrays.get("own", np.empty(0, np.int64))
            curves = len(tree.levels) + own.size
            check_form(
                arrays,
                {
                    "weights": ("f", (len(tree.levels), 4)),
                    "own": ("i", (own.size,)),
                    "precision": ("f", (curves, len(TARGETS))),
                    "recall": ("f", (curves, len(TARGETS))),
                    "f1": ("f", (curves,)),
                },
            )
            if own.size and not -1 < own.min() <= own.max() < len(tree.nodes):
                raise ValueError(f"own has a node that is none of {len(tree.nodes)}")
        except ValueError as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        return cls(**arrays)


def carried_nodes(examples: Sequence[Example], tree: LabelTree) -> tuple[_Bools, _Bools]:
    """Which nodes rows carry, and of which they can be asked: those below a carried parent.

    Shapes are (rows, nodes). Nodes of the coarsest level are asked of every row; those below a
    parent that the row's list does not refine, of none.
    """
    carried = np.zeros((len(examples), len(tree.nodes)), dtype=np.bool_)
    refined = np.ones_like(carried)
    for row, example in enumerate(examples):
        carried[row, list(example.carried or ())] = True
        refined[row, list(example.unrefined)] = False
    asked = (carried & refined)[:, tree.node_parents]
    asked[:, tree.node_depths == 0] = True
    return carried, asked


def main_log_odds(tree: LabelTree, leaves: FloatArray) -> FloatArray:
    """Log-odds of each node given its parent by the tree softmax, shape (rows, nodes).

    Not a number for nodes that the softmax lacks, such as those of section Y.
    """
    found = np.full((len(leaves), len(tree.nodes)), np.nan, dtype=np.float32)
    above = np.ones((len(leaves), len(tree.nodes)), dtype=np.float32)
    for depth, level in enumerate(tree.levels):
        here = np.flatnonzero((tree.node_depths == depth) & (tree.node_labels >= 0))
        joint = np.full_like(above, np.nan)
        joint[:, here] = tree.sums(leaves, level)[:, tree.node_labels[here]]
        parents = tree.node_parents[here]
        share = joint[:, here] / (above[:, parents] if depth else 1)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        found[:, here] = np.clip(np.log(share / (1 - share)), -_BOUND, _BOUND)
        above = np.where(np.isnan(joint), above, np.maximum(joint, 1e-12))
    return found


def _probabilities(
    weights: FloatArray, tree: LabelTree, logits: FloatArray, leaves: FloatArray
) -> FloatArray:
    main = main_log_odds(tree, leaves)
    own, softmax, inside, outside = weights[tree.node_depths].T
    known = np.isfinite(main)
    scores = own * logits + softmax * np.where(known, main, 0) + np.where(known, inside, outside)
    return tree.joint(1 / (1 + np.exp(-np.clip(scores, -30, 30))))


def _fit_weights(
    tree: LabelTree, logits: FloatArray, main: FloatArray, carried: _Bools, asked: _Bools
) -> FloatArray:
    """Logistic regression on each level's nodes below carried parents, shape (levels, 4)."""
    from sklearn.linear_model import LogisticRegression  # fitting only

    found = np.tile(np.array([1, 0, 0, 0], dtype=np.float32), (len(tree.levels), 1))
    for depth in range(len(tree.levels)):
        rows, nodes = np.nonzero(asked & (tree.node_depths == depth))
        y_true, scores = carried[rows, nodes], main[rows, nodes]
        if not y_true.any() or y_true.all():
            continue
        known = np.isfinite(scores)
        features = np.stack([logits[rows, nodes], np.where(known, scores, 0), known], axis=1)
        fitted = LogisticRegression(C=100.0, max_iter=1000).fit(features, y_true)
        own, softmax, inside = fitted.coef_[0]
        intercept = fitted.intercept_[0]
        found[depth] = (own, softmax, intercept + inside, intercept)
    return found


_Curve = tuple[FloatArray, _Bools]


def _curves(
    tree: LabelTree, own: Positions, probabilities: FloatArray, carried: _Bools
) -> Iterator[_Curve]:
    """Probabilities and truth of each level's other nodes, then of each node of ``own``.

    Those of ``own`` are frequent and told apart better: with them, a level's threshold would be too
    low for the nodes that it is for.
    """
    others = np.ones(len(tree.nodes), dtype=np.bool_)
    others[own] = False
    for depth in range(len(tree.levels)):
        here = others & (tree.node_depths == depth)
        yield probabilities[:, here].ravel(), carried[:, here].ravel()
    for node in own:
        yield probabilities[:, node], carried[:, node]


def _by_precision(probabilities: FloatArray, carried: _Bools) -> list[float]:
    found = (lowest_threshold(probabilities, carried, target) for target in TARGETS)
    least = min(MIN_ANSWERS, len(probabilities))
    return [
        NEVER if lowest is None or (probabilities >= lowest).sum() < least else lowest
        for lowest in found
    ]


def _by_recall(probabilities: FloatArray, carried: _Bools) -> list[float]:
    true = np.sort(probabilities[carried])[::-1]
    if not len(true):
        return [NEVER] * len(TARGETS)
    return [float(true[int(np.ceil(target * len(true) - 1e-9)) - 1]) for target in TARGETS]


def _by_f1(probabilities: FloatArray, carried: _Bools) -> float:
    found = f1_threshold(probabilities, carried, int(carried.sum()))
    return NEVER if found is None else found


def _target(name: str, wanted: float) -> int:
    """The place of the smallest target that is no smaller than ``wanted``."""
    place = int(np.searchsorted(TARGETS, wanted - 1e-9))
    if not wanted > 0 or place == len(TARGETS):
        raise ConfigError(
            f"{name} {wanted:g}: expected a share from {TARGETS[0]:g} to {TARGETS[-1]:g}, such as "
            "0.8.",
            setting=name,
        )
    return place
