"""Figures from true and predicted labels. Knows positions in a label set, no model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from patclass.arrays import FloatArray
from patclass.evaluation.confusion import Confusion
from patclass.evaluation.frozen import Frozen


class ClassMetrics(Frozen):
    """Figures of one label; ``support`` is its number of true rows."""

    code: str
    precision: float
    recall: float
    f1: float
    support: int


class Metrics(Frozen):
    """Figures of one model on one set of rows.

    ``macro_f1`` is the mean over the labels that occur among the true ones. ``loss`` is the
    mean negative log-likelihood in nats of the true labels that the model knows.
    ``confusion[i][j]`` counts rows of label i that were answered with label j.
    """

    rows: int
    accuracy: float
    micro_f1: float
    macro_f1: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: Confusion


def evaluate(
    truth: Sequence[int] | npt.NDArray[np.intp], probabilities: FloatArray, codes: Sequence[str]
) -> Metrics:
    """Compare true labels with probabilities of shape (rows, labels).

    :param truth: positions of the true labels; a negative one stands for a label that the
        model does not know, so that no answer is right.
    :raises ValueError: if there are no rows.
    """
    if not len(truth):
        raise ValueError("nothing to evaluate: no rows")
    true, predicted = np.asarray(truth), probabilities.argmax(axis=1)
    per_class = precision_recall_fscore_support(
        true, predicted, labels=list(range(len(codes))), zero_division=0.0
    )
    classes = tuple(
        ClassMetrics(code=code, precision=p, recall=r, f1=f, support=int(n))
        for code, p, r, f, n in zip(codes, *per_class, strict=True)
    )
    accuracy = float((predicted == true).mean())
    known = np.flatnonzero(true >= 0)
    likelihood = np.clip(probabilities[known, true[known]].astype(np.float64), 1e-12, None)
    return Metrics(
        rows=len(true),
        accuracy=accuracy,
        micro_f1=accuracy,  # with exactly one label a row, the two are the same figure
        macro_f1=float(np.mean([c.f1 for c in classes if c.support])) if len(known) else 0.0,
        loss=float(-np.log(likelihood).mean()) if len(known) else 0.0,
        per_class=classes,
        confusion=_confusion(true[known], predicted[known], len(codes)),
    )


def _confusion(
    true: npt.NDArray[np.intp], predicted: npt.NDArray[np.intp], labels: int
) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(true * labels + predicted, minlength=labels * labels)
    return tuple(tuple(row) for row in counts.reshape(labels, labels).tolist())
