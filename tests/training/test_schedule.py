import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.training.schedule import learning_rate


def test_rises_to_the_peak_and_falls_to_nothing():
    rates = [learning_rate(step, 100, 1e-3, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-4 * n for n in range(1, 11)])
    assert rates[9] == max(rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-6


@given(st.integers(1, 500), st.floats(0, 0.99), st.data())
def test_stays_between_zero_and_the_peak(steps: int, warmup: float, data: st.DataObject):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 <= learning_rate(step, steps, 1.0, warmup) <= 1
