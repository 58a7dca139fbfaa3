"""What is gained by answering only when sure. Knows confidences and hits, no labels.

Risk–coverage curves are those of El-Yaniv and Wiener 2010; the area below (AURC) is the mean
risk over all coverages (Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206). Equal confidences
cannot be told apart by a threshold: each such answer counts with the accuracy of them all.
"""

import numpy as np
import numpy.typing as npt

from patclass.calibration.threshold import lowest_threshold
from patclass.evaluation.calibration import Floats, Hits
from patclass.evaluation.frozen import Frozen
from patclass.evaluation.intervals import Interval, wilson

MAX_POINTS = 101
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PRECISIONS = (0.9, 0.95)


class CoveragePoint(Frozen):
    """Answering the surest ``coverage`` of the rows, ``risk`` of these answers are wrong."""

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


def risk_coverage(confidences: Floats, hits: Hits, most: int = MAX_POINTS) -> RiskCoverage:
    """The curve from the surest answer to all of them, in at most ``most`` points.

    :param confidences: probability of each answer, shape (rows,).
    :param hits: whether it is right, shape (rows,).
    :raises ValueError: if there are no rows.
    """
    if not len(confidences):
        raise ValueError("nothing to rank: no rows")
    risks = _risks(confidences, hits)
    rows = len(risks)
    places = np.unique(np.linspace(0, rows - 1, min(most, rows)).round().astype(np.intp))
    points = tuple(
        CoveragePoint(coverage=(place + 1) / rows, risk=float(risks[place]))
        for place in places.tolist()
    )
    return RiskCoverage(points=points, aurc=float(risks.mean()))


def operating_points(confidences: Floats, hits: Hits) -> tuple[OperatingPoint, ...]:
    """Fixed thresholds, then the lowest ones that reach 90 and 95 % precision on these rows."""
    fixed = [_point(confidences, hits, threshold, None) for threshold in THRESHOLDS]
    chosen = [
        _point(confidences, hits, lowest_threshold(confidences, hits, precision), precision)
        for precision in PRECISIONS
    ]
    return (*fixed, *chosen)


def _risks(confidences: Floats, hits: Hits) -> npt.NDArray[np.float64]:
    """Share of wrong answers among the k surest, for each k from 1 on."""
    _, group, counts = np.unique(-confidences, return_inverse=True, return_counts=True)
    accuracy = np.bincount(group, weights=hits) / counts
    right = np.cumsum(np.repeat(accuracy, counts))
    return np.asarray(np.clip(1 - right / np.arange(1, len(hits) + 1), 0, 1))


def _point(
    confidences: Floats, hits: Hits, threshold: float | None, target: float | None
) -> OperatingPoint:
    answered = confidences >= (np.inf if threshold is None else threshold)
    rows, right = int(answered.sum()), int(hits[answered].sum())
    return OperatingPoint(
        target=target,
        threshold=threshold,
        rows=rows,
        coverage=rows / len(hits),
        precision=right / rows if rows else None,
        interval=wilson(right, rows) if rows else None,
    )
