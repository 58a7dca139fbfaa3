"""Known temperatures are recovered, and coarse probabilities remain sums of finer ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from patclass.core.types import FloatArray, softmax
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.evaluation.calibration import expected_calibration_error
from patclass.predictor.calibration import (
    MIN_ANSWERS,
    NEVER,
    PRECISION,
    ROWS_FOR_SMOOTHING,
    Calibration,
    fit_calibration,
    lowest_threshold,
    threshold_for,
)


def calibrated(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated predictions: correct as often as they are confident."""
    rng = np.random.default_rng(seed)
    confidences = rng.random(count).astype(np.float32)
    return confidences, rng.random(count) < confidences


def test_the_threshold_is_the_lowest_with_the_required_precision():
    confidences, right = calibrated(5000, seed=1)
    threshold = threshold_for(confidences, right)
    assert right[confidences >= threshold].mean() >= PRECISION
    lower = np.unique(confidences[confidences < threshold])
    assert all(right[confidences >= below].mean() < PRECISION for below in lower)
    # Of calibrated predictions above t, a share of (1 + t) / 2 is correct.
    assert threshold == pytest.approx(0.8, abs=0.05)


def test_new_predictions_reach_the_required_precision():
    threshold = threshold_for(*calibrated(5000, seed=2))
    confidences, correct = calibrated(5000, seed=3)
    assert correct[confidences >= threshold].mean() > PRECISION - 0.03


def test_if_every_prediction_is_correct_the_lowest_confidence_is_the_threshold():
    confidences = np.linspace(0.3, 0.9, 50).astype(np.float32)
    assert threshold_for(confidences, np.full(50, True)) == pytest.approx(0.3)


def test_if_no_prediction_is_correct_none_reaches_the_threshold():
    assert (
        threshold_for(np.linspace(0.3, 1, 50).astype(np.float32), np.full(50, False)) == NEVER > 1
    )


def test_a_few_correct_predictions_do_not_set_a_threshold():
    confidences = np.linspace(1, 0.1, 200).astype(np.float32)
    lucky = MIN_ANSWERS - 10
    assert threshold_for(confidences, np.arange(200) < lucky) == NEVER


def test_a_higher_precision_requires_more_confidence():
    predictions = calibrated(5000, seed=4)
    found = [lowest_threshold(*predictions, precision) for precision in (0.7, 0.9, 0.95)]
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]


def test_without_predictions_there_is_no_threshold():
    assert threshold_for(np.empty(0, np.float32), np.empty(0, bool)) == NEVER
    assert lowest_threshold(np.empty(0, np.float32), np.empty(0, bool), 0.9) is None


def test_equally_confident_predictions_are_accepted_or_rejected_together():
    confidences = np.full(40, 0.6, dtype=np.float32)
    assert threshold_for(confidences, np.arange(40) < 20) == NEVER
    assert threshold_for(confidences, np.arange(40) < 38) == pytest.approx(0.6)


@settings(max_examples=100, deadline=None)
@given(
    predictions=st.lists(
        st.tuples(st.sampled_from([0.2, 0.4, 0.6, 0.8, 1.0]), st.booleans()), max_size=80
    )
)
def test_the_required_precision_holds_with_many_equal_confidences(
    predictions: list[tuple[float, bool]],
):
    confidences = np.array([confidence for confidence, _ in predictions], dtype=np.float32)
    correct = np.array([is_correct for _, is_correct in predictions], dtype=bool)
    threshold = threshold_for(confidences, correct)
    accepted = confidences >= threshold
    assert not accepted.any() or correct[accepted].mean() >= PRECISION


FLAT = LabelTree.flat(LabelSet.of_codes("ABCD"))

# Two sections of two and three classes; one leaf is "other" of its section.
PATHS = (("A", "A01"), ("A", "A02"), ("B", "B01"), ("B", "B02"), ("B",))
DEEP = LabelTree(("section", "class"), PATHS, {code: code for path in PATHS for code in path})
SECTION_OF = np.array([0, 0, 1, 1, 1])


def draw(probabilities: FloatArray, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """A true label for each row, drawn with the row's probabilities."""
    ends = probabilities.astype(np.float64).cumsum(axis=1)
    positions = (rng.random((len(ends), 1)) * ends[:, -1:] > ends).sum(axis=1)
    return [(int(position),) for position in positions]


def ece(probabilities: FloatArray, y_true: list[tuple[int, ...]]) -> float:
    correct = probabilities.argmax(axis=1) == np.array(y_true)[:, 0]
    return expected_calibration_error(probabilities.max(axis=1), correct)


def normal(rows: int, columns: int, rng: np.random.Generator) -> FloatArray:
    return rng.normal(0, 1.5, (rows, columns)).astype(np.float32)


def test_logits_that_are_three_times_too_large_are_divided_by_three():
    rng = np.random.default_rng(1)
    honest = normal(4000, 4, rng)
    y_true = draw(softmax(honest), rng)
    found = fit_calibration(FLAT, 3 * honest, y_true)
    assert found.inverse_temperatures == pytest.approx((1 / 3,), rel=0.06)
    assert found.linear_weights == (0,)
    fresh = normal(4000, 4, rng)
    fresh_truth = draw(softmax(fresh), rng)
    assert ece(softmax(3 * fresh), fresh_truth) > 0.1
    assert ece(found.apply(FLAT, 3 * fresh), fresh_truth) < 0.03


def test_each_level_gets_the_temperature_it_needs():
    """Logits that are 2.5 times too large for sections, and half as large as due for classes."""
    rng = np.random.default_rng(2)
    honest = normal(6000, 5, rng)
    y_true = draw(softmax(honest), rng)
    given = np.log(Calibration((2.5, 0.5)).apply(DEEP, honest)).astype(np.float32)
    found = fit_calibration(DEEP, given, y_true)
    assert found.inverse_temperatures == pytest.approx((1 / 2.5, 1 / 0.5), rel=0.12)
    np.testing.assert_allclose(found.apply(DEEP, given), softmax(honest), atol=0.05)


def test_calibration_changes_no_prediction_of_a_flat_model():
    logits = normal(500, 4, np.random.default_rng(3))
    flatter = Calibration((0.2,)).apply(FLAT, logits)
    np.testing.assert_array_equal(flatter.argmax(axis=1), logits.argmax(axis=1))


@pytest.mark.parametrize("tree", [FLAT, DEEP], ids=["flat", "deep"])
def test_sharpness_one_changes_nothing(tree: LabelTree):
    logits = normal(50, len(tree.paths), np.random.default_rng(4))
    found = Calibration.none(tree).apply(tree, logits)
    np.testing.assert_allclose(found, softmax(logits), atol=1e-6)
    assert found.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    logits=arrays(np.float32, (3, 5), elements=st.floats(-30, 30, width=32)),
    inverse_temperatures=st.tuples(st.floats(0.05, 10), st.floats(0.05, 10)),
    weights=st.tuples(st.floats(0, 10), st.floats(0, 10)),
)
def test_coarse_probabilities_are_sums_at_any_temperature(
    logits: FloatArray, inverse_temperatures: tuple[float, float], weights: tuple[float, float]
):
    linear = np.array([[1, 0, 2, -1, 3, 0, 1]] * 3, dtype=np.float32)
    found = Calibration(inverse_temperatures, weights).apply(DEEP, logits, linear)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    sections, classes = DEEP.sums(found, "section"), DEEP.sums(found, "class")
    np.testing.assert_allclose(sections[:, 0], classes[:, :2].sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(sections[:, 1], classes[:, 2:].sum(axis=1) + found[:, 4], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    logits=arrays(np.float32, (2, 5), elements=st.floats(-10, 10, width=32)),
    inverse_temperatures=st.floats(0.1, 5),
)
def test_the_temperature_of_classes_does_not_change_sections(
    logits: FloatArray, inverse_temperatures: float
):
    found = Calibration((1.0, inverse_temperatures)).apply(DEEP, logits)
    expected = DEEP.sums(softmax(logits), "section")
    np.testing.assert_allclose(DEEP.sums(found, "section"), expected, atol=1e-5)


def scores_of(leaves: FloatArray) -> FloatArray:
    """What a linear model would say whose leaf logits are these: sections, then their leaves."""
    sections = np.log(DEEP.sums(softmax(leaves), "section"))
    return np.hstack([sections, leaves]).astype(np.float32)


def test_an_informative_linear_model_gets_weight():
    rng = np.random.default_rng(5)
    honest, seen = normal(3000, 5, rng), normal(3000, 5, rng)
    y_true, linear = draw(softmax(honest + seen), rng), scores_of(seen)
    found = fit_calibration(DEEP, honest, y_true, linear)
    assert min(found.linear_weights) > 0.3
    held = np.array(y_true)[:, 0]
    without = fit_calibration(DEEP, honest, y_true)
    fixed = fit_calibration(DEEP, honest, y_true, linear, mixing_weights=(0.5, 0.25))
    expected = np.multiply((0.5, 0.25), fixed.inverse_temperatures)
    assert fixed.linear_weights == pytest.approx(expected)
    assert fixed.mixing_weights == pytest.approx((0.5, 0.25))
    every = np.arange(len(held))
    loss_with = -np.log(found.apply(DEEP, honest, linear)[every, held]).mean()
    loss_without = -np.log(without.apply(DEEP, honest)[every, held]).mean()
    assert loss_with < loss_without - 0.02


def test_an_uninformative_linear_model_gets_no_weight():
    rng = np.random.default_rng(6)
    honest = normal(6000, 5, rng)
    y_true = draw(softmax(honest), rng)
    linear = scores_of(normal(6000, 5, rng))
    assert max(fit_calibration(DEEP, honest, y_true, linear).linear_weights) < 0.08


def test_each_level_is_mixed_with_a_weight_of_its_own():
    logits = normal(20, 5, np.random.default_rng(7))
    linear = np.array([[2, 0, 3, 0, 0, 3, 0]] * 20, dtype=np.float32)
    plain = Calibration((1.0, 1.0)).apply(DEEP, logits, linear)
    np.testing.assert_allclose(plain, softmax(logits), atol=1e-6)
    sections = Calibration((1.0, 1.0), (1.0, 0.0)).apply(DEEP, logits, linear)
    assert (DEEP.sums(sections, "section")[:, 0] > DEEP.sums(plain, "section")[:, 0]).all()
    within = [p / DEEP.sums(p, "section")[:, SECTION_OF] for p in (plain, sections)]
    np.testing.assert_allclose(within[0], within[1], rtol=1e-4)
    classes = Calibration((1.0, 1.0), (0.0, 1.0)).apply(DEEP, logits, linear)
    np.testing.assert_allclose(
        DEEP.sums(classes, "section"), DEEP.sums(plain, "section"), atol=1e-5
    )
    assert (classes[:, [0, 3]] > plain[:, [0, 3]]).all()


def test_a_level_without_known_labels_keeps_its_temperature():
    """Rows of which only the section is known: any leaf of it may be the true one."""
    rng = np.random.default_rng(8)
    honest = normal(2000, 5, rng)
    leaves = [(0, 1) if leaf < 2 else (2, 3, 4) for (leaf,) in draw(softmax(honest), rng)]
    found = fit_calibration(DEEP, 3 * honest, leaves)
    assert found.inverse_temperatures[0] < 0.7
    assert found.inverse_temperatures[1] == 1.0


def test_without_any_known_label_nothing_is_calibrated():
    logits = normal(3, 5, np.random.default_rng(9))
    found = fit_calibration(DEEP, logits, [(0, 2), (), (1, 3)], np.zeros((3, 7), np.float32))
    assert found == Calibration.none(DEEP)


def test_a_perfect_model_is_sharpened_within_bounds():
    logits = np.eye(4, dtype=np.float32).repeat(10, axis=0)
    found = fit_calibration(FLAT, logits, [(row // 10,) for row in range(40)])
    assert 1 < found.inverse_temperatures[0] <= 10


def test_no_rows_have_no_probabilities():
    assert Calibration.none(DEEP).apply(DEEP, np.empty((0, 5), np.float32)).shape == (0, 5)


def test_noisy_labels_limit_the_confidence():
    """One label in ten is random, so the most confident predictions are wrong 3 times in 40."""
    rng = np.random.default_rng(21)
    clear = 4 * normal(8000, 4, rng)
    y_true = np.array(draw(softmax(clear), rng))[:, 0]
    noisy = rng.random(len(y_true)) < 0.1
    y_true[noisy] = rng.integers(4, size=noisy.sum())
    known = [(int(label),) for label in y_true]
    found = fit_calibration(FLAT, clear[:4000], known[:4000])
    assert found.smoothing == pytest.approx((0.1,), abs=0.03)
    assert ece(softmax(clear[4000:]), known[4000:]) > 0.05
    assert ece(found.apply(FLAT, clear[4000:]), known[4000:]) < 0.03


def test_label_noise_is_not_estimated_from_a_few_predictions():
    rng = np.random.default_rng(22)
    logits = normal(ROWS_FOR_SMOOTHING - 1, 4, rng)
    known = [(int(label),) for label in rng.integers(4, size=len(logits))]
    assert fit_calibration(FLAT, logits, known).smoothing == (0.0,)


@settings(max_examples=40, deadline=None)
@given(
    logits=arrays(np.float32, (3, 5), elements=st.floats(-30, 30, width=32)),
    smoothing=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
)
def test_smoothing_preserves_sums_and_flat_predictions(
    logits: FloatArray, smoothing: tuple[float, float]
):
    found = Calibration((1.0, 1.0), smoothing=smoothing).apply(DEEP, logits)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    plain = DEEP.sums(softmax(logits), "section")
    np.testing.assert_allclose(
        DEEP.sums(found, "section"), (1 - smoothing[0]) * plain + smoothing[0] / 2, atol=1e-5
    )
