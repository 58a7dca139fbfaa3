"""The gate: what it accepts, what it refuses, and the reasons that it reports."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import full
from patclass.learning import gate
from patclass.learning.gate import Check, Decision, LevelPredictions, PairedPredictions, decide

CODES = np.array(list("ABCD"))
RANDOM = np.random.default_rng(0)
INITIAL_STATE = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _reset_random_state() -> None:
    """Every test draws the same numbers, whatever ran before."""
    RANDOM.bit_generator.state = INITIAL_STATE


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """No decision depends on the last digit of an interval."""
    quick = partial(gate.compare, resamples=full(1000, 10_000))
    monkeypatch.setattr(gate, "compare", quick)


def predictions_of(
    y_true: np.ndarray, accuracy: float, confidence: float | None = None
) -> LevelPredictions:
    """Predictions with the given accuracy and confidence."""
    correct = RANDOM.random(len(y_true)) < accuracy
    wrong = CODES[(np.searchsorted(CODES, y_true) + 1) % len(CODES)]
    sure = np.full(
        len(y_true), confidence if confidence is not None else accuracy, dtype=np.float32
    )
    return LevelPredictions(np.where(correct, y_true, wrong).tolist(), sure)


def rows(
    count: int, before: float, after: float, confidence: float | None = None
) -> PairedPredictions:
    y_true = RANDOM.choice(CODES, count)
    return PairedPredictions(
        y_true.tolist(), predictions_of(y_true, before), predictions_of(y_true, after, confidence)
    )


def identical_rows(count: int, accuracy: float) -> PairedPredictions:
    """Rows for which both models have the same predictions."""
    y_true = RANDOM.choice(CODES, count)
    both = predictions_of(y_true, accuracy)
    return PairedPredictions(y_true.tolist(), both, both)


def decision_on(
    held_out: PairedPredictions | None = None, feedback: PairedPredictions | None = None
) -> Decision:
    feedback = feedback or rows(200, 0.5, 0.8)
    return decide(
        ("old", "new"), {"section": held_out or identical_rows(2000, 0.8)}, feedback, feedback
    )


def check(decision: Decision, name: str) -> Check:
    return next(check for check in decision.checks if check.name == name)


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def test_a_candidate_better_on_feedback_and_equal_elsewhere_passes():
    decision = decision_on()
    assert decision.passed, decision.text()
    assert decision.text().startswith("new may replace old\n  passed  not worse on ")
    assert "none of 4 labels loses more than 3 points" in decision.text()


def test_a_candidate_that_is_worse_overall_is_refused():
    decision = decision_on(rows(2000, 0.8, 0.74))
    assert "overall" in failed(decision)
    assert check(decision, "overall").message.startswith("worse on held-out rows: section -")


def test_a_label_with_a_significant_loss_is_named():
    held_out = identical_rows(2000, 0.8)
    codes = list(held_out.candidate.labels)
    places = [i for i, code in enumerate(held_out.y_true) if code == codes[i] == "B"][:30]
    for place in places:
        codes[place] = "A"
    worse = PairedPredictions(
        held_out.y_true, held_out.champion, LevelPredictions(codes, held_out.champion.confidences)
    )
    decision = decision_on(worse)
    assert "labels" in failed(decision)
    assert "a label loses more than 3 points: B -" in check(decision, "labels").message


def test_a_rare_label_is_shown_but_not_gated():
    held_out = identical_rows(2000, 0.8)
    codes, y_true = list(held_out.candidate.labels), list(held_out.y_true)
    before = list(codes)
    for place in range(20):
        y_true[place] = before[place] = "Z"
        codes[place] = "A"
    sure = held_out.champion.confidences
    decision = decision_on(
        PairedPredictions(y_true, LevelPredictions(before, sure), LevelPredictions(codes, sure))
    )
    assert "labels" not in failed(decision)
    (label,) = [label for label in decision.labels if label.label == "Z"]
    assert (label.rows, label.champion, label.candidate, label.points) == (20, 20, 0, -100.0)


def with_label(changed: int, count: int, base: PairedPredictions) -> PairedPredictions:
    """Rows whose first have a label that the candidate predicts less often."""
    before, y_true = list(base.champion.labels), list(base.y_true)
    after = list(base.candidate.labels)
    for place in range(count):
        y_true[place] = before[place] = "A01B"
        after[place] = "A01C" if place < changed else "A01B"
    sure = base.champion.confidences
    return PairedPredictions(y_true, LevelPredictions(before, sure), LevelPredictions(after, sure))


@pytest.mark.parametrize(("lost", "passes"), [(3, True), (30, False)])
def test_below_the_coarsest_level_a_loss_must_be_significant(lost: int, passes: bool):
    section, feedback = identical_rows(2000, 0.8), rows(200, 0.5, 0.8)
    held_out = {"section": section, "subclass": with_label(lost, 40, identical_rows(2000, 0.8))}
    decision = decide(("old", "new"), held_out, feedback, feedback)
    assert check(decision, "labels").passed is passes
    if not passes:
        message = check(decision, "labels").message
        assert message == "a label loses more than 3 points: A01B -75.0 points on 40 rows"
    shown = [label.label for label in decision.reported_labels("section")]
    assert shown == ["A", "B", "C", "D"]


def test_a_calibration_loss_at_a_finer_level_is_detected():
    fine = identical_rows(2000, 0.8)
    overconfident = LevelPredictions(fine.candidate.labels, np.full(2000, 0.95, dtype=np.float32))
    held_out = {
        "section": identical_rows(2000, 0.8),
        "class": PairedPredictions(fine.y_true, fine.champion, overconfident),
    }
    feedback = rows(200, 0.5, 0.8)
    decision = decide(("old", "new"), held_out, feedback, feedback)
    assert failed(decision) == ["calibration"]


def test_a_candidate_may_be_better_at_the_finest_level_only():
    coarse, fine = identical_rows(200, 0.8), rows(200, 0.3, 0.6)
    decision = decide(("old", "new"), {"section": identical_rows(2000, 0.8)}, coarse, fine)
    assert decision.passed, decision.text()


def test_a_miscalibrated_candidate_is_refused():
    held_out = identical_rows(2000, 0.8)
    overconfident = LevelPredictions(
        held_out.candidate.labels, np.full(2000, 0.95, dtype=np.float32)
    )
    decision = decision_on(PairedPredictions(held_out.y_true, held_out.champion, overconfident))
    assert failed(decision) == ["calibration"]
    assert (
        "not calibrated: expected calibration error section 0.1"
        in check(decision, "calibration").message
    )


def test_no_gain_on_feedback_is_refused():
    decision = decision_on(feedback=identical_rows(200, 0.8))
    assert failed(decision) == ["feedback"]
    assert "not better on feedback" in decision.text()


@pytest.mark.parametrize("count", [0, 29])
def test_too_little_feedback_is_refused(count: int):
    decision = decision_on(feedback=rows(count, 0.0, 1.0))
    assert set(failed(decision)) == {"feedback", "feedback_quality"}
    assert f"too little feedback to compare the models: {count} of 30" in decision.text()


def flipped(feedback: PairedPredictions, share: float) -> PairedPredictions:
    wrong = RANDOM.random(len(feedback.y_true)) < share
    others = RANDOM.choice(CODES, len(feedback.y_true))
    y_true = np.where(wrong, others, feedback.y_true).tolist()
    return PairedPredictions(y_true, feedback.champion, feedback.candidate, feedback.sampled)


def test_unreliable_feedback_is_refused_with_a_reason():
    feedback = flipped(rows(200, 0.3, 0.8), 0.3)
    decision = decision_on(feedback=feedback)
    assert "feedback_quality" in failed(decision)
    assert "feedback is not reliable: it agrees with" in decision.text()
    assert "% expected; too many labels are wrong: have them reviewed" in decision.text()


def test_correct_feedback_is_hardly_ever_refused():
    decisions = [
        decision_on(identical_rows(100, 0.8), rows(150, 0.3, 0.8)) for _ in range(full(15, 50))
    ]
    assert sum("feedback_quality" in failed(decision) for decision in decisions) <= full(1, 2)


def test_the_quality_of_feedback_is_checked_on_the_random_sample():
    in_sample, chosen = rows(60, 0.5, 0.85, confidence=0.8), rows(200, 0.1, 0.5, confidence=0.8)
    feedback = PairedPredictions(
        [*in_sample.y_true, *chosen.y_true],
        *(
            LevelPredictions([*a.labels, *b.labels], np.concatenate([a.confidences, b.confidences]))
            for a, b in (
                (in_sample.champion, chosen.champion),
                (in_sample.candidate, chosen.candidate),
            )
        ),
        [True] * 60 + [False] * 200,
    )
    decision = decision_on(feedback=feedback)
    assert check(decision, "feedback_quality").passed
    assert "60 randomly sampled texts" in check(decision, "feedback_quality").message


@pytest.mark.parametrize("make", [decision_on, lambda: decision_on(feedback=rows(0, 0.5, 0.5))])
def test_a_decision_round_trips_through_json(make: Callable[[], Decision]):
    decision = make()
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@given(st.lists(st.sampled_from("AB"), min_size=1, max_size=40), st.data())
def test_an_identical_candidate_never_loses(y_true: list[str], data: st.DataObject):
    codes = data.draw(st.lists(st.sampled_from("ABZ"), min_size=len(y_true), max_size=len(y_true)))
    both = LevelPredictions(codes, np.full(len(y_true), 0.5, dtype=np.float32))
    decision = decide(
        ("a", "a"),
        {"label": PairedPredictions(y_true, both, both)},
        *[PairedPredictions([], both, both)] * 2,
    )
    assert {"feedback", "feedback_quality"} == set(failed(decision))
