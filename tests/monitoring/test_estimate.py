"""How many answers are right: estimated, and measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.monitoring.estimate import estimate
from patclass.monitoring.known import Known
from patclass.store.predictions import PredictionRow
from store_rows import prediction

LEVELS = ("section", "class")


def rows_of(confidences: list[float]) -> list[PredictionRow]:
    return [
        prediction(number, levels={"section": ("E", share), "class": ("E21", share)})
        for number, share in enumerate(confidences)
    ]


def test_the_interval_holds_the_share_of_right_answers_in_95_windows_of_100():
    random = np.random.default_rng(0)
    held = []
    for _ in range(400):
        shares = random.beta(5, 1.5, 200)
        right = (random.random(200) < shares).mean()
        found = estimate(LEVELS, rows_of(shares.tolist()), {})["section"]
        held.append(found.estimated_low <= right <= found.estimated_high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_verdicts_are_counted_at_every_level_that_they_speak_of():
    rows = rows_of([0.9] * 5)
    truths = ["E21B", "E", "B23B", "E02D"]
    known = {row.text_sha256: Known(truth) for row, truth in zip(rows, truths, strict=False)}
    found = estimate(LEVELS, rows, known)
    counted = {level: (each.judged, each.right) for level, each in found.items()}
    assert counted == {"section": (4, 3), "class": (3, 1)}
    assert found["section"].measured == 0.75
    assert found["section"].low < 0.75 < found["section"].high


def test_without_verdicts_nothing_is_measured():
    found = estimate(LEVELS, rows_of([0.5, 0.9]), {"other": Known("E")})["section"]
    assert (found.measured, found.low, found.high, found.judged) == (None, None, None, 0)
    assert found.estimated == pytest.approx(0.7)


def test_a_level_that_was_not_answered_is_left_out():
    rows = [prediction(1, levels={"section": ("E", 0.8)}), *rows_of([0.6])]
    found = estimate((*LEVELS, "subclass"), rows, {})
    assert {level: each.rows for level, each in found.items()} == {"section": 2, "class": 1}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_estimate_lies_within_its_interval(shares: list[float]):
    found = estimate(("section",), rows_of(shares), {})["section"]
    assert 0 <= found.estimated_low <= found.estimated + 1e-9
    assert found.estimated <= found.estimated_high + 1e-9 <= 1 + 1e-9
