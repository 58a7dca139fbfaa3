"""Confusion matrices: how large ones are stored, and which labels are mistaken for which."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, NonNegativeInt, PlainSerializer

from patclass.evaluation.frozen import Frozen

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


def _dense(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = _Sparse.model_validate(value)
    rows = [[0] * found.labels for _ in range(found.labels)]
    for true, answered, count in found.cells:
        if max(true, answered) >= found.labels:
            raise ValueError(f"cell {true}, {answered} is outside of {found.labels} labels")
        rows[true][answered] = count
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
    answered: str
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
            answered=codes[j],
            rows=int(counts[i, j]),
            share=float(counts[i, j] / support[i]),
        )
        for i, j in cells
        if counts[i, j]
    ]
