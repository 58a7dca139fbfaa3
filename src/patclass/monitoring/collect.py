"""The reference made from a model's answers to held-out rows. Knows a tree and answers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from patclass.arrays import FloatArray
from patclass.data.corpus import Example
from patclass.evaluation.answers import known_at
from patclass.labels import LabelTree
from patclass.model.reading import Reading
from patclass.monitoring.reference import Reference, Seen
from patclass.monitoring.space import fit_space, held_out_distances

MOST_ROWS = 5000


def collect_reference(
    tree: LabelTree,
    rows: Sequence[Example],
    readings: Sequence[Reading],
    states: FloatArray,
    leaves: FloatArray,
    seen: Seen,
) -> Reference:
    """The reference of held-out rows; of very many, ``MOST_ROWS`` from all over the file.

    :param states: pooled states of the rows, shape (rows, hidden).
    :param leaves: leaf probabilities as they would be answered, shape (rows, leaves).
    """
    if len(rows) > MOST_ROWS:  # files are often sorted, so no end of one stands for it
        kept = np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.intp)
        rows, readings = [rows[i] for i in kept], [readings[i] for i in kept]
        states, leaves = states[kept], leaves[kept]
    sums = {level: tree.sums(leaves, level) for level in tree.levels}
    shape = (len(tree.levels), len(rows))
    places, shares = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for row in range(len(rows)):
        path = tree.descend({level: table[row] for level, table in sums.items()})
        for depth, (level, code) in enumerate(zip(tree.levels, path, strict=False)):
            places[depth, row] = place = tree.at(level).index(code)
            shares[depth, row] = sums[level][row, place]
    return Reference(
        answers=dict(zip(tree.levels, places, strict=True)),
        confidences=dict(zip(tree.levels, shares, strict=True)),
        codes={level: tuple(tree.at(level).codes) for level in tree.levels},
        accuracy=_accuracy(tree.levels, rows, places),
        chars=np.array([len(row.text) for row in rows], dtype=np.float32),
        unseen=np.array([seen.unseen(reading.ids) for reading in readings], dtype=np.float32),
        distance=held_out_distances(states),
        seen=seen,
        space=fit_space(states),
    )


def _accuracy(
    levels: Sequence[str], rows: Sequence[Example], answers: npt.NDArray[np.int32]
) -> dict[str, float]:
    """The share of right ones among the answers that are given, where the truth is known."""
    found = {}
    for depth, level in enumerate(levels):
        known, truth = known_at(rows, depth)
        given = answers[depth, known] >= 0
        if given.any():
            found[level] = float((answers[depth, known] == truth)[given].mean())
    return found
