"""Comparisons against independently computed counts, p-values and resamples."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from patclass.evaluation import intervals as module
from patclass.evaluation.compare import Comparison, Difference, compare, mcnemar

quick = settings(deadline=None, max_examples=60)

Y_TRUE = [0, 0, 1, 1, 2, 2, -1, 0]
A = [0, 1, 1, 1, 0, 0, 0, 0]
B = [0, 0, 1, 0, 2, 2, 2, 0]


def predictions(right: int, wrong: int) -> list[int]:
    """Predictions for rows whose true label is 0, the correct ones first."""
    return [0] * right + [1] * wrong


def slow_macro_f1(y_true: list[int], given: list[int]) -> float:
    figures = []
    for label in {t for t in y_true if t >= 0}:
        correct = sum(t == label == g for t, g in zip(y_true, given, strict=True))
        figures.append(2 * correct / (y_true.count(label) + given.count(label)))
    return sum(figures) / len(figures) if figures else 0.0


def test_rows_are_counted_by_which_model_is_correct():
    found = compare(Y_TRUE, A, B, level="class", resamples=10)
    assert (found.rows, found.both, found.only_a, found.only_b, found.neither) == (8, 3, 1, 3, 1)
    assert found.accuracy.a == pytest.approx(4 / 8)
    assert found.accuracy.b == pytest.approx(6 / 8)
    assert found.accuracy.points == pytest.approx(25)


def test_macro_f1_is_the_mean_over_labels_that_occur():
    found = compare(Y_TRUE, A, B, level="class", resamples=10)
    # A: label 0 has 2 correct of 3 rows and 5 predictions, label 1 has 2 of 2 and 3, label 2 none.
    assert found.macro_f1.a == pytest.approx((4 / 8 + 4 / 5 + 0) / 3)
    # B: label 0 has 3 correct of 3 rows and 4 predictions, 1 has 1 of 2 and 1, 2 has 2 of 2 and 3.
    assert found.macro_f1.b == pytest.approx((6 / 7 + 2 / 3 + 4 / 5) / 3)
    assert found.macro_f1.points == pytest.approx(100 * (found.macro_f1.b - found.macro_f1.a))


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1),
        (3, 3, 1),
        (0, 6, 2 / 64),
        (6, 0, 2 / 64),
        (1, 5, 2 * (1 + 6) / 64),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_by_hand(only_a: int, only_b: int, p: float):
    assert mcnemar(only_a, only_b) == pytest.approx(p)


def test_mcnemar_of_many_rows_is_finite():
    assert 0 <= mcnemar(40_000, 60_000) < 1e-12


def test_the_intervals_are_those_of_a_slow_bootstrap():
    rng = np.random.default_rng(5)
    y_true, a, b = rng.integers(-1, 4, 30), rng.integers(0, 5, 30), rng.integers(0, 5, 30)
    found = compare(y_true, a, b, level="class", resamples=200, seed=7)
    accuracies, f1s = [], []
    for drawn in np.random.default_rng(7).integers(30, size=(200, 30)):
        t, one, other = (list(map(int, values[drawn])) for values in (y_true, a, b))
        right = [
            sum(x == y >= 0 for x, y in zip(given_, t, strict=True)) for given_ in (one, other)
        ]
        accuracies.append(100 * (right[1] - right[0]) / 30)
        f1s.append(100 * (slow_macro_f1(t, other) - slow_macro_f1(t, one)))
    for gap, slow in ((found.accuracy, accuracies), (found.macro_f1, f1s)):
        assert [gap.low, gap.high] == pytest.approx(list(np.quantile(slow, [0.025, 0.975])))


def test_chunking_does_not_change_the_figures(monkeypatch: pytest.MonkeyPatch):
    whole = compare(Y_TRUE, A, B, level="class", resamples=101)
    monkeypatch.setattr(module, "CELLS", 20)
    assert compare(Y_TRUE, A, B, level="class", resamples=101) == whole


def test_figures_depend_on_the_seed_alone():
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 9, 200) for _ in range(3)]
    first = compare(*rows, level="section", resamples=300)
    assert compare(*rows, level="section", resamples=300) == first
    assert compare(*rows, level="section", resamples=300, seed=1) != first


def test_identical_predictions_are_not_distinguishable():
    found = compare(Y_TRUE, A, A, level="class", resamples=100)
    assert found.p == 1
    assert (found.accuracy.points, found.accuracy.low, found.accuracy.high) == (0, 0, 0)
    assert (found.macro_f1.points, found.macro_f1.low, found.macro_f1.high) == (0, 0, 0)
    assert found.better is None
    assert found.verdict.startswith("cannot tell: B has +0.0 points of accuracy against A on 8 ")
    assert "McNemar p = 1.0000" in found.verdict


@pytest.mark.parametrize("reverse", [False, True])
def test_a_clearly_better_model_is_named_with_its_figures(reverse: bool):
    weak, strong = ("small", predictions(120, 80)), ("large", predictions(160, 40))
    first, second = (strong, weak) if reverse else (weak, strong)
    found = compare(
        [0] * 200, first[1], second[1], level="section", names=(first[0], second[0]), resamples=500
    )
    assert found.better == (0 if reverse else 1)
    start = "large is better: +20.0 points of accuracy against small on 200 rows (95 % interval +1"
    assert found.verdict.startswith(start)
    assert "McNemar p < 0.0001" in found.verdict


def test_five_rows_to_none_are_not_significant():
    # B is ahead in every resample; but five coin tosses agree once in sixteen times.
    found = compare(
        [0] * 20, predictions(10, 10), predictions(15, 5), level="class", resamples=2000
    )
    assert found.accuracy.low > 0
    assert found.p == pytest.approx(2 / 32)
    assert found.verdict.startswith("cannot tell: ")


def test_both_conditions_are_needed():
    even = Difference(a=0.5, b=0.51, points=1, low=-0.1, high=2)
    found = compare(Y_TRUE, A, B, level="class", resamples=10)
    near = found.model_copy(update={"accuracy": even, "p": 0.01})
    assert near.better is None
    sure = near.model_copy(update={"accuracy": even.model_copy(update={"low": 0.1})})
    assert sure.better == 1


def test_rows_with_unknown_labels_are_never_correct():
    found = compare([-1, -1], [-1, 0], [0, -1], level="class", resamples=20)
    assert (found.accuracy.a, found.accuracy.b, found.neither) == (0, 0, 2)
    assert (found.macro_f1.a, found.macro_f1.b) == (0, 0)
    assert found.verdict.startswith("cannot tell")


def test_the_table_shows_both_models_and_the_conclusion():
    found = compare(Y_TRUE, A, B, level="class", names=("minilm", "llama"), resamples=50)
    lines = found.text().splitlines()
    assert lines[0].split()[:3] == ["class", "minilm", "llama"]
    assert lines[1].split()[:4] == ["accuracy", "50.0%", "75.0%", "+25.0"]
    assert lines[2].split()[:2] == ["macro", "F1"]
    assert lines[3].split()[:6] == ["only", "this", "right", "1", "3", "+2"]
    assert lines[-1] == found.verdict


def test_a_comparison_round_trips_through_json_and_rejects_unknown_fields():
    found = compare(Y_TRUE, A, B, level="class", resamples=10)
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValidationError, match="extra"):
        Comparison.model_validate(found.model_dump() | {"winner": "B"})


@pytest.mark.parametrize(
    ("rows", "resamples", "message"),
    [
        (([], [], []), 10, "no rows"),
        (([0, 1], [0], [0, 1]), 10, "2 true labels, 1 and 2 predictions"),
        (([0, 1], [0, 1], [0, 1, 1]), 10, "2 true labels, 2 and 3 predictions"),
        (([0], [0], [0]), 0, "at least 1, not 0"),
        (([0], [0.5], [0]), 10, "whole numbers, not float64"),
        (([[0]], [[0]], [[0]]), 10, "whole numbers"),
    ],
)
def test_inputs_that_cannot_be_compared_are_refused(
    rows: tuple[list], resamples: int, message: str
):
    with pytest.raises(ValueError, match=message):
        compare(*rows, level="class", resamples=resamples)


def test_many_rows_and_labels_take_seconds():
    rng = np.random.default_rng(0)
    y_true = rng.integers(350, size=3000)
    a, b = (
        np.where(rng.random(3000) < share, y_true, rng.integers(350, size=3000))
        for share in (0.60, 0.66)
    )
    started = time.process_time()
    found = compare(y_true, a, b, level="subclass")
    assert time.process_time() - started < 20
    assert found.better == 1
    assert found.accuracy.low < found.accuracy.points < found.accuracy.high


@quick
@example([(0, 0, 0)])
@example([(-1, 0, 1)])
@given(
    st.lists(
        st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.integers(-1, 4)),
        min_size=1,
        max_size=40,
    )
)
def test_swapping_the_models_negates_the_result(rows: list[tuple[int, int, int]]):
    y_true, a, b = (list(column) for column in zip(*rows, strict=True))
    one = compare(y_true, a, b, level="class", resamples=40)
    other = compare(y_true, b, a, level="class", resamples=40)
    assert (one.both, one.only_a, one.only_b) == (other.both, other.only_b, other.only_a)
    assert one.p == pytest.approx(other.p)
    for gap, mirror in ((one.accuracy, other.accuracy), (one.macro_f1, other.macro_f1)):
        assert [gap.a, gap.b] == [mirror.b, mirror.a]
        figures, mirrored = [gap.points, gap.low, gap.high], [-mirror.points]
        assert figures == pytest.approx([*mirrored, -mirror.high, -mirror.low], abs=1e-9)
    assert other.better == (None if one.better is None else 1 - one.better)
