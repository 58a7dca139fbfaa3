"""Seeded choices of rows for splits and subsets."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.data.examples import split_off, stratified

quick = settings(deadline=None, max_examples=150)
label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=120)
seeds = st.integers(0, 2**32 - 1)


@quick
@given(label_lists, st.integers(1, 150), seeds)
def test_the_size_is_exact_and_no_row_is_repeated(labels: list[int], size: int, seed: int):
    chosen = stratified(labels, size, seed)
    assert len(chosen) == min(size, len(labels))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(range(len(labels)))


@quick
@given(label_lists, st.integers(1, 150), seeds)
def test_each_label_has_its_share_within_one_row(labels: list[int], size: int, seed: int):
    taken = Counter(labels[position] for position in stratified(labels, size, seed))
    for label, count in Counter(labels).items():
        assert abs(taken[label] - count * min(1, size / len(labels))) < 1


@quick
@given(label_lists, st.integers(1, 150), seeds)
def test_the_choice_depends_on_labels_size_and_seed_alone(labels: list[int], size: int, seed: int):
    assert stratified(labels, size, seed) == stratified(tuple(labels), size, seed)


def test_other_seeds_choose_other_rows():
    labels = [number % 3 for number in range(300)]
    assert set(stratified(labels, 60, 0)) != set(stratified(labels, 60, 1))


def test_the_rows_are_shuffled_across_labels():
    labels = [0] * 100 + [1] * 100
    for size in (100, 200):
        found = [labels[position] for position in stratified(labels, size, 0)]
        assert found not in (sorted(found), sorted(found, reverse=True))


def test_exact_shares_are_exact():
    labels = [0] * 60 + [1] * 30 + [2] * 10
    taken = Counter(labels[position] for position in stratified(labels, 20, 7))
    assert taken == {0: 12, 1: 6, 2: 2}


@quick
@given(label_lists, st.floats(0.01, 0.9), seeds)
def test_the_split_and_the_rest_partition_all_rows(labels: list[int], share: float, seed: int):
    rest, partial = split_off(labels, [str(n) for n in range(len(labels))], share, seed)
    assert sorted(rest + partial) == list(range(len(labels)))
    assert rest == sorted(rest)
    assert len(partial) == max(1, round(len(labels) * share))


@pytest.mark.parametrize("seed", range(3))
def test_the_split_is_stratified(seed: int):
    labels = [0] * 80 + [1] * 20
    _, partial = split_off(labels, [str(n) for n in range(len(labels))], 0.1, seed)
    assert Counter(labels[position] for position in partial) == {0: 8, 1: 2}


def test_held_out_rows_stay_held_out_when_the_data_set_grows():
    labels, keys = [0, 1] * 200, [f"patent {number}" for number in range(400)]
    before = {keys[p] for p in split_off(labels, keys, 0.1, 0)[1]}
    labels, keys = [1, *labels, 0], ["new", *keys, "newer"]
    after = {keys[p] for p in split_off(labels, keys, 0.1, 0)[1]}
    assert len(before & after) >= 38


def test_equal_keys_stay_in_the_same_split():
    labels, keys = [0, 1, 0] * 33, [f"patent {number // 5}" for number in range(99)]
    for seed in range(5):  # whatever the labels, and wherever the share ends
        rest, partial = split_off(labels, keys, 0.2, seed)
        assert not {keys[p] for p in rest} & {keys[p] for p in partial}
        assert 20 <= len(partial) <= 60
