"""A thread that does the same thing again and again."""

import threading

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
