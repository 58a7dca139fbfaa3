"""The confidence from which on answers are right as often as asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.calibration.threshold import (
    MIN_ANSWERS,
    NEVER,
    PRECISION,
    lowest_threshold,
    threshold_for,
)


def calibrated(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that are right as often as they are confident."""
    rng = np.random.default_rng(seed)
    confidences = rng.random(count).astype(np.float32)
    return confidences, rng.random(count) < confidences


def test_answers_above_the_threshold_are_precise_and_it_is_the_lowest():
    confidences, right = calibrated(5000, seed=1)
    threshold = threshold_for(confidences, right)
    assert right[confidences >= threshold].mean() >= PRECISION
    lower = np.unique(confidences[confidences < threshold])
    assert all(right[confidences >= below].mean() < PRECISION for below in lower)
    # With calibrated answers, those above t are right (1 + t) / 2 of the time.
    assert threshold == pytest.approx(0.8, abs=0.05)


def test_fresh_answers_keep_the_promise():
    threshold = threshold_for(*calibrated(5000, seed=2))
    confidences, hits = calibrated(5000, seed=3)
    assert hits[confidences >= threshold].mean() > PRECISION - 0.03


def test_if_every_answer_is_right_the_least_confident_one_is_the_threshold():
    confidences = np.linspace(0.3, 0.9, 50).astype(np.float32)
    assert threshold_for(confidences, np.full(50, True)) == pytest.approx(0.3)


def test_if_no_answer_is_right_none_is_ever_given():
    assert (
        threshold_for(np.linspace(0.3, 1, 50).astype(np.float32), np.full(50, False)) == NEVER > 1
    )


def test_a_few_lucky_answers_set_no_threshold():
    confidences = np.linspace(1, 0.1, 200).astype(np.float32)
    lucky = MIN_ANSWERS - 10
    assert threshold_for(confidences, np.arange(200) < lucky) == NEVER


def test_a_stricter_precision_asks_for_more_confidence():
    answers = calibrated(5000, seed=4)
    found = [lowest_threshold(*answers, precision) for precision in (0.7, 0.9, 0.95)]
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]


def test_without_answers_there_is_no_threshold():
    assert threshold_for(np.empty(0, np.float32), np.empty(0, bool)) == NEVER
    assert lowest_threshold(np.empty(0, np.float32), np.empty(0, bool), 0.9) is None


def test_equally_confident_answers_are_all_given_or_none_is():
    confidences = np.full(40, 0.6, dtype=np.float32)
    assert threshold_for(confidences, np.arange(40) < 20) == NEVER
    assert threshold_for(confidences, np.arange(40) < 38) == pytest.approx(0.6)


@settings(max_examples=100, deadline=None)
@given(
    answers=st.lists(
        st.tuples(st.sampled_from([0.2, 0.4, 0.6, 0.8, 1.0]), st.booleans()), max_size=80
    )
)
def test_the_promise_holds_where_many_answers_are_equally_confident(
    answers: list[tuple[float, bool]],
):
    confidences = np.array([confidence for confidence, _ in answers], dtype=np.float32)
    hits = np.array([hit for _, hit in answers], dtype=bool)
    threshold = threshold_for(confidences, hits)
    answered = confidences >= threshold
    assert not answered.any() or hits[answered].mean() >= PRECISION
