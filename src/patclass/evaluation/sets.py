"""Whether label sets hold the truth as often as promised. Knows sets, not how they are made."""

import numpy as np
import numpy.typing as npt

from patclass.arrays import Positions
from patclass.evaluation.frozen import Frozen
from patclass.evaluation.intervals import Interval, wilson


class SetReport(Frozen):
    """Label sets of one level; ``single`` and ``empty`` are shares of the rows."""

    target: float
    coverage: float
    interval: Interval
    mean_size: float
    single: float
    empty: float


def set_report(inside: npt.NDArray[np.bool_], truth: Positions, target: float) -> SetReport:
    """Compare sets with the true labels.

    :param inside: which labels are in the set of each row, shape (rows, labels).
    :param truth: positions of the true labels, shape (rows,); a negative one is in no set.
    :param target: share of the rows whose set should hold the true label.
    :raises ValueError: if there are no rows, or not as many in both.
    """
    if inside.ndim != 2 or len(inside) != len(truth):
        raise ValueError(f"sets of shape {inside.shape} do not fit to {len(truth)} rows")
    covered = int((inside[np.arange(len(truth)), truth] & (truth >= 0)).sum())
    interval = wilson(covered, len(truth))
    sizes = inside.sum(axis=1)
    return SetReport(
        target=target,
        coverage=covered / len(truth),
        interval=interval,
        mean_size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        empty=float((sizes == 0).mean()),
    )
