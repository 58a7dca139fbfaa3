"""All codes of a patent, against figures computed by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patclass.core.errors import ConfigError, ModelError
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.predictor.all_codes import (
    TARGETS,
    AllCodes,
    _by_f1,
    _by_precision,
    _by_recall,
    _curves,
    _fit_weights,
    carried_nodes,
    main_log_odds,
)
from patclass.predictor.calibration import NEVER

# Leaves A01, A61 and H; nodes A, A01, A61, H, Y.
TREE = LabelTree(
    ("section", "class"),
    (("A", "A01"), ("A", "A61"), ("H",)),
    {code: code for code in ("A", "A01", "A61", "H", "Y")},
    (("A",), ("A", "A01"), ("A", "A61"), ("H",), ("Y",)),
)


def example(*carried: int) -> Example:
    return Example("P1", "text", (None, None), (0, 1, 2), carried)


def as_they_are(**changes: object) -> AllCodes:
    """Logits as they are, and the same thresholds on both levels."""
    curves = np.tile(np.linspace(0.9, 0.1, len(TARGETS), dtype=np.float32), (2, 1))
    weights = np.array([[1, 0, 0, 0]] * 2, dtype=np.float32)
    own = np.empty(0, dtype=np.int64)
    plain = AllCodes(weights, own, curves[:, ::-1], curves, np.full(2, 0.5, dtype=np.float32))
    return replace(plain, **changes)


def logits_of(*probabilities: float) -> np.ndarray:
    return np.log([[p / (1 - p) for p in probabilities]]).astype(np.float32)


EVEN = np.full((1, 3), 1 / 3, dtype=np.float32)


def test_nodes_below_a_carried_parent_are_asked_and_those_of_the_coarsest_level():
    carried, asked = carried_nodes([example(0, 1), example(3, 4), example()], TREE)
    assert carried.tolist() == [
        [True, True, False, False, False],
        [False, False, False, True, True],
        [False] * 5,
    ]
    assert asked.tolist() == [
        [True] * 5,
        [True, False, False, True, True],
        [True, False, False, True, True],
    ]


def test_below_a_code_that_a_list_does_not_refine_nothing_is_asked():
    known = replace(example(0, 1), unrefined=(0,))
    carried, asked = carried_nodes([known, example(0)], TREE)
    assert carried.tolist() == [[True, True, False, False, False], [True] + [False] * 4]
    assert asked.tolist() == [[True, False, False, True, True], [True] * 5]


def test_the_tree_softmax_gives_each_node_log_odds_below_its_parent():
    leaves = np.array([[0.6, 0.2, 0.2]], dtype=np.float32)
    found = main_log_odds(TREE, leaves)[0]
    # A has 0.8; A01 0.6 / 0.8 = 0.75; A61 0.25; H 0.2; Y is no leaf.
    expected = [math.log(4), math.log(3), -math.log(3), -math.log(4)]
    np.testing.assert_allclose(found[:4], expected, atol=1e-5)
    assert math.isnan(found[4])


def test_probabilities_are_products_down_the_tree():
    found = as_they_are().probabilities(TREE, logits_of(0.8, 0.5, 0.25, 0.1, 0.3), EVEN)
    np.testing.assert_allclose(found, [[0.8, 0.4, 0.2, 0.1, 0.3]], atol=1e-6)
    assert found.dtype == np.float32


def test_the_softmax_counts_by_its_weight_and_only_where_it_knows_the_node():
    weights = np.array([[0, 1, 0, math.log(3)], [0, 1, 0, 0]], dtype=np.float32)
    leaves = np.array([[0.6, 0.2, 0.2]], dtype=np.float32)
    found = as_they_are(weights=weights).probabilities(TREE, np.zeros((1, 5), np.float32), leaves)
    np.testing.assert_allclose(found, [[0.8, 0.6, 0.2, 0.2, 0.75]], atol=1e-5)


def test_no_child_is_more_probable_than_its_parent():
    logits = np.random.default_rng(0).normal(0, 4, (50, 5)).astype(np.float32)
    leaves = np.random.default_rng(1).dirichlet(np.ones(3), 50).astype(np.float32)
    weights = np.array([[0.8, 0.5, 1, -1], [1.2, 0.3, -2, 2]], dtype=np.float32)
    found = as_they_are(weights=weights).probabilities(TREE, logits, leaves)
    assert (found[:, 1] <= found[:, 0]).all()
    assert (found[:, 2] <= found[:, 0]).all()


# Six codes: right are the most probable, the third and the fourth.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], dtype=np.float32)
RIGHT = np.array([True, False, True, True, False, False])


def target(value: float) -> int:
    return TARGETS.index(value)


def test_the_threshold_of_a_precision_gives_the_most_codes_that_reach_it():
    scores, right = np.repeat(SCORES, 20), np.repeat(RIGHT, 20)
    found = _by_precision(scores, right)
    assert found[target(0.75)] == pytest.approx(0.6)  # three of four
    assert found[target(0.8)] == pytest.approx(0.9)  # one of one
    assert _by_precision(scores, ~right)[target(0.99)] == NEVER


def test_a_precision_needs_answers_enough():
    scores, right = np.repeat(SCORES, 10), np.repeat(RIGHT, 10)
    found = _by_precision(scores, right)
    assert found[target(0.75)] == pytest.approx(0.6)  # thirty of forty
    assert found[target(0.8)] == NEVER  # ten of ten are too few


def test_nodes_with_thresholds_of_their_own_do_not_count_for_their_level():
    probabilities = np.tile(np.array([[0.9, 0.5, 0.4, 0.1, 0.2]], dtype=np.float32), (30, 1))
    carried = np.tile(np.array([[True, False, True, False, False]]), (30, 1))
    curves = list(_curves(TREE, np.array([0, 2]), probabilities, carried))
    assert [len(found) for found, _ in curves] == [60, 30, 30, 30]  # H and Y; A01; A; A61
    assert [right.any() for _, right in curves] == [False, False, True, True]


def test_what_is_given_is_given_with_all_above_it():
    probabilities = np.array([[0.45, 0.2, 0.45, 0.6, 0.1]], dtype=np.float32)
    all_codes = as_they_are(f1=np.array([0.5, 0.4], dtype=np.float32))
    assert all_codes.given(TREE, probabilities).tolist() == [[True, False, True, True, False]]
    steep = all_codes.precision.copy()
    steep[0] += 0.3  # the level above needs more for the same precision
    found = replace(all_codes, precision=steep).precisions(TREE, probabilities[0])
    assert found[0] == found[2] > 0


def test_the_threshold_of_a_recall_is_that_of_the_last_code_that_it_needs():
    found = _by_recall(SCORES, RIGHT)
    assert found[target(0.3)] == pytest.approx(0.9)  # one of three is enough for 0.3
    assert found[target(0.35)] == pytest.approx(0.7)
    assert found[target(0.99)] == pytest.approx(0.6)
    assert _by_recall(SCORES, np.zeros(6, dtype=bool)) == [NEVER] * len(TARGETS)


def test_the_threshold_of_the_largest_f1():
    assert _by_f1(SCORES, RIGHT) == pytest.approx(0.6)  # 6 / 7 with four codes
    assert _by_f1(SCORES, np.zeros(6, dtype=bool)) == NEVER


def test_a_node_with_rows_enough_has_thresholds_of_its_own():
    all_codes = as_they_are(
        own=np.array([2]),
        precision=np.full((3, len(TARGETS)), [[0.6], [0.7], [0.2]], dtype=np.float32),
        recall=np.zeros((3, len(TARGETS)), dtype=np.float32),
        f1=np.array([0.5, 0.4, 0.3], dtype=np.float32),
    )
    np.testing.assert_allclose(all_codes.thresholds(TREE, precision=0.5), [0.6, 0.7, 0.2, 0.6, 0.6])
    np.testing.assert_allclose(all_codes.thresholds(TREE), [0.5, 0.4, 0.3, 0.5, 0.5])


def test_a_target_in_between_counts_as_the_next_larger_one():
    all_codes = as_they_are()
    between, above = (all_codes.thresholds(TREE, recall=r) for r in (0.81, 0.85))
    np.testing.assert_array_equal(between, above)
    assert (all_codes.thresholds(TREE, recall=0.8) > above).all()


def test_a_code_has_the_largest_precision_for_which_it_is_given():
    all_codes = as_they_are()
    probabilities = np.array([0.05, 0.1, 0.5, 0.89, 0.95], dtype=np.float32)
    found = all_codes.precisions(TREE, probabilities)
    assert found.tolist() == [0.5, 0.05, 0.5, 0.95, 0.99]  # A is given with A61, below it
    for node, precision in enumerate(found.tolist()[1:], 1):
        assert probabilities[node] >= all_codes.thresholds(TREE, precision)[node]
    nothing = all_codes.precisions(TREE, np.full(5, 0.01, dtype=np.float32))
    assert nothing.tolist() == [0] * 5
    strict = all_codes.thresholds(TREE, precision=0.55)
    assert (probabilities >= strict).tolist() == (found >= 0.55).tolist()


@pytest.mark.parametrize("value", [0, -0.5, 1, 0.995, math.nan])
@pytest.mark.parametrize("name", ["precision", "recall"])
def test_a_target_without_a_threshold_is_refused(name: str, value: float):
    with pytest.raises(ConfigError, match=rf"{name} .*expected a share from 0\.05 to 0\.99"):
        as_they_are().thresholds(TREE, **{name: value})


def test_weights_are_fitted_on_what_is_asked():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (2000, 5)).astype(np.float32)
    # The true probability is that of half the logit plus one.
    carried = generator.random((2000, 5)) < 1 / (1 + np.exp(-(0.5 * logits + 1)))
    carried[:, 1:3] &= carried[:, :1]
    main = np.full((2000, 5), np.nan, dtype=np.float32)
    asked = np.ones((2000, 5), dtype=bool)
    asked[:, 1:3] = carried[:, :1]
    for own, _, _, outside in _fit_weights(TREE, logits, main, carried, asked):
        assert own == pytest.approx(0.5, abs=0.06)
        assert outside == pytest.approx(1, abs=0.12)


def test_a_level_on_which_nothing_differs_keeps_its_logits():
    asked, carried = np.ones((4, 5), dtype=bool), np.zeros((4, 5), dtype=bool)
    zeros = np.zeros((4, 5), dtype=np.float32)
    assert _fit_weights(TREE, zeros, zeros, carried, asked).tolist() == [[1, 0, 0, 0]] * 2


def test_it_is_read_back_as_it_was_saved(tmp_path: Path):
    own = np.array([1, 4])
    shape = (4, len(TARGETS))
    curves = np.random.default_rng(0).random(shape).astype(np.float32)
    saved = as_they_are(own=own, precision=curves, recall=curves, f1=curves[:, 0])
    saved.save(tmp_path)
    found = AllCodes.load((tmp_path / AllCodes.FILE).read_bytes(), TREE)
    for name, value in vars(saved).items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize("own", [[5], [-1]])
def test_a_node_that_is_not_there_is_refused(tmp_path: Path, own: list[int]):
    curves = np.zeros((3, len(TARGETS)), dtype=np.float32)
    as_they_are(own=np.array(own), precision=curves, recall=curves, f1=curves[:, 0]).save(tmp_path)
    with pytest.raises(ModelError, match=r"own has a node that is none of 5"):
        AllCodes.load((tmp_path / AllCodes.FILE).read_bytes(), TREE)


def test_other_labels_and_damage_are_refused(tmp_path: Path):
    as_they_are().save(tmp_path)
    data = (tmp_path / AllCodes.FILE).read_bytes()
    flat = LabelTree(("section",), (("A",), ("H",)), {"A": "A", "H": "H"}, (("A",),))
    with pytest.raises(ModelError, match=r"codes\.safetensors: .* has the shape"):
        AllCodes.load(data, flat)
    with pytest.raises(ModelError, match=r"cannot read codes\.safetensors"):
        AllCodes.load(data[:40], TREE)
