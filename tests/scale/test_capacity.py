import pytest

from patclass.core.errors import ConfigError
from patclass.scale.capacity import RESERVE, Price, plan_capacity
from patclass.scale.rates import Rate, Rates

# A hundredth of a second for a document of 100 tokens, ten times as much for one of 1,000.
RATES = Rates(
    bundle="0",
    processor=("x86_64", "avx2"),
    cores=2,
    start_seconds=36,
    memory=2**30,
    documents=(
        Rate(tokens=100, seconds=0.01, low=0.009, high=0.012),
        Rate(tokens=1000, seconds=0.1, low=0.09, high=0.12),
    ),
)
HOUR = 3600.0


def test_rates_between_the_measured_lengths_are_interpolated():
    assert RATES.seconds(100) == 0.01
    assert RATES.seconds(550) == pytest.approx(0.055)
    assert RATES.seconds(5000) == 0.1  # no more of it is read
    assert RATES.seconds(1) == 0.01


def test_a_job_by_hand():
    """A million documents of 100 tokens are 10,000 seconds of one core."""
    (need,) = plan_capacity(RATES, 1e6, 100, HOUR, [Price("small", 2, 0.5)])
    usable = HOUR * (1 - RESERVE) - 36
    assert need.machines == 2  # 5,000 seconds on one of them
    assert 5000 / 2 < usable < 5000
    assert need.hours == pytest.approx((2500 / (1 - RESERVE) + 36) / HOUR)
    assert need.low < need.hours < need.high
    assert need.cost == pytest.approx(0.5 * need.hours * 2)
    assert need.memory == 2 * 2**30


def test_larger_machines_are_fewer():
    needs = plan_capacity(RATES, 150e6, 900, 24 * HOUR, [Price("a", 8), Price("b", 64)])
    assert needs[0].machines == pytest.approx(8 * needs[1].machines, rel=0.2)
    assert all(need.hours <= 24 for need in needs)
    assert [need.cost for need in needs] == [None, None]


def test_a_deadline_before_the_first_answer_is_refused():
    with pytest.raises(ConfigError, match="a worker alone takes 36 s"):
        plan_capacity(RATES, 1, 100, 30, [Price("a", 1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a=8", Price("a", 8)), ("c3-standard-8=8:0.42", Price("c3-standard-8", 8, 0.42))],
)
def test_a_machine_is_parsed(text: str, expected: Price):
    assert Price.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a", "a=", "=8", "a=0", "a=8:", "a=8:-1", "a=8:nan", "a=x:1"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ConfigError, match="expected NAME=CORES or NAME=CORES:PRICE"):
        Price.parse(text)
