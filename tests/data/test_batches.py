from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.data.batches import fill_batches, scoring_batches, training_batches

quick = settings(deadline=None, max_examples=150)
lengths_of_rows = st.lists(st.integers(1, 300), max_size=150)
budgets = st.integers(1, 2_000)
seeds = st.integers(0, 2**32 - 1)


def padded_size(lengths: Sequence[int], batch: Sequence[int]) -> int:
    return max(lengths[position] for position in batch) * len(batch)


def check(lengths: Sequence[int], batches: list[list[int]], budget: int) -> None:
    assert sorted(p for batch in batches for p in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or padded_size(lengths, batch) <= budget


def abstracts(rows: int) -> list[int]:
    """Token counts like those of real abstracts: mean near 122, 95 % below 240."""
    draws = np.random.default_rng(0).lognormal(np.log(112), 0.45, rows)
    return [int(length) for length in np.clip(draws, 8, 512)]


def padding_share(lengths: Sequence[int], batches: list[list[int]]) -> float:
    return 1 - sum(lengths) / sum(padded_size(lengths, batch) for batch in batches)


@quick
@given(lengths_of_rows, budgets, seeds)
def test_training_batches_hold_every_row_once_within_the_budget(
    lengths: list[int], budget: int, seed: int
):
    check(lengths, training_batches(lengths, budget, np.random.default_rng(seed)), budget)


@quick
@given(lengths_of_rows, budgets)
def test_scoring_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int):
    check(lengths, scoring_batches(lengths, budget), budget)


@quick
@given(lengths_of_rows, budgets, st.randoms())
def test_batches_keep_the_order_and_are_filled_greedily(
    lengths: list[int], budget: int, random: object
):
    order = list(range(len(lengths)))
    random.shuffle(order)
    batches = fill_batches(lengths, order, budget)
    assert [position for batch in batches for position in batch] == order
    for batch, following in pairwise(batches):
        assert padded_size(lengths, [*batch, following[0]]) > budget


@quick
@given(lengths_of_rows, budgets, seeds)
def test_the_batches_of_an_epoch_depend_on_the_seed_alone(
    lengths: list[int], budget: int, seed: int
):
    first, second = (
        training_batches(lengths, budget, np.random.default_rng(seed)) for _ in range(2)
    )
    assert first == second


def test_the_next_epoch_has_different_batches():
    lengths, rng = abstracts(1_000), np.random.default_rng(0)
    first, second = (
        {frozenset(batch) for batch in training_batches(lengths, 2_048, rng)} for _ in range(2)
    )
    assert len(first & second) < len(first) / 10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [512, 2_048, 4_096])
def test_a_training_batch_of_abstracts_has_little_padding(budget: int, seed: int):
    lengths = abstracts(2_000)
    batches = training_batches(lengths, budget, np.random.default_rng(seed))
    assert padding_share(lengths, batches) < 0.08


@pytest.mark.parametrize("budget", [512, 2_048, 4_096])
def test_a_scoring_batch_has_even_less_padding(budget: int):
    lengths = abstracts(2_000)
    assert padding_share(lengths, scoring_batches(lengths, budget)) < 0.03


def test_short_and_long_batches_alternate_in_training():
    lengths = abstracts(2_000)
    batches = training_batches(lengths, 1_024, np.random.default_rng(0))
    longest = [max(lengths[position] for position in batch) for batch in batches]
    assert abs(np.corrcoef(range(len(longest)), longest)[0, 1]) < 0.2


def test_the_first_scoring_batch_holds_the_longest_row():
    lengths = abstracts(300)
    batches = scoring_batches(lengths, 1_024)
    longest = [max(lengths[position] for position in batch) for batch in batches]
    assert longest[0] == max(lengths)
    assert longest == sorted(longest, reverse=True)


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own():
    assert fill_batches([3, 50, 3, 3], [0, 1, 2, 3], 10) == [[0], [1], [2, 3]]


def test_no_rows_give_no_batches():
    assert training_batches([], 10, np.random.default_rng(0)) == []
    assert scoring_batches([], 10) == []
