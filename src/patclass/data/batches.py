"""Batches filled by tokens. Knows lengths only, no text and no tensors."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

# A chunk is sorted by length before it is cut into batches. The more batches a chunk holds,
# the less padding; the fewer, the more the composition of batches differs between epochs.
BATCHES_PER_CHUNK = 16

# An engine that keeps memory for every shape sees lengths in these steps, and batches in powers
# of two. Two full abstracts are a batch: more gain nothing on a CPU and answer later.
STEP = 32
BATCH_TOKENS = 512


def fill_batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """Cut ``order`` into batches whose padded size stays within ``budget`` tokens.

    A single row longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for position in order:
        longest = max(longest, lengths[position])
        if current and longest * (len(current) + 1) > budget:
            batches.append(current)
            current, longest = [], lengths[position]
        current.append(position)
    return [*batches, current] if current else batches


def training_batches(
    lengths: Sequence[int], budget: int, rng: np.random.Generator
) -> list[list[int]]:
    """One epoch: shuffled, sorted by length within chunks, cut by tokens, shuffled again."""
    order = rng.permutation(len(lengths))
    mean = max(1.0, float(np.mean(lengths))) if len(lengths) else 1.0
    chunk = max(1, round(BATCHES_PER_CHUNK * budget / mean))
    batches: list[list[int]] = []
    for start in range(0, len(order), chunk):
        part = sorted((int(p) for p in order[start : start + chunk]), key=lengths.__getitem__)
        batches.extend(fill_batches(lengths, part, budget))
    return [batches[int(position)] for position in rng.permutation(len(batches))]


def scoring_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """All rows sorted by length, longest first, so that memory peaks at the first batch."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    return fill_batches(lengths, order, budget)


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of like length together, the longest first, by powers of two; never any padded row."""
    alike: dict[int, list[int]] = defaultdict(list)
    for position, length in enumerate(lengths):
        alike[rounded(length)].append(position)
    for width in sorted(alike, reverse=True):
        waiting, most = alike[width], max(1, BATCH_TOKENS // width)
        while waiting:
            size = 1 << (min(most, len(waiting)).bit_length() - 1)
            yield waiting[:size]
            waiting = waiting[size:]


def rounded(length: int) -> int:
    """A length as it is padded to."""
    return max(1, -(-length // STEP)) * STEP
