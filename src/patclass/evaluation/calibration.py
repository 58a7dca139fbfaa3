"""Calibration and selective prediction. Knows confidences and what is correct, no labels.

Risk–coverage curves are those of El-Yaniv and Wiener 2010; the area below (AURC) is the mean
risk over all coverages (Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206). Equal confidences
cannot be told apart by a threshold: each such prediction counts with the accuracy of them all.
"""

import numpy as np
import numpy.typing as npt

from patclass.core.types import Frozen, Positions
from patclass.evaluation.intervals import Interval, wilson
from patclass.predictor.calibration import lowest_threshold

Floats = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

BINS = 15


class ReliabilityBin(Frozen):
    """The predictions with a confidence above ``low``, up to ``high``.

    ``confidence`` is their mean confidence, ``accuracy`` the share of them that is right.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def reliability(
    confidences: Floats, correct: BoolArray, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Predictions in equally wide bins of confidence; bins without any are left out.

    The bins of Guo et al. 2017, "On calibration of modern neural networks"
    (arXiv:1706.04599): each is open below and closed above.

    :param confidences: probability of each prediction, shape (rows,).
    :param correct: whether it is correct, shape (rows,).
    """
    sure = np.clip(confidences.astype(np.float64), 0, 1)
    bin_of = np.clip(np.ceil(sure * bins).astype(np.intp) - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            rows=int((bin_of == number).sum()),
            confidence=float(sure[bin_of == number].mean()),
            accuracy=float(correct[bin_of == number].mean()),
        )
        for number in np.unique(bin_of).tolist()
    )


def expected_calibration_error(confidences: Floats, correct: BoolArray, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by rows (ECE).

    As in Guo et al. 2017; 0.05 means that confidences are off by five points on average.

    :raises ValueError: if there are no rows.
    """
    if not len(confidences):
        raise ValueError("nothing to calibrate: no rows")
    found = reliability(confidences, correct, bins)
    return sum(b.rows * abs(b.confidence - b.accuracy) for b in found) / len(confidences)


MAX_POINTS = 101
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PRECISIONS = (0.9, 0.95)


class CoveragePoint(Frozen):
    """Answering the surest ``coverage`` of the rows, ``risk`` of these predictions are wrong."""

    coverage: float
    risk: float


class RiskCoverage(Frozen):
    """A risk–coverage curve, thinned, and the area below the whole of it."""

    points: tuple[CoveragePoint, ...]
    aurc: float


class OperatingPoint(Frozen):
    """What comes of answering only from a confidence of ``threshold`` on.

    ``target`` is the precision that the threshold was chosen for, the lowest that reaches it;
    None for a fixed threshold. ``threshold`` is None if nothing reaches the target. ``rows``
    are the rows answered; without any there is no ``precision``.
    """

    target: float | None
    threshold: float | None
    rows: int
    coverage: float
    precision: float | None
    interval: Interval | None


def risk_coverage(confidences: Floats, correct: BoolArray, most: int = MAX_POINTS) -> RiskCoverage:
    """The curve from the surest prediction to all of them, in at most ``most`` points.

    :param confidences: probability of each prediction, shape (rows,).
    :param correct: whether it is correct, shape (rows,).
    :raises ValueError: if there are no rows.
    """
    if not len(confidences):
        raise ValueError("nothing to rank: no rows")
    risks = _risks(confidences, correct)
    rows = len(risks)
    places = np.unique(np.linspace(0, rows - 1, min(most, rows)).round().astype(np.intp))
    points = tuple(
        CoveragePoint(coverage=(place + 1) / rows, risk=float(risks[place]))
        for place in places.tolist()
    )
    return RiskCoverage(points=points, aurc=float(risks.mean()))


def operating_points(confidences: Floats, correct: BoolArray) -> tuple[OperatingPoint, ...]:
    """Fixed thresholds, then the lowest ones that reach 90 and 95 % precision on these rows."""
    fixed = [_point(confidences, correct, threshold, None) for threshold in THRESHOLDS]
    chosen = [
        _point(confidences, correct, lowest_threshold(confidences, correct, precision), precision)
        for precision in PRECISIONS
    ]
    return (*fixed, *chosen)


def _risks(confidences: Floats, correct: BoolArray) -> npt.NDArray[np.float64]:
    """Share of wrong predictions among the k surest, for each k from 1 on."""
    _, group, counts = np.unique(-confidences, return_inverse=True, return_counts=True)
    accuracy = np.bincount(group, weights=correct) / counts
    right = np.cumsum(np.repeat(accuracy, counts))
    return np.asarray(np.clip(1 - right / np.arange(1, len(correct) + 1), 0, 1))


def _point(
    confidences: Floats, correct: BoolArray, threshold: float | None, target: float | None
) -> OperatingPoint:
    answered = confidences >= (np.inf if threshold is None else threshold)
    rows, right = int(answered.sum()), int(correct[answered].sum())
    return OperatingPoint(
        target=target,
        threshold=threshold,
        rows=rows,
        coverage=rows / len(correct),
        precision=right / rows if rows else None,
        interval=wilson(right, rows) if rows else None,
    )


class SetReport(Frozen):
    """Label sets of one level; ``single`` and ``empty`` are shares of the rows."""

    target: float
    coverage: float
    interval: Interval
    mean_size: float
    single: float
    empty: float


def set_report(inside: npt.NDArray[np.bool_], y_true: Positions, target: float) -> SetReport:
    """Compare sets with the true labels.

    :param inside: which labels are in the set of each row, shape (rows, labels).
    :param y_true: positions of the true labels, shape (rows,); a negative one is in no set.
    :param target: share of the rows whose set should hold the true label.
    :raises ValueError: if there are no rows, or not as many in both.
    """
    if inside.ndim != 2 or len(inside) != len(y_true):
        raise ValueError(f"sets of shape {inside.shape} do not fit to {len(y_true)} rows")
    covered = int((inside[np.arange(len(y_true)), y_true] & (y_true >= 0)).sum())
    interval = wilson(covered, len(y_true))
    sizes = inside.sum(axis=1)
    return SetReport(
        target=target,
        coverage=covered / len(y_true),
        interval=interval,
        mean_size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        empty=float((sizes == 0).mean()),
    )
