"""Seeded, stratified choice of rows. Knows labels and keys only."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def stratified(labels: Sequence[int], size: int, seed: int) -> list[int]:
    """Positions of ``size`` rows, shuffled, each label with its share of them.

    The choice depends on ``labels``, ``size`` and ``seed`` alone.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if size >= len(labels):
        return [int(position) for position in order]
    return [int(position) for position in rng.permutation(_first(labels, order, size))]


def split_off(
    labels: Sequence[int], keys: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split positions into the rest and a stratified ``share`` (at least one row).

    Rows are chosen by a hash of their ``keys``, not by their place. A data set that has grown
    therefore keeps nearly the same rows aside, so that what was trained on does not turn into
    test rows, and equal keys stay together.
    """
    digests = [hashlib.sha256(f"{seed} {key.lower()}".encode()).digest() for key in keys]
    order = np.array(sorted(range(len(labels)), key=digests.__getitem__), dtype=np.int64)
    chosen = {int(p) for p in _first(labels, order, max(1, round(len(labels) * share)))}
    return [p for p in range(len(labels)) if p not in chosen], sorted(chosen)


def _first(labels: Sequence[int], order: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """The first rows of each label in ``order``, ``size`` in all.

    Shares are rounded by the largest remainder, so that they add up exactly.
    """
    values = np.asarray(labels)
    kinds, counts = np.unique(values, return_counts=True)
    share = counts * size / len(values)
    take = np.floor(share).astype(int)
    short = size - int(take.sum())
    take[np.argsort(take - share, kind="stable")[:short]] += 1
    found = [order[values[order] == kind][:n] for kind, n in zip(kinds, take, strict=True)]
    return np.concatenate(found)
