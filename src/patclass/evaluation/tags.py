"""Figures of tags, each a question of its own with yes or no. Knows no levels."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from patclass.arrays import FloatArray
from patclass.data.corpus import Example
from patclass.evaluation.calibration import Floats, Hits
from patclass.evaluation.frozen import Frozen

THRESHOLD = 0.5


class TagReport(Frozen):
    """Figures of one tag on the rows of which it is known whether they carry it.

    ``precision`` and ``recall`` are those of the answer "yes" from a probability of 0.5 on;
    None where nothing is answered so or no row carries the tag.
    """

    rows: int
    carried: int
    average_precision: float | None
    precision: float | None
    recall: float | None


def tag_reports(
    rows: Sequence[Example], probabilities: FloatArray, codes: Sequence[str]
) -> dict[str, TagReport]:
    """Reports of the tags that are known for some row, by code.

    :param probabilities: those of each tag, shape (rows, tags).
    """
    reports = {}
    for column, code in enumerate(codes):
        known = [(i, row.tags[column]) for i, row in enumerate(rows) if column < len(row.tags)]
        places = [place for place, tag in known if tag is not None]
        if places:
            carried = np.array([tag for _, tag in known if tag is not None])
            reports[code] = _report(carried, probabilities[places, column])
    return reports


def _report(carried: Hits, probabilities: Floats) -> TagReport:
    said = probabilities >= THRESHOLD
    right = int((said & carried).sum())
    some = bool(carried.any())
    return TagReport(
        rows=len(carried),
        carried=int(carried.sum()),
        average_precision=float(average_precision_score(carried, probabilities)) if some else None,
        precision=right / int(said.sum()) if said.any() else None,
        recall=right / int(carried.sum()) if some else None,
    )
