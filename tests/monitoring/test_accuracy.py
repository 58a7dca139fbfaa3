"""The accuracy of predictions: estimated and measured."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.monitoring.accuracy import ReviewedText, code_at, estimate, is_correct, reviewed_texts
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.predictions import PredictionRow
from store_rows import ID, prediction


def feedback_row(
    number: int, *, text: str | None = "t", predicted: str = "E21B", **more: object
) -> FeedbackRow:
    feedback = Feedback(ID(number), text_sha256=text, predicted_label=predicted, **more)  # type: ignore[arg-type]
    return FeedbackRow(number, f"key-{number}", datetime(2026, 11, 1, tzinfo=UTC), feedback)


@pytest.mark.parametrize(
    ("level", "predicted", "y_true", "correct"),
    [
        ("section", "E", "E21B", True),
        ("class", "E21", "E21B 10/00", True),
        ("subclass", "E21B", "E21B10/00", True),
        ("main_group", "E21B10/00", "E21B10/46", True),
        ("main_group", "E21B10/00", "E21B7/00", False),
        ("main_group", "E21B10/00", "E21B", None),
        ("section", "B", "E21B", False),
        ("class", "E02", "E21B", False),
        ("class", "E21", "E", None),
        ("class", "B23", "E", False),
        ("subclass", "E21B", "E21", None),
        ("subclass", "E02D", "E21", False),
        ("section", "chemistry", "chemistry", True),
        ("topic", "chemistry", "chemistry", True),
        ("topic", "chemistry", "physics", False),
        ("label", "E21", "E21B", True),
        ("label", "E21", "E", None),
        ("label", "E21", "E02", False),
        ("class", "E21", "no code", False),
    ],
)
def test_a_prediction_is_correct_if_it_contains_the_true_code(
    level: str, predicted: str, y_true: str, correct: bool | None
):
    assert is_correct(level, predicted, y_true) is correct


def test_reviewed_labels_are_looked_up_by_text():
    given = [
        feedback_row(1, correct=True),
        feedback_row(2, text="u", correct=False, label="B23B"),
        feedback_row(3, text=None, correct=True),
    ]
    assert reviewed_texts(given) == {"t": ReviewedText("E21B"), "u": ReviewedText("B23B")}


def test_disputed_and_withdrawn_feedback_is_ignored():
    disputed = [
        feedback_row(1, correct=True, reviewer="Ada"),
        feedback_row(2, correct=False, label="B23B"),
    ]
    assert reviewed_texts(disputed) == {}
    withdrawn = [feedback_row(1, correct=True), feedback_row(2, correct=False, withdraws="key-1")]
    assert reviewed_texts(withdrawn) == {}


def test_a_rejected_prediction_without_a_label_counts_as_wrong():
    known = reviewed_texts([feedback_row(1, predicted="E21", correct=False)])
    assert known == {"t": ReviewedText(None, frozenset({"E21"}))}
    confirmed = {code: known["t"].confirms("class", code) for code in ("E21", "E21B", "E", "E02")}
    assert confirmed == {"E21": False, "E21B": False, "E": None, "E02": None}


def test_a_rejected_flat_label_says_nothing_about_others():
    known = ReviewedText(None, frozenset({"chemistry"}))
    assert known.confirms("topic", "chemistry") is False
    assert known.confirms("topic", "chemistry of food") is None


@pytest.mark.parametrize(
    ("code", "label"),
    [("E21B 10/00", "E21B"), ("E21D", "E21"), ("E", None), ("A61K", "A61K"), ("soap", "soap")],
)
def test_the_label_of_a_code_is_its_most_specific_ancestor_in_the_list(
    code: str, label: str | None
):
    assert code_at("label", code, ["E21", "E21B", "H04"]) == label


LEVELS = ("section", "class")


def rows_of(confidences: list[float]) -> list[PredictionRow]:
    return [
        prediction(number, levels={"section": ("E", share), "class": ("E21", share)})
        for number, share in enumerate(confidences)
    ]


def test_the_interval_contains_the_accuracy_in_95_windows_of_100():
    random = np.random.default_rng(0)
    held = []
    for _ in range(400):
        shares = random.beta(5, 1.5, 200)
        correct = (random.random(200) < shares).mean()
        found = estimate(LEVELS, rows_of(shares.tolist()), {})["section"]
        held.append(found.estimated_low <= correct <= found.estimated_high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_feedback_is_counted_at_every_level_that_it_reaches():
    rows = rows_of([0.9] * 5)
    labels = ["E21B", "E", "B23B", "E02D"]
    known = {
        row.text_sha256: ReviewedText(y_true) for row, y_true in zip(rows, labels, strict=False)
    }
    found = estimate(LEVELS, rows, known)
    counted = {level: (each.reviewed, each.correct) for level, each in found.items()}
    assert counted == {"section": (4, 3), "class": (3, 1)}
    assert found["section"].measured == 0.75
    assert found["section"].low < 0.75 < found["section"].high


def test_without_feedback_no_accuracy_is_measured():
    found = estimate(LEVELS, rows_of([0.5, 0.9]), {"other": ReviewedText("E")})["section"]
    assert (found.measured, found.low, found.high, found.reviewed) == (None, None, None, 0)
    assert found.estimated == pytest.approx(0.7)


def test_a_level_without_predictions_is_left_out():
    rows = [prediction(1, levels={"section": ("E", 0.8)}), *rows_of([0.6])]
    found = estimate((*LEVELS, "subclass"), rows, {})
    assert {level: each.rows for level, each in found.items()} == {"section": 2, "class": 1}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_estimate_lies_within_its_interval(shares: list[float]):
    found = estimate(("section",), rows_of(shares), {})["section"]
    assert 0 <= found.estimated_low <= found.estimated + 1e-9
    assert found.estimated <= found.estimated_high + 1e-9 <= 1 + 1e-9
