"""Numbers in words."""

import pytest

from patclass.ui.words import LIKELY, SURE, UNSURE, percent, plural, reading, time_left, trust


@pytest.mark.parametrize(
    ("confidence", "sure", "word"),
    [(0.4, True, SURE), (0.99, False, LIKELY), (0.5, False, LIKELY), (0.49, False, UNSURE)],
)
def test_trust_is_the_models_own_word_first(confidence: float, sure: bool, word: str):
    assert trust(confidence, sure) == word


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0 %"), (0.004, "under 1 %"), (0.5, "50 %"), (0.996, "over 99 %"), (1, "100 %")],
)
def test_what_is_not_certain_is_never_called_so(share: float, told: str):
    assert percent(share) == told


def test_how_much_was_read():
    assert reading(1.0) == "All of the text was read."
    assert "25 %" in reading(0.25)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1 s"), (59, "59 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_time_has_the_unit_that_suits_it(seconds: float, told: str):
    assert time_left(seconds) == told


def test_a_count_has_its_word():
    assert [plural(n, "row", "rows") for n in (1, 2000)] == ["1 row", "2,000 rows"]
