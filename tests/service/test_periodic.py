"""A thread that does the same thing again and again."""

import threading

import pytest

from patclass.service import periodic as periodic_module
from patclass.service.periodic import Periodic


def test_work_is_done_until_it_is_ended():
    done, calls = threading.Event(), []

    def work() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            done.set()

    periodic = Periodic("again", 0.01, work)
    assert done.wait(10)
    periodic.close()
    count = len(calls)
    assert set(calls) == {"again"}
    assert "again" not in [thread.name for thread in threading.enumerate()]
    assert len(calls) == count


def test_the_end_does_not_wait_for_long_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(periodic_module, "END_SECONDS", 0.05)
    began, go_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(60)

    periodic = Periodic("long", 0.01, work)
    assert began.wait(10)
    periodic.close()
    assert "long" in [thread.name for thread in threading.enumerate()]
    go_on.set()
