"""Files on their way through the service."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from fake_service import FakeApi
from helpers import wait_until
from patclass.ui.client import Patent, Result, Trouble
from patclass.ui.jobs import CHUNK, KEPT, Job, Jobs

BUSY = Trouble("busy", "Try again in 0 s.", 0.01)


def patents(count: int) -> list[dict[str, str | None]]:
    return [{"id": f"EP{number}", "text": "A loom."} for number in range(count)]


def test_all_are_answered_in_order():
    job = Job("a.csv", "default", patents(2 * CHUNK + 3))
    job.run(FakeApi())
    assert [result["id"] for result in job.results] == [f"EP{n}" for n in range(2 * CHUNK + 3)]
    assert "neighbours" not in job.results[0]
    assert not job.running
    assert job.stopped is None


def test_a_row_that_cannot_be_read_fails_in_its_place():
    job = Job("a.csv", "default", [*patents(1), "undecodable: not UTF-8", *patents(1)])
    job.run(FakeApi())
    assert [result["error"] for result in job.results] == [
        None,
        {"code": "unreadable", "message": "undecodable: not UTF-8"},
        None,
    ]
    assert job.results[1]["id"] == "2"


def test_a_busy_or_absent_service_is_waited_for():
    job = Job("a.csv", "default", patents(3))
    api = FakeApi([BUSY, Trouble("away", "The service does not answer.", 0.01), BUSY])
    job.run(api)
    assert job.done == 3
    assert job.waiting is None
    assert job.waited > 0.02
    assert job.patents == ()


def test_what_waiting_cannot_mend_stops_the_job():
    job = Job("a.csv", "default", patents(3))
    job.run(FakeApi([Trouble("key", "The access key is not known.")]))
    assert job.stopped == "The access key is not known."
    assert job.done == 0


def test_patience_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.jobs.PATIENCE", 0.0)
    job = Job("a.csv", "default", patents(3))
    job.run(FakeApi([BUSY] * 9))
    assert job.stopped == BUSY.sentence


class Narrow(FakeApi):
    """Takes two patents at a time, and none that is called EP3."""

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        if len(patents) > 2 or any(patent["id"] == "EP3" for patent in patents):
            raise Trouble("large", "This is more text than the service takes at once.")
        return super().classify(patents, model, **options)


def test_what_is_too_much_at_once_goes_in_parts_or_fails_alone():
    job = Job("a.csv", "default", patents(7))
    job.run(Narrow())
    assert [result["id"] for result in job.results] == [f"EP{number}" for number in range(7)]
    assert [result["id"] for result in job.results if result["error"]] == ["EP3"]


def test_a_job_can_be_stopped_while_it_waits():
    job = Job("a.csv", "default", patents(3))
    waiting = Trouble("away", "The service does not answer.", 30.0)
    thread = threading.Thread(target=job.run, args=(FakeApi([waiting] * 9),))
    thread.start()
    wait_until(lambda: job.waiting is not None)
    job.cancel()
    thread.join(60)
    assert job.stopped == "Stopped by you."


def test_the_time_left_is_known_once_there_is_a_pace():
    job = Job("a.csv", "default", patents(4))
    assert job.seconds_left is None
    job.began -= 10
    job.results += [{}, {}]
    assert job.seconds_left == pytest.approx(10, abs=0.5)


def test_a_job_is_found_by_its_id_alone_and_old_ones_give_way():
    jobs = Jobs()
    started = []
    for _ in range(KEPT + 3):
        job = jobs.start(Job("a.csv", "default", patents(1)), FakeApi())
        wait_until(lambda job=job: not job.running)
        started.append(job)
    assert jobs.get(started[-1].id) is started[-1]
    assert jobs.get(started[0].id) is None
    assert jobs.get(None) is None
    assert jobs.get("guessed") is None
    assert len({job.id for job in started}) == len(started)


class Slow(FakeApi):
    """Manages one patent within its deadline."""

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        if len(patents) > 1:
            raise BUSY
        return super().classify(patents, model, **options)


def test_a_slow_model_is_asked_for_less_at_once():
    job = Job("a.csv", "default", patents(4))
    job.run(Slow())
    assert [result["id"] for result in job.results] == [f"EP{number}" for number in range(4)]
    assert not any(result["error"] for result in job.results)


class Broken(FakeApi):
    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        raise RuntimeError("a defect")


def test_a_defect_ends_a_job_and_is_in_the_log(caplog: pytest.LogCaptureFixture):
    job = Job("a.csv", "default", patents(4))
    job.run(Broken())
    assert not job.running
    assert job.stopped is not None
    assert job.stopped.startswith("Something broke")
    assert "a defect" in caplog.text


def test_too_many_files_at_once_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.jobs.MOST_RUNNING", 1)
    waiting = Trouble("away", "The service does not answer.", 30.0)
    jobs = Jobs()
    first = jobs.start(Job("a.csv", "default", patents(1)), FakeApi([waiting] * 9))
    with pytest.raises(Trouble, match="Other files are being"):
        jobs.start(Job("b.csv", "default", patents(1)), FakeApi())
    first.cancel()
    wait_until(lambda: not first.running)
    jobs.start(Job("b.csv", "default", patents(1)), FakeApi())
