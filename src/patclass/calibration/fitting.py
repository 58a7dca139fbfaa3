"""Learning how sharp the answers should be. Knows scores and positions, no texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from patclass.arrays import FloatArray, Positions
from patclass.calibration.temperature import Calibration, Chosen, Factor, factors, normalise
from patclass.labels import LabelTree

_Floats = npt.NDArray[np.float64]

# Sharper than tenfold or flatter than a twentieth is no calibration but a broken model.
_BOUNDS = (0.05, 10.0)

# So many answers with a known label are needed to learn a level's noise; on fewer, it is chance.
ANSWERS_FOR_NOISE = 200
_FIRST_NOISE, _MOST_NOISE = 0.02, 0.3


def fit_calibration(
    tree: LabelTree,
    logits: FloatArray,
    leaves: Sequence[Sequence[int]],
    opinion: FloatArray | None = None,
    balance: float | None = None,
) -> Calibration:
    """Choose temperatures, noise and the weight of the opinion from rows with known labels.

    First by the likelihood of the labels; then, where there are rows enough, sharpness and noise
    by the likelihood of the answers being right or wrong, from the coarsest level down: the
    confidence of the answer is what people are shown and what thresholds are set on. A level
    without a row that knows its label keeps the temperature one.

    :param leaves: for each row the leaves of which one is true; a row counts at each level
        down to which they agree.
    :param balance: how much the opinion counts beside the logits; None to choose that as well.
    """
    found: list[Chosen] = []
    above = np.ones((len(logits), 1))
    for depth, factor in enumerate(factors(tree, logits, opinion)):
        if factor.opinion is not None and balance is not None:
            factor = Factor(factor.scores + balance * factor.opinion, None, factor.parents)
        rows, truth = _known(tree.groups[depth], leaves)
        known = factor.of(rows)
        chosen = _most_likely(known, truth) if len(rows) else Chosen()
        if len(rows) >= ANSWERS_FOR_NOISE:
            chosen = _honest(known, truth, chosen, above[rows], _named(tree, depth))
        above = above[:, factor.parents] * factor.probabilities(chosen)
        found.append(chosen)
    return Calibration(
        tuple(level.sharpness for level in found),
        found[0].opinion_weight if balance is None else balance * found[0].sharpness,
        tuple(level.noise for level in found),
    )


def _most_likely(factor: Factor, truth: Positions) -> Chosen:
    """What makes the true groups most likely; a convex problem."""
    parts = [factor.scores] if factor.opinion is None else [factor.scores, factor.opinion]
    every = np.arange(len(truth))

    def loss(weights: _Floats) -> float:
        scores = sum(w * part for w, part in zip(weights, parts, strict=True))
        return float(-normalise(np.asarray(scores), factor.parents)[every, truth].mean())

    bounds = [_BOUNDS] + [(0.0, _BOUNDS[1])] * (len(parts) - 1)
    found = minimize(loss, np.ones(len(parts)), method="L-BFGS-B", bounds=bounds)
    return Chosen(*(float(weight) for weight in found.x))


def _honest(
    factor: Factor, truth: Positions, start: Chosen, above: _Floats, named: npt.NDArray[np.bool_]
) -> Chosen:
    """The sharpness and noise under which right and wrong answers are most likely.

    :param above: calibrated probabilities of the groups above, shape (rows, those groups).
    :param named: which groups are labels; an "other" is never an answer.
    """
    every = np.arange(len(truth))
    above = above[:, factor.parents]

    def loss(values: _Floats) -> float:
        chosen = start._replace(sharpness=values[0], noise=values[1])
        joint = np.where(named, factor.probabilities(chosen) * above, 0)
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


def _known(groups: Positions, leaves: Sequence[Sequence[int]]) -> tuple[Positions, Positions]:
    """Rows whose leaves are all in one group, and that group."""
    found = [{int(groups[leaf]) for leaf in row} for row in leaves]
    rows = [position for position, row in enumerate(found) if len(row) == 1]
    return np.array(rows, dtype=np.intp), np.array([next(iter(found[r])) for r in rows], np.intp)
