"""Figures on rows drawn with replacement. Knows positions of labels, no probabilities.

F1 of a label is 2 * hits / (true rows + answers), three counts to which each row adds on its
own; a resample is therefore counted, never scored.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from patclass.arrays import Positions

Floats = npt.NDArray[np.float64]

# Cells of the largest table held at once, whatever the numbers of rows and labels: 8 MiB.
CELLS = 1 << 20


def resampled(rows: int, labels: int, resamples: int, seed: int) -> Iterator[Positions]:
    """Row numbers drawn with replacement, in blocks of shape (some resamples, rows)."""
    generator = np.random.default_rng(seed)
    block = max(1, CELLS // max(rows, labels + 1))
    for start in range(0, resamples, block):
        yield generator.integers(rows, size=(min(block, resamples - start), rows))


def macro_f1(truth: Positions, answered: Positions, labels: int, drawn: Positions) -> Floats:
    """Macro F1 of each resample, the mean over the labels that are true in it.

    :param truth: positions of the true labels, shape (rows,); ``labels`` for any other.
    :param answered: positions of the answers, shape (rows,), likewise.
    :param drawn: row numbers of shape (resamples, rows).
    """
    hits = np.where(truth == answered, truth, labels)
    found, true, named = (_counted(row[drawn], labels) for row in (hits, truth, answered))
    f1 = 2 * found / np.maximum(true + named, 1)  # 0 where nothing is true: no hit either
    return np.asarray(f1.sum(axis=1) / np.maximum((true > 0).sum(axis=1), 1), dtype=np.float64)


def _counted(places: Positions, labels: int) -> Positions:
    """Rows of each label in each resample, shape (resamples, labels)."""
    starts = np.arange(len(places))[:, np.newaxis] * (labels + 1)
    counts = np.bincount((places + starts).ravel(), minlength=len(places) * (labels + 1))
    return counts.reshape(len(places), labels + 1)[:, :labels]
