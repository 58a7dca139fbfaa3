"""Distances of states from usual ones."""

import numpy as np
import pytest

from patclass.monitoring.space import DIRECTIONS, fit_space, held_out_distances

HIDDEN = 40


def states(rows: int, seed: int = 0, away: float = 0.0) -> np.ndarray:
    """States that vary along some directions much more than along others."""
    random = np.random.default_rng(seed)
    spread = np.geomspace(5, 0.05, HIDDEN)
    return (random.normal(size=(rows, HIDDEN)) * spread + 3 + away).astype(np.float32)


def test_a_usual_state_is_about_one_away():
    space = fit_space(states(2000))
    assert space.directions.shape == (HIDDEN, DIRECTIONS)
    assert space.distance(states(500, seed=1)).mean() == pytest.approx(1, abs=0.03)


def test_what_is_unlike_is_farther():
    space = fit_space(states(2000))
    usual, odd = space.distance(states(200, seed=1)), space.distance(states(200, seed=1, away=5))
    assert odd.min() > usual.max()


def test_usual_states_vary_by_one_along_each_direction():
    known = states(3000)
    space = fit_space(known)
    along = (known - space.mean) @ space.directions
    assert along.std(axis=0) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("rows", [40, 140, 1500])
def test_held_out_distances_are_those_of_new_states(rows: int):
    """Also where there are few rows: those folds have as many directions as the whole."""
    held_out = np.concatenate([held_out_distances(states(rows, seed)) for seed in range(20)])
    new = [fit_space(states(rows, seed)).distance(states(200, 99)) for seed in range(20)]
    assert np.median(held_out) == pytest.approx(np.median(new), rel=0.06)


def test_states_that_do_not_differ_are_all_usual():
    same = np.full((10, HIDDEN), 3.0, dtype=np.float32)
    assert fit_space(same).distance(same + 1).tolist() == [1.0] * 10
    assert held_out_distances(same[:1]).tolist() == [1.0]
