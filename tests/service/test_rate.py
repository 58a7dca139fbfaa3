"""How often a caller may do something."""

import pytest

from patclass.service.rate import Rate


def test_a_caller_has_so_many_a_minute():
    now = [0.0]
    rate = Rate(2, lambda: now[0])
    assert [rate.wait("ada") for _ in range(3)] == [0.0, 0.0, 30.0]
    now[0] = 29.0
    assert rate.wait("ada") == pytest.approx(1.0)
    now[0] = 30.0
    assert rate.wait("ada") == 0.0
    assert rate.wait("ada") == 30.0


def test_callers_do_not_wait_for_each_other():
    rate = Rate(1, lambda: 0.0)
    assert rate.wait("ada") == 0.0
    assert rate.wait("bob") == 0.0
    assert rate.wait("ada") == 60.0


def test_a_bucket_holds_one_minute_and_no_more():
    now = [0.0]
    rate = Rate(3, lambda: now[0])
    rate.wait("ada")
    now[0] = 3600.0
    assert [rate.wait("ada") for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]


def test_who_is_quiet_is_forgotten():
    now = [0.0]
    rate = Rate(5, lambda: now[0])
    for caller in range(10_000):
        rate.wait(str(caller))
    now[0] = 61.0
    rate.wait("one more")
    assert list(rate._buckets) == ["one more"]
