"""Seeded, stratified choice of rows. Knows labels only."""

from collections.abc import Sequence

import numpy as np


def stratified(labels: Sequence[int], size: int, seed: int) -> list[int]:
    """Positions of ``size`` rows, shuffled, each label with its share of them.

    Shares are rounded by the largest remainder, so the sizes add up exactly; the choice
    depends on ``labels``, ``size`` and ``seed`` alone.
    """
    values = np.asarray(labels)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(values))
    if size >= len(values):
        return [int(position) for position in order]
    kinds, counts = np.unique(values, return_counts=True)
    share = counts * size / len(values)
    take = np.floor(share).astype(int)
    short = size - int(take.sum())
    take[np.argsort(take - share, kind="stable")[:short]] += 1
    chosen = [order[values[order] == kind][:n] for kind, n in zip(kinds, take, strict=True)]
    return [int(position) for position in rng.permutation(np.concatenate(chosen))]


def split_off(labels: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split positions into the rest and a stratified ``share`` (at least one row)."""
    chosen = stratified(labels, max(1, round(len(labels) * share)), seed)
    aside = set(chosen)
    return [position for position in range(len(labels)) if position not in aside], chosen
