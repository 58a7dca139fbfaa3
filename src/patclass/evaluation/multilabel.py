"""Figures of rows that carry several labels: of the ranking of labels and of the labels chosen.

Knows arrays of labels and scores; no texts, no codes and no model. Labels are ranked by score,
equal ones in their order. What is true of a row counts whether the model knows it or not: a label
that it lacks is a column with scores of minus infinity that is never chosen.

Definitions: Jain, Prabhu and Varma 2016 (precision, recall and nDCG at k, as used for extreme
classification), Järvelin and Kekäläinen 2002 (nDCG), Schapire and Singer 2000 (coverage error),
Tsoumakas, Katakis and Vlahavas 2010 (micro, macro and example-based F1).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray, Frozen, Positions
from patclass.evaluation.calibration import BoolArray
from patclass.evaluation.intervals import (
    RESAMPLES,
    Interval,
    counted,
    percentiles,
    resampled,
)
from patclass.predictor.calibration import f1_threshold

Floats = npt.NDArray[np.float64]

PRECISION_AT = (1, 3, 5)
RECALL_AT = (3, 5, 10)
NDCG_AT = 5


class Estimate(Frozen):
    """A figure with its 95 % interval (bootstrap over rows)."""

    value: float
    interval: Interval


class MultilabelMetrics(Frozen):
    """Figures of one model on one set of rows.

    Rows without a true label have no recall, nDCG and coverage error and are left out of them.
    ``macro_f1`` is the mean over the labels that some row carries. The three F1 are None where
    nothing was chosen, because the model only ranks.

    :param labels: how many labels some row carries.
    :param labels_per_row: how many a row carries, on average.
    """

    rows: int
    labels: int
    labels_per_row: float
    precision_at: Mapping[int, Estimate]
    recall_at: Mapping[int, Estimate]
    ndcg_at_5: Estimate
    coverage_error: Estimate
    micro_f1: Estimate | None = None
    macro_f1: Estimate | None = None
    example_f1: Estimate | None = None


def label_matrix(rows: Sequence[Sequence[int]], labels: int) -> BoolArray:
    """Which labels each row carries, shape (rows, labels), from their positions."""
    y_true = np.zeros((len(rows), labels), dtype=np.bool_)
    for row, positions in enumerate(rows):
        y_true[row, list(positions)] = True
    return y_true


def ranked(scores: FloatArray, k: int = max(*PRECISION_AT, *RECALL_AT, NDCG_AT)) -> Positions:
    """The k labels with the highest scores, best first, shape (rows, at most k)."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def precision_at(y_true: BoolArray, ranking: Positions, k: int) -> Floats:
    """Share of the first k labels that are true, shape (rows,).

    With fewer than k labels in all, those that are missing count as wrong.
    """
    return np.asarray(_hits(y_true, ranking, k).sum(axis=1) / k)


def recall_at(y_true: BoolArray, ranking: Positions, k: int) -> Floats:
    """Share of a row's true labels that are among the first k, shape (rows,).

    NaN for a row without a true label.
    """
    return _share(_hits(y_true, ranking, k).sum(axis=1), y_true.sum(axis=1))


def ndcg_at(y_true: BoolArray, ranking: Positions, k: int) -> Floats:
    """Normalised discounted cumulative gain of the first k labels, shape (rows,).

    A true label at rank r gains 1 / log2(r + 1); 1 is the gain of the best order. NaN for a row
    without a true label.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    hits = _hits(y_true, ranking, k)
    best = np.concatenate([[0.0], np.cumsum(discounts)])
    return _share(
        hits @ discounts[: hits.shape[1]], best[np.minimum(y_true.sum(axis=1), hits.shape[1])]
    )


def coverage_error(y_true: BoolArray, scores: FloatArray) -> Floats:
    """How many labels one has to read, best score first, to see all true ones, shape (rows,).

    At best as many as the row has. Labels with equal scores are all read. NaN for a row without
    a true label.
    """
    lowest = np.where(y_true, scores, np.inf).min(axis=1, initial=np.inf)
    read = (scores >= lowest[:, np.newaxis]).sum(axis=1)
    return np.where(y_true.any(axis=1), read, np.nan)


def example_f1(y_true: BoolArray, chosen: BoolArray) -> Floats:
    """F1 of a row's chosen labels, shape (rows,); 1 if nothing is true and nothing chosen."""
    counts = y_true.sum(axis=1) + chosen.sum(axis=1)
    return np.where(counts == 0, 1.0, _f1((y_true & chosen).sum(axis=1), counts))


def micro_f1(y_true: BoolArray, chosen: BoolArray, weights: FloatArray) -> Floats:
    """F1 of all pairs of a row and a label, shape (resamples,); 0 if no pair is true or chosen.

    :param weights: how often each row counts, shape (resamples, rows).
    """
    hits = (y_true & chosen).sum(axis=1)
    return _f1(weights @ hits, weights @ (y_true.sum(axis=1) + chosen.sum(axis=1)))


def macro_f1(y_true: BoolArray, chosen: BoolArray, weights: FloatArray) -> Floats:
    """Mean F1 of the labels that some row carries, shape (resamples,); 0 if none does.

    :param weights: how often each row counts, shape (resamples, rows).
    """
    carried = y_true.any(axis=0)
    # float32 is exact for counts, and multiplied far faster than integers.
    true, named = (array[:, carried].astype(np.float32) for array in (y_true, chosen))
    rows = weights @ true
    f1 = np.where(rows > 0, _f1(weights @ (true * named), rows + weights @ named), 0)
    return np.asarray(f1.sum(axis=1) / np.maximum((rows > 0).sum(axis=1), 1), dtype=np.float64)


def micro_f1_threshold(y_true: BoolArray, scores: FloatArray) -> float:
    """The score from which on labels are chosen for the highest micro F1 on these rows.

    Infinity if there is no true label with a finite score. Equal scores are chosen together.
    """
    finite = scores > -np.inf  # what all rows carry has an infinite score, and is chosen
    found = f1_threshold(scores[finite], y_true[finite], int(y_true.sum()))
    return float("inf") if found is None else found


def evaluate_multilabel(
    y_true: BoolArray,
    scores: FloatArray,
    chosen: BoolArray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> MultilabelMetrics:
    """All figures, with bootstrap intervals over rows.

    :param y_true: the labels that each row carries, shape (rows, labels).
    :param scores: what labels are ranked by, in the same shape: probabilities or any other.
    :param chosen: the labels that the model assigns, in the same shape; None if it only ranks.
    :raises ValueError: if there are no rows, or shapes differ.
    """
    if not len(y_true):
        raise ValueError("nothing to evaluate: no rows")
    if y_true.shape != scores.shape or (chosen is not None and chosen.shape != y_true.shape):
        shapes = [array.shape for array in (y_true, scores, chosen) if array is not None]
        raise ValueError(f"labels, scores and what was chosen differ in shape: {shapes}")
    found = _figures(y_true, scores, chosen, resamples, seed)
    return MultilabelMetrics(
        rows=len(y_true),
        labels=int(y_true.any(axis=0).sum()),
        labels_per_row=float(y_true.sum(axis=1).mean()),
        precision_at={k: found[f"precision {k}"] for k in PRECISION_AT},
        recall_at={k: found[f"recall {k}"] for k in RECALL_AT},
        ndcg_at_5=found["nDCG"],
        coverage_error=found["coverage error"],
        micro_f1=found.get("micro F1"),
        macro_f1=found.get("macro F1"),
        example_f1=found.get("example F1"),
    )


def evaluate_multilabel_levels(
    levels: Sequence[str],
    depths: Positions,
    y_true: BoolArray,
    scores: FloatArray,
    chosen: BoolArray | None = None,
) -> dict[str, MultilabelMetrics]:
    """All figures of each level, by its name.

    A level counts the rows with a true label there, as a code may end above it; one without any
    is left out.

    :param depths: the level of each label, as its position in ``levels``, shape (labels,).
    """
    found = {}
    for depth, level in enumerate(levels):
        columns = np.flatnonzero(depths == depth)
        rows = np.flatnonzero(y_true[:, columns].any(axis=1))
        if len(rows):
            cells = np.ix_(rows, columns)
            own = None if chosen is None else chosen[cells]
            found[level] = evaluate_multilabel(y_true[cells], scores[cells], own)
    return found


def _figures(
    y_true: BoolArray, scores: FloatArray, chosen: BoolArray | None, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Each figure by its name, from all rows and from resamples of them."""
    ranking = ranked(scores)
    by_row = {
        **{f"precision {k}": precision_at(y_true, ranking, k) for k in PRECISION_AT},
        **{f"recall {k}": recall_at(y_true, ranking, k) for k in RECALL_AT},
        "nDCG": ndcg_at(y_true, ranking, NDCG_AT),
        "coverage error": coverage_error(y_true, scores),
    }
    if chosen is not None:
        by_row["example F1"] = example_f1(y_true, chosen)

    def figures(weights: FloatArray) -> dict[str, Floats]:
        means = {name: _means(values, weights) for name, values in by_row.items()}
        if chosen is None:
            return means
        f1s = {"micro F1": micro_f1, "macro F1": macro_f1}
        return means | {name: f1(y_true, chosen, weights) for name, f1 in f1s.items()}

    values = figures(np.ones((1, len(y_true)), dtype=np.float32))
    drawn = [
        figures(counted(block, len(y_true)).astype(np.float32))
        for block in resampled(len(y_true), y_true.shape[1], resamples, seed)
    ]
    return {
        name: Estimate(
            value=float(value[0]),
            interval=percentiles(np.concatenate([block[name] for block in drawn])),
        )
        for name, value in values.items()
    }


def _means(values: Floats, weights: FloatArray) -> Floats:
    """The mean over the rows that have a value, shape (resamples,); 0 without any."""
    known = ~np.isnan(values)
    return np.asarray(
        weights @ np.where(known, values, 0) / np.maximum(weights @ known, 1), dtype=np.float64
    )


def _hits(y_true: BoolArray, ranking: Positions, k: int) -> BoolArray:
    """Whether the first labels are true, best first, shape (rows, at most k)."""
    return np.take_along_axis(y_true, ranking[:, :k], axis=1)


def _share(part: Floats, whole: Floats) -> Floats:
    """NaN where the whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1e-12), np.nan)


def _f1(hits: npt.ArrayLike, counts: npt.ArrayLike) -> Floats:
    """F1 from pairs that are true and chosen, and from how many are true plus how many chosen."""
    return np.asarray(2 * np.asarray(hits) / np.maximum(counts, 1), dtype=np.float64)
