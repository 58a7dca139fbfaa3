"""Label sets contain the true label with the nominal coverage, overall and per label."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from patclass.core.errors import ConfigError
from patclass.core.types import FloatArray, Positions, softmax
from patclass.predictor.conformal import MIN_ROWS, ConformalScores, fit_conformal

LABELS = 5


def rows(count: int, seed: int) -> tuple[FloatArray, np.ndarray]:
    """Overconfident probabilities, and labels; label 4 is harder and rarer."""
    rng = np.random.default_rng(seed)
    y_true = rng.choice(LABELS, count, p=[0.3, 0.3, 0.2, 0.15, 0.05])
    logits = rng.normal(0, 1, (count, LABELS))
    logits[np.arange(count), y_true] += np.where(y_true == 4, 0.5, 2.0)
    return softmax((2 * logits).astype(np.float32)), y_true


def covered(sets: np.ndarray, y_true: np.ndarray) -> np.ndarray:
    return sets[np.arange(len(y_true)), y_true]


def check_binomial(correct: np.ndarray, coverage: float, held_out: int) -> None:
    """Within the 99 % interval for the rows, widened by the variance of the held-out ones."""
    low, high = binom.ppf([0.005, 0.995], len(correct), coverage)
    middle, spread = coverage * len(correct), np.sqrt(1 + len(correct) / held_out)
    assert (low - middle) * spread <= correct.sum() - middle <= (high - middle) * spread + 1


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_new_rows_have_the_nominal_coverage(coverage: float):
    conformal = fit_conformal(*rows(50_000, seed=1))
    probabilities, y_true = rows(3000, seed=2)
    correct = covered(conformal.sets(probabilities, coverage), y_true)
    low, high = binom.ppf([0.005, 0.995], len(correct), coverage)
    assert low <= correct.sum() <= high


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_every_label_with_enough_rows_has_the_nominal_coverage(coverage: float):
    given, known = rows(3000, seed=3)
    conformal = fit_conformal(given, known)
    probabilities, y_true = rows(3000, seed=4)
    correct = covered(conformal.sets(probabilities, coverage), y_true)
    for label in range(LABELS):
        held_out = int((known == label).sum())
        assert held_out >= MIN_ROWS
        check_binomial(correct[y_true == label], coverage, held_out)


def test_a_label_has_a_bound_of_its_own_only_with_enough_rows():
    probabilities, y_true = rows(4000, seed=5)
    enough = fit_conformal(probabilities, y_true).bounds(LABELS, 0.9)
    assert enough[4] > enough[:4].max()  # the last label is the hardest
    rare = [np.flatnonzero(y_true == label)[: MIN_ROWS - 1] for label in (3, 4)]
    selected = np.concatenate([np.flatnonzero(y_true < 3), *rare])
    few = fit_conformal(probabilities[selected], y_true[selected]).bounds(LABELS, 0.9)
    together = np.sort(1 - probabilities[np.concatenate(rare), y_true[np.concatenate(rare)]])
    bound = together[int(np.ceil((len(together) + 1) * 0.9)) - 1]
    assert few[3:] == pytest.approx([bound, bound])
    assert few[:3] == pytest.approx(enough[:3])


def test_rare_labels_have_the_nominal_coverage():
    """Frequent labels with better predictions must not determine the size of the sets of others."""
    calibration, fresh = rows(6000, seed=21), rows(20_000, seed=22)

    def thinned(probabilities: FloatArray, y_true: Positions) -> tuple[FloatArray, Positions]:
        places = np.arange(len(y_true))
        selected = (y_true < 3) | (places % 30 == 0)
        return probabilities[selected], y_true[selected]

    held_out, y_true = thinned(*calibration)
    assert (np.bincount(y_true)[3:] < MIN_ROWS).all()
    probabilities, true = thinned(*fresh)
    sets = fit_conformal(held_out, y_true).sets(probabilities, 0.9)
    correct = sets[np.arange(len(true)), true]
    assert correct[true >= 3].mean() > 0.9 - 3 * np.sqrt(0.09 / (y_true >= 3).sum())
    assert correct.mean() > 0.9 - 3 * np.sqrt(0.09 / len(y_true))


@pytest.mark.parametrize(("held_out", "enough"), [(8, False), (9, True), (200, True)])
def test_too_few_rows_for_a_coverage_are_an_error_that_names_the_attainable_one(
    held_out: int, enough: bool
):
    conformal = fit_conformal(*rows(held_out, seed=6))
    assert conformal.allows(0.9) is enough
    fresh = rows(5, seed=7)[0]
    if enough:
        assert conformal.sets(fresh, 0.9).shape == (5, LABELS)
        return
    with pytest.raises(ConfigError, match=r"coverage 0\.9 .* than the 8 .* at most 0\.888"):
        conformal.sets(fresh, 0.9)
    assert conformal.sets(fresh, 0.888).any(axis=1).all()


def test_without_rows_no_coverage_is_attainable():
    conformal = fit_conformal(np.empty((0, LABELS), np.float32), [])
    assert not conformal.allows(0.5)
    with pytest.raises(ConfigError, match="more held-out rows than the 0"):
        conformal.sets(rows(2, seed=8)[0], 0.5)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, float("nan"), 90])
def test_an_invalid_coverage_is_refused(coverage: float):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        fit_conformal(*rows(100, seed=9)).sets(rows(2, seed=10)[0], coverage)


def test_a_set_is_never_empty_and_contains_the_best_label():
    sure = ConformalScores(np.full(100, 0.01, np.float32), np.zeros(100, np.intp))
    probabilities = rows(500, seed=11)[0]
    sets = sure.sets(probabilities, 0.9)
    assert sets[np.arange(500), probabilities.argmax(axis=1)].all()
    assert (sets.sum(axis=1) == 1).any()


def test_more_coverage_never_makes_a_set_smaller():
    conformal = fit_conformal(*rows(2000, seed=12))
    probabilities = rows(300, seed=13)[0]
    sets = [conformal.sets(probabilities, coverage) for coverage in (0.5, 0.8, 0.9, 0.99)]
    for small, large in pairwise(sets):
        assert (small <= large).all()


def test_an_unknown_true_label_counts_as_missed():
    probabilities, y_true = rows(100, seed=14)
    y_true[:20] = -1
    conformal = fit_conformal(probabilities, y_true)
    assert conformal.scores[:20].tolist() == [1.0] * 20
    assert not conformal.sets(probabilities, 0.5).all()
    # Any set misses a fifth of the rows, so none has a coverage of 0.9.
    assert conformal.allows(0.75)
    assert not conformal.allows(0.9)
    with pytest.raises(ConfigError, match=r"coverage 0\.9: only 80% of the held-out rows have"):
        conformal.sets(probabilities, 0.9)


@pytest.mark.parametrize("coverage", [0, 1, -1, math.nan])
def test_what_is_no_coverage_is_not_allowed(coverage: float):
    assert not fit_conformal(*rows(100, seed=14)).allows(coverage)


def test_rows_of_unknown_labels_are_pooled_with_rare_labels():
    probabilities, y_true = rows(1000, seed=15)
    y_true[y_true == LABELS - 1] = 0
    unknown = np.concatenate([np.full(MIN_ROWS, -1), y_true])
    given = np.vstack([rows(MIN_ROWS, seed=16)[0], probabilities])
    bounds = fit_conformal(given, unknown).bounds(LABELS, 0.8)
    assert bounds[-1] == 1  # no row of the last label, and unknown ones are always missed
    assert (bounds[:-1] < 1).all()
