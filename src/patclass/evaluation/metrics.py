"""Figures from true and predicted labels and tags, of all rows and of slices of them.

Knows positions in a label set and a row's bibliographic data, no model.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, NonNegativeInt, PlainSerializer, ValidationInfo

from patclass.core.types import FloatArray, Frozen
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.evaluation.calibration import BoolArray
from patclass.evaluation.intervals import Interval, wilson
from patclass.predictor.scored import LabelledPredictions, predictions_at

# Above, nearly all cells are zero: written out, they would be megabytes of JSON.
MAX_DENSE = 50

# Larger than any label set; a matrix of a damaged file must not fill the memory.
MAX_LABELS = 10_000


class _Sparse(Frozen):
    """A matrix by its cells that are not zero: true label, answer, rows."""

    labels: int = Field(gt=0, le=MAX_LABELS)
    cells: tuple[tuple[NonNegativeInt, NonNegativeInt, int], ...]


def _sparse(matrix: tuple[tuple[int, ...], ...]) -> Any:
    if len(matrix) <= MAX_DENSE:
        return matrix
    counts = np.asarray(matrix)
    cells = [[int(i), int(j), int(counts[i, j])] for i, j in np.argwhere(counts)]
    return {"labels": len(matrix), "cells": cells}


# As the context of a validation: leave sparse matrices as they are, for who will not use them.
CHECK_ONLY = "check only"


def _dense(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, dict):
        return value
    found = _Sparse.model_validate(value)
    for true, predicted, _ in found.cells:
        if max(true, predicted) >= found.labels:
            raise ValueError(f"cell {true}, {predicted} is outside of {found.labels} labels")
    if info.context == CHECK_ONLY:
        return ()
    rows = [[0] * found.labels for _ in range(found.labels)]
    for true, predicted, count in found.cells:
        rows[true][predicted] = count
    return rows


Confusion = Annotated[
    tuple[tuple[int, ...], ...],
    BeforeValidator(_dense),
    PlainSerializer(_sparse, when_used="json"),
]
"""Row counts by true label (down) and answer (across); as JSON sparse if it is large."""


class ConfusedPair(Frozen):
    """A label and what it was mistaken for; ``share`` is that of the true label's rows."""

    true: str
    predicted: str
    rows: int
    share: float


def confused_pairs(
    matrix: Sequence[Sequence[int]], codes: Sequence[str], limit: int = 20
) -> list[ConfusedPair]:
    """The most frequent mistakes, the most frequent first; ties in the order of the labels."""
    counts = np.array(matrix)
    support = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:limit]
    cells = zip(*np.unravel_index(order, counts.shape), strict=True)
    return [
        ConfusedPair(
            true=codes[i],
            predicted=codes[j],
            rows=int(counts[i, j]),
            share=float(counts[i, j] / support[i]),
        )
        for i, j in cells
        if counts[i, j]
    ]


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
    ``confusion[i][j]`` counts rows of label i that were predicted with label j.
    """

    rows: int
    accuracy: float
    macro_f1: float
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: Confusion


def evaluate(
    y_true: Sequence[int] | npt.NDArray[np.intp], probabilities: FloatArray, codes: Sequence[str]
) -> Metrics:
    """Compare true labels with probabilities of shape (rows, labels).

    :param y_true: positions of the true labels; a negative one stands for a label that the
        model does not know, so that no prediction is right.
    :raises ValueError: if there are no rows.
    """
    from sklearn.metrics import precision_recall_fscore_support  # reading a report needs none

    if not len(y_true):
        raise ValueError("nothing to evaluate: no rows")
    true, predicted = np.asarray(y_true), probabilities.argmax(axis=1)
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


def evaluate_levels(
    rows: Sequence[Example], probabilities: FloatArray, tree: LabelTree
) -> dict[str, Metrics]:
    """Compare rows with leaf probabilities of shape (rows, leaves), level by level.

    Each level counts the rows whose label is known there; a level without any is left out.
    """
    predictions = {level: predictions_at(rows, probabilities, tree, level) for level in tree.levels}
    return {
        level: evaluate(found.y_true, found.probabilities, found.codes)
        for level, found in predictions.items()
        if found is not None
    }


MAX_YEAR_GROUPS = 5
MAX_SOURCES = 10

# Names of groups, and the group of each row as a position among them.
Groups = tuple[list[str], npt.NDArray[np.intp]]


class Slice(Frozen):
    """Accuracy on the rows of one group; with few rows the interval is wide."""

    kind: str
    name: str
    rows: int
    accuracy: float
    interval: Interval


def slices(rows: Sequence[Example], correct: BoolArray) -> tuple[Slice, ...]:
    """Slices of each kind that the data says something of, each kind in its natural order.

    :param correct: whether the prediction of each row is correct, shape (rows,).
    """
    kinds = {
        "text length": _lengths([len(row.text) for row in rows]),
        "year": _years([row.facts.year for row in rows]),
        "source": _sources([row.facts.source for row in rows]),
    }
    return tuple(
        _slice(kind, name, correct[group == place])
        for kind, (names, group) in kinds.items()
        for place, name in enumerate(names)
        if (group == place).any()
    )


def _slice(kind: str, name: str, correct: BoolArray) -> Slice:
    rows, right = len(correct), int(correct.sum())
    return Slice(
        kind=kind, name=name, rows=rows, accuracy=right / rows, interval=wilson(right, rows)
    )


def _lengths(lengths: Sequence[int]) -> Groups:
    """Four groups between the quartiles; fewer if many texts are equally long."""
    bounds = sorted({int(q) for q in np.quantile(lengths, [0.25, 0.5, 0.75])} - {max(lengths)})
    if not bounds:
        return [f"{max(lengths):,} characters"], np.zeros(len(lengths), dtype=np.intp)
    names = [
        f"up to {bounds[0]:,} characters",
        *(f"{low + 1:,} to {high:,} characters" for low, high in pairwise(bounds)),
        f"more than {bounds[-1]:,} characters",
    ]
    return names, np.searchsorted(bounds, lengths)


def _years(years: Sequence[int | None]) -> Groups:
    """Each year by itself, or up to five spans of about as many rows each."""
    known = np.array([year for year in years if year is not None], dtype=np.intp)
    if not len(known):
        return [], np.full(len(years), -1)
    bounds = np.unique(known)
    if len(bounds) > MAX_YEAR_GROUPS:
        shares = np.arange(1, MAX_YEAR_GROUPS + 1) / MAX_YEAR_GROUPS
        bounds = np.unique(np.quantile(known, shares, method="inverted_cdf"))
    group = np.searchsorted(bounds, known)
    spans = [known[group == place] for place in range(len(bounds))]
    names = [_span(int(span.min()), int(span.max())) for span in spans]
    groups = np.full(len(years), len(names))
    groups[[year is not None for year in years]] = group
    return [*names, "not known"], groups


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _sources(sources: Sequence[str | None]) -> Groups:
    """The most frequent sources, the rest together."""
    counts = Counter(source for source in sources if source is not None)
    if not counts:
        return [], np.full(len(sources), -1)
    names = [source for source, _ in counts.most_common(MAX_SOURCES)]
    place = {source: position for position, source in enumerate(names)}
    others, unknown = len(names), len(names) + 1
    groups = [unknown if source is None else place.get(source, others) for source in sources]
    return [*names, "other sources", "not known"], np.array(groups)


MAX_MISTAKES = 25


class Mistake(Frozen):
    """A confident wrong prediction.

    ``true`` is None if the tree has no such label; ``second`` is the next best label, None if
    there is only one label.
    """

    id: str
    title: str | None
    true: str | None
    predicted: str
    confidence: float
    second: str | None


def mistakes(predictions: LabelledPredictions, most: int = MAX_MISTAKES) -> tuple[Mistake, ...]:
    """Wrong predictions, the most confident first; equal ones in the order of the rows."""
    wrong = np.flatnonzero(~predictions.correct)
    order = np.argsort(-predictions.confidences[wrong], kind="stable")[:most]
    return tuple(_mistake(predictions, int(place)) for place in wrong[order])


def _mistake(predictions: LabelledPredictions, place: int) -> Mistake:
    row = predictions.rows[place]
    y_true, y_pred = predictions.y_true[place], predictions.y_pred[place]
    others = predictions.probabilities[place].copy()
    others[y_pred] = -1
    return Mistake(
        id=row.id,
        title=row.facts.title,
        true=predictions.codes[y_true] if y_true >= 0 else None,
        predicted=predictions.codes[y_pred],
        confidence=float(predictions.confidences[place]),
        second=predictions.codes[int(others.argmax())] if len(others) > 1 else None,
    )
