"""Learning rates and draws of texts, against figures computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.data.examples import Example
from patclass.training.plan import draw_texts, learning_rate


def test_the_learning_rate_rises_to_the_peak_and_falls_to_zero():
    rates = [learning_rate(step, 100, 1e-3, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-4 * n for n in range(1, 11)])
    assert rates[9] == max(rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-6


@given(st.integers(1, 500), st.floats(0, 0.99), st.data())
def test_the_learning_rate_stays_between_zero_and_the_peak(
    steps: int, warmup: float, data: st.DataObject
):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 <= learning_rate(step, steps, 1.0, warmup) <= 1


def test_texts_are_drawn_among_the_views_of_their_rows():
    rows = [Example("P", "text", (0,), (0,), views=("view",) * count) for count in (2, 0, 1)]
    places = [{0, 1, 2}, {3}, {4, 5}]
    rng = np.random.default_rng(0)
    draws = np.array([draw_texts(rows, 0.5, rng) for _ in range(2000)])
    assert [set(column) for column in draws.T] == places
    # Half of the draws are a view, each as likely: 0.25 each, and 0.5 of the only one.
    assert [np.mean(draws[:, 0] == place) for place in (1, 2)] == pytest.approx(
        [0.25] * 2, abs=0.03
    )
    assert np.mean(draws[:, 2] == 5) == pytest.approx(0.5, abs=0.03)


def test_without_dropout_of_fields_nothing_is_drawn():
    rows = [Example("P", "text", (0,), (0,), views=("view",)), Example("P", "text", (0,), (0,))]
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    assert draw_texts(rows, 0, rng) == [0, 2]
    assert rng.random() == same.random()
