"""Whether confidences can be taken at their word. Knows confidences and hits, no labels."""

import numpy as np
import numpy.typing as npt

from patclass.evaluation.frozen import Frozen

Floats = npt.NDArray[np.floating]
Hits = npt.NDArray[np.bool_]

BINS = 15


class ReliabilityBin(Frozen):
    """The answers with a confidence above ``low``, up to ``high``.

    ``confidence`` is their mean confidence, ``accuracy`` the share of them that is right.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def reliability(confidences: Floats, hits: Hits, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Answers in equally wide bins of confidence; bins without any are left out.

    The bins of Guo et al. 2017, "On calibration of modern neural networks"
    (arXiv:1706.04599): each is open below and closed above.

    :param confidences: probability of each answer, shape (rows,).
    :param hits: whether it is right, shape (rows,).
    """
    sure = np.clip(confidences.astype(np.float64), 0, 1)
    bin_of = np.clip(np.ceil(sure * bins).astype(np.intp) - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            rows=int((bin_of == number).sum()),
            confidence=float(sure[bin_of == number].mean()),
            accuracy=float(hits[bin_of == number].mean()),
        )
        for number in np.unique(bin_of).tolist()
    )


def expected_calibration_error(confidences: Floats, hits: Hits, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by rows (ECE).

    As in Guo et al. 2017; 0.05 means that confidences are off by five points on average.

    :raises ValueError: if there are no rows.
    """
    if not len(confidences):
        raise ValueError("nothing to calibrate: no rows")
    found = reliability(confidences, hits, bins)
    return sum(b.rows * abs(b.confidence - b.accuracy) for b in found) / len(confidences)
