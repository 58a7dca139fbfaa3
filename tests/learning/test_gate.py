"""The gate: what it lets through, what it refuses, and in which words."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import full
from patclass.learning.gate import Check, Decision, LevelPredictions, PairedPredictions, decide

CODES = np.array(list("ABCD"))
RANDOM = np.random.default_rng(0)
BEGINNING = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _from_the_beginning() -> None:
    """Whatever ran before, a test draws the same."""
    RANDOM.bit_generator.state = BEGINNING


def answered(
    y_true: np.ndarray, accuracy: float, promised: float | None = None
) -> LevelPredictions:
    """Answers that are right so often, and say how sure they are."""
    right = RANDOM.random(len(y_true)) < accuracy
    wrong = CODES[(np.searchsorted(CODES, y_true) + 1) % len(CODES)]
    sure = np.full(len(y_true), promised if promised is not None else accuracy, dtype=np.float32)
    return LevelPredictions(np.where(right, y_true, wrong).tolist(), sure)


def rows(
    count: int, before: float, after: float, promised: float | None = None
) -> PairedPredictions:
    y_true = RANDOM.choice(CODES, count)
    return PairedPredictions(
        y_true.tolist(), answered(y_true, before), answered(y_true, after, promised)
    )


def same(count: int, accuracy: float) -> PairedPredictions:
    """Rows that both models answer alike."""
    y_true = RANDOM.choice(CODES, count)
    both = answered(y_true, accuracy)
    return PairedPredictions(y_true.tolist(), both, both)


def judged(
    held_out: PairedPredictions | None = None, feedback: PairedPredictions | None = None
) -> Decision:
    feedback = feedback or rows(200, 0.5, 0.8)
    return decide(("old", "new"), {"section": held_out or same(2000, 0.8)}, feedback, feedback)


def check(decision: Decision, name: str) -> Check:
    return next(check for check in decision.checks if check.name == name)


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def test_a_candidate_better_on_feedback_and_equal_elsewhere_passes():
    decision = judged()
    assert decision.passed, decision.text()
    assert decision.text().startswith("new may replace old\n  passed  not worse on ")
    assert "none of 4 labels loses more than 3 points" in decision.text()


def test_a_candidate_that_is_worse_overall_is_refused():
    decision = judged(rows(2000, 0.8, 0.74))
    assert "overall" in failed(decision)
    assert check(decision, "overall").message.startswith("worse on held-out rows: section -")


def test_a_label_with_a_significant_loss_is_named():
    held_out = same(2000, 0.8)
    codes = list(held_out.candidate.labels)
    places = [i for i, code in enumerate(held_out.y_true) if code == codes[i] == "B"][:30]
    for place in places:
        codes[place] = "A"
    hurt = PairedPredictions(
        held_out.y_true, held_out.champion, LevelPredictions(codes, held_out.champion.confidences)
    )
    decision = judged(hurt)
    assert "labels" in failed(decision)
    assert "a label loses more than 3 points: B -" in check(decision, "labels").message


def test_a_rare_label_is_shown_but_not_gated():
    held_out = same(2000, 0.8)
    codes, y_true = list(held_out.candidate.labels), list(held_out.y_true)
    before = list(codes)
    for place in range(20):
        y_true[place] = before[place] = "Z"
        codes[place] = "A"
    sure = held_out.champion.confidences
    decision = judged(
        PairedPredictions(y_true, LevelPredictions(before, sure), LevelPredictions(codes, sure))
    )
    assert "labels" not in failed(decision)
    (label,) = [label for label in decision.labels if label.label == "Z"]
    assert (label.rows, label.champion, label.candidate, label.points) == (20, 20, 0, -100.0)


def with_label(changed: int, count: int, base: PairedPredictions) -> PairedPredictions:
    """Rows of which the first are of a label that the candidate no longer answers so often."""
    before, y_true = list(base.champion.labels), list(base.y_true)
    after = list(base.candidate.labels)
    for place in range(count):
        y_true[place] = before[place] = "A01B"
        after[place] = "A01C" if place < changed else "A01B"
    sure = base.champion.confidences
    return PairedPredictions(y_true, LevelPredictions(before, sure), LevelPredictions(after, sure))


@pytest.mark.parametrize(("lost", "passes"), [(3, True), (30, False)])
def test_below_the_coarsest_level_a_loss_must_be_significant(lost: int, passes: bool):
    section, feedback = same(2000, 0.8), rows(200, 0.5, 0.8)
    held_out = {"section": section, "subclass": with_label(lost, 40, same(2000, 0.8))}
    decision = decide(("old", "new"), held_out, feedback, feedback)
    assert check(decision, "labels").passed is passes
    if not passes:
        told = check(decision, "labels").message
        assert told == "a label loses more than 3 points: A01B -75.0 points on 40 rows"
    shown = [label.label for label in decision.reported_labels("section")]
    assert shown == ["A", "B", "C", "D"]


def test_a_calibration_loss_at_a_finer_level_is_detected():
    fine = same(2000, 0.8)
    boastful = LevelPredictions(fine.candidate.labels, np.full(2000, 0.95, dtype=np.float32))
    held_out = {
        "section": same(2000, 0.8),
        "class": PairedPredictions(fine.y_true, fine.champion, boastful),
    }
    feedback = rows(200, 0.5, 0.8)
    decision = decide(("old", "new"), held_out, feedback, feedback)
    assert failed(decision) == ["calibration"]


def test_a_candidate_may_be_better_at_the_finest_level_only():
    coarse, fine = same(200, 0.8), rows(200, 0.3, 0.6)
    decision = decide(("old", "new"), {"section": same(2000, 0.8)}, coarse, fine)
    assert decision.passed, decision.text()


def test_a_miscalibrated_candidate_is_refused():
    held_out = same(2000, 0.8)
    boastful = LevelPredictions(held_out.candidate.labels, np.full(2000, 0.95, dtype=np.float32))
    decision = judged(PairedPredictions(held_out.y_true, held_out.champion, boastful))
    assert failed(decision) == ["calibration"]
    assert (
        "not calibrated: expected calibration error section 0.1"
        in check(decision, "calibration").message
    )


def test_no_gain_on_feedback_is_refused():
    decision = judged(feedback=same(200, 0.8))
    assert failed(decision) == ["feedback"]
    assert "not better on feedback" in decision.text()


@pytest.mark.parametrize("count", [0, 29])
def test_too_little_feedback_is_refused(count: int):
    decision = judged(feedback=rows(count, 0.0, 1.0))
    assert set(failed(decision)) == {"feedback", "feedback_quality"}
    assert f"too little feedback to compare the models: {count} of 30" in decision.text()


def flipped(feedback: PairedPredictions, share: float) -> PairedPredictions:
    wrong = RANDOM.random(len(feedback.y_true)) < share
    others = RANDOM.choice(CODES, len(feedback.y_true))
    y_true = np.where(wrong, others, feedback.y_true).tolist()
    return PairedPredictions(y_true, feedback.champion, feedback.candidate, feedback.sampled)


def test_unreliable_feedback_is_refused_with_a_reason():
    feedback = flipped(rows(200, 0.3, 0.8), 0.3)
    decision = judged(feedback=feedback)
    assert "feedback_quality" in failed(decision)
    assert "feedback is not reliable: it agrees with" in decision.text()
    assert "% expected; too many labels are wrong: have them reviewed" in decision.text()


def test_correct_feedback_is_hardly_ever_refused():
    feedback = [rows(150, 0.3, 0.8) for _ in range(full(15, 50))]
    decisions = [judged(same(100, 0.8), each) for each in feedback]
    assert sum("feedback_quality" in failed(decision) for decision in decisions) <= full(1, 2)


def test_the_quality_of_feedback_is_checked_on_the_random_sample():
    in_sample, chosen = rows(60, 0.5, 0.85, promised=0.8), rows(200, 0.1, 0.5, promised=0.8)
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
    decision = judged(feedback=feedback)
    assert check(decision, "feedback_quality").passed
    assert "60 randomly sampled texts" in check(decision, "feedback_quality").message


@pytest.mark.parametrize("make", [judged, lambda: judged(feedback=rows(0, 0.5, 0.5))])
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
