"""Figures from true and predicted labels. Knows positions in a label set, no model."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from patclass.arrays import FloatArray


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassMetrics(_Frozen):
    """Figures of one label; ``support`` is its number of true rows."""

    code: str
    precision: float
    recall: float
    f1: float
    support: int


class Metrics(_Frozen):
    """Figures of one model on one set of rows.

    ``macro_f1`` is the mean over the labels that occur among the true ones. ``loss`` is the
    mean negative log-likelihood in nats. ``confusion[i][j]`` counts rows of label i that were
    answered with label j.
    """

    rows: int
    accuracy: float
    micro_f1: float
    macro_f1: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]


def evaluate(truth: Sequence[int], probabilities: FloatArray, codes: Sequence[str]) -> Metrics:
    """Compare true labels with probabilities of shape (rows, labels).

    :raises ValueError: if there are no rows.
    """
    if not len(truth):
        raise ValueError("nothing to evaluate: no rows")
    positions = list(range(len(codes)))
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(truth, predicted, labels=positions)
    per_class = precision_recall_fscore_support(
        truth, predicted, labels=positions, zero_division=0.0
    )
    classes = tuple(
        ClassMetrics(code=code, precision=p, recall=r, f1=f, support=int(n))
        for code, p, r, f, n in zip(codes, *per_class, strict=True)
    )
    accuracy = float((predicted == np.asarray(truth)).mean())
    bounded = np.clip(probabilities.astype(np.float64), 1e-12, None)
    bounded /= bounded.sum(axis=1, keepdims=True)
    return Metrics(
        rows=len(truth),
        accuracy=accuracy,
        micro_f1=accuracy,  # with exactly one label a row, the two are the same figure
        macro_f1=float(np.mean([c.f1 for c in classes if c.support])),
        loss=float(log_loss(truth, bounded, labels=positions)),
        per_class=classes,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )
