"""How far figures may be off by chance. Knows positions and counts, no probabilities.

Shares get Wilson's score interval (1927), which holds for few rows and for shares near 0 or 1.
Macro F1 has no such formula: its interval is that between the percentiles of the figure on
resampled rows (Efron and Tibshirani 1993, chapter 13). Both speak of chance in the rows only,
not of patents unlike them.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from patclass.core.types import Frozen, Positions

Floats = npt.NDArray[np.float64]

# Cells of the largest table held at once, whatever the numbers of rows and labels: 8 MiB.
CELLS = 1 << 20


def resampled(rows: int, labels: int, resamples: int, seed: int) -> Iterator[Positions]:
    """Row numbers drawn with replacement, in blocks of shape (some resamples, rows)."""
    generator = np.random.default_rng(seed)
    block = max(1, CELLS // max(rows, labels + 1))
    for start in range(0, resamples, block):
        yield generator.integers(rows, size=(min(block, resamples - start), rows))


def macro_f1(y_true: Positions, y_pred: Positions, labels: int, drawn: Positions) -> Floats:
    """Macro F1 of each resample, the mean over the labels that are true in it.

    :param y_true: positions of the true labels, shape (rows,); ``labels`` for any other.
    :param y_pred: positions of the predictions, shape (rows,), likewise.
    :param drawn: row numbers of shape (resamples, rows).
    """
    correct = np.where(y_true == y_pred, y_true, labels)
    found, true, named = (counted(row[drawn], labels) for row in (correct, y_true, y_pred))
    f1 = 2 * found / np.maximum(true + named, 1)  # 0 where nothing is true: no hit either
    return np.asarray(f1.sum(axis=1) / np.maximum((true > 0).sum(axis=1), 1), dtype=np.float64)


def counted(places: Positions, labels: int) -> Positions:
    """How often each of the positions below ``labels`` occurs, shape (resamples, labels).

    :param places: positions up to ``labels``, shape (resamples, rows).
    """
    starts = np.arange(len(places))[:, np.newaxis] * (labels + 1)
    counts = np.bincount((places + starts).ravel(), minlength=len(places) * (labels + 1))
    return counts.reshape(len(places), labels + 1)[:, :labels]


CONFIDENCE = 0.95
RESAMPLES = 1000


class Interval(Frozen):
    """The two ends of an interval."""

    low: float
    high: float


class Bootstrap(Frozen):
    """Intervals of the figures of one level."""

    accuracy: Interval
    macro_f1: Interval


def wilson(correct: int, rows: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of the share ``hits / rows``.

    :raises ValueError: if there are no rows, or not between none and all of them are hits.
    """
    if not 0 <= correct <= rows or not rows:
        raise ValueError(f"{correct} hits in {rows} rows are no share")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = correct / rows, z * z / rows
    centre = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / rows + weight / (4 * rows)) / (1 + weight)
    # At either end the formula gives 0 or 1 but for rounding.
    low = 0.0 if not correct else max(0.0, centre - reach)
    high = 1.0 if correct == rows else min(1.0, centre + reach)
    return Interval(low=low, high=high)


def bootstrap(
    y_true: Positions,
    y_pred: Positions,
    labels: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Bootstrap:
    """Percentile intervals of accuracy and macro F1 from true labels and predictions.

    :param y_true: positions of the true labels, shape (rows,); negative where the model does
        not know the label.
    :param y_pred: positions of the predictions, shape (rows,).
    :raises ValueError: if there are no rows.
    """
    if not len(y_true):
        raise ValueError("nothing to resample: no rows")
    # Whatever is no label of the model gets the place after the last one.
    true = np.where(y_true < 0, labels, y_true)
    right = (true == y_pred) & (true < labels)
    accuracies, f1s = [], []
    for drawn in resampled(len(true), labels, resamples, seed):
        accuracies.append(right[drawn].mean(axis=1))
        f1s.append(macro_f1(true, y_pred, labels, drawn))
    return Bootstrap(
        accuracy=percentiles(np.concatenate(accuracies), confidence),
        macro_f1=percentiles(np.concatenate(f1s), confidence),
    )


def percentiles(figures: Floats, confidence: float = CONFIDENCE) -> Interval:
    """The interval between the percentiles of a figure's resamples, shape (resamples,)."""
    low, high = np.quantile(figures, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=float(low), high=float(high))
