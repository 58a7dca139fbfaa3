"""The confidence from which on answers are precise enough. Knows confidences and hits."""

import numpy as np
import numpy.typing as npt

from patclass.arrays import FloatArray

PRECISION = 0.9

# A precision of nine in ten on fewer answers than this is luck.
MIN_ANSWERS = 20

# What no confidence reaches: nothing is then answered.
NEVER = 1.01


def lowest_threshold(
    confidences: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_], precision: float
) -> float | None:
    """The lowest confidence from which on ``precision`` of the answers are right, if any.

    Answers of equal confidence stand or fall together. Shapes are (rows,).
    """
    if not len(confidences):
        return None
    values, firsts = np.unique(np.sort(-confidences), return_index=True)
    last = np.append(firsts[1:], len(confidences)) - 1  # the last answer of each confidence
    right = np.cumsum(hits[np.argsort(-confidences, kind="stable")])[last]
    enough = np.flatnonzero(right >= precision * (last + 1) - 1e-9)
    return float(-values[enough[-1]]) if len(enough) else None


def threshold_for(confidences: FloatArray, hits: npt.NDArray[np.bool_]) -> float:
    """The confidence at which to answer by default, from held-out answers; shapes are (rows,).

    ``NEVER`` if no confidence is enough, or too few answers reach the one that is.
    """
    found = lowest_threshold(confidences, hits, PRECISION)
    if found is None or (confidences >= found).sum() < min(MIN_ANSWERS, len(confidences)):
        return NEVER
    if found <= confidences.min():
        return min(found, PRECISION)  # all are right often enough: what is less sure was not seen
    return found
