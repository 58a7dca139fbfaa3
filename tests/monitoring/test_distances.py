"""Distances between distributions, beside figures worked out by hand or by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.monitoring.distances import (
    binned,
    jensen_shannon,
    kolmogorov_smirnov,
    label_shift,
    population_stability,
)

counts = st.lists(st.integers(0, 500), min_size=3, max_size=8).filter(sum)


def test_the_stability_index_is_that_of_the_textbook():
    found = population_stability(np.array([60, 30, 10]), np.array([50, 30, 20]))
    assert found == pytest.approx(-0.1 * np.log(5 / 6) + 0.1 * np.log(2))


def test_a_label_that_vanishes_makes_a_large_index_not_an_infinite_one():
    assert 0.25 < population_stability(np.array([50, 50]), np.array([100, 0])) < 10


def test_the_distance_lies_between_none_and_one():
    assert jensen_shannon(np.array([1, 2, 3]), np.array([10, 20, 30])) == pytest.approx(0)
    assert jensen_shannon(np.array([1, 0]), np.array([0, 1])) == pytest.approx(1)


@given(counts, counts)
def test_both_distances_are_symmetric_and_not_negative(a: list[int], b: list[int]):
    size = min(len(a), len(b))
    first, second = np.array(a[:size]), np.array(b[:size])
    if first.sum() and second.sum():
        for distance in (population_stability, jensen_shannon):
            assert distance(first, second) >= -1e-12
            assert distance(first, second) == pytest.approx(distance(second, first))


def test_tenths_hold_a_tenth_of_the_reference_each():
    random = np.random.default_rng(0)
    values = random.normal(size=1000)
    assert binned(values, values).tolist() == [100.0] * 10
    assert binned(values, values + 10).tolist() == [0.0] * 9 + [1000.0]


def test_of_many_equal_values_there_is_one_bin():
    values = np.array([0.0] * 95 + [0.5] * 5)
    assert binned(values, values).tolist() == [95.0, 5.0]


def test_samples_are_told_apart():
    random = np.random.default_rng(0)
    usual = random.normal(size=2000)
    assert kolmogorov_smirnov(usual, random.normal(size=1000))[1] > 0.01
    gap, p = kolmogorov_smirnov(usual, random.normal(0.5, size=1000))
    assert gap == pytest.approx(0.2, abs=0.05)
    assert p < 1e-6


def test_a_label_that_moves_alone_is_noticed():
    assert label_shift([100] * 10, [100] * 10) == 1.0
    assert label_shift([1000] * 40 + [5], [1000] * 40 + [40]) < 1e-3


def test_many_labels_that_move_a_little_are_noticed():
    before, after = [500] * 20, [500 + (70 if n % 2 else -70) for n in range(20)]
    assert label_shift(before, after) < 1e-6


@pytest.mark.parametrize("window", [[0, 0], [10, 0], [0, 10]])
def test_what_has_one_label_or_none_is_no_shift(window: list[int]):
    assert label_shift([10, 0], window) == 1.0 or window == [0, 10]


def test_chance_alone_hardly_ever_counts_as_a_shift():
    random = np.random.default_rng(0)
    mix = np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.01])
    ps = [
        label_shift(random.multinomial(2000, mix), random.multinomial(1000, mix))
        for _ in range(400)
    ]
    assert np.mean(np.array(ps) < 0.05) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
