"""Batch jobs."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from fake_service import FakeApi
from helpers import wait_until
from patclass.ui.client import PageError, Patent, Result
from patclass.ui.jobs import CHUNK, MAX_JOBS, BatchJob, BatchJobs

BUSY = PageError("busy", "Try again in 0 s.", 0.01)


def patents(count: int) -> list[dict[str, str | None]]:
    return [{"id": f"EP{number}", "text": "A loom."} for number in range(count)]


def test_all_patents_are_classified_in_order():
    job = BatchJob("a.csv", "default", patents(2 * CHUNK + 3))
    job.run(FakeApi())
    assert [result["id"] for result in job.results] == [f"EP{n}" for n in range(2 * CHUNK + 3)]
    assert "neighbours" not in job.results[0]
    assert not job.running
    assert job.stop_reason is None


def test_an_unreadable_row_fails_in_place():
    job = BatchJob("a.csv", "default", [*patents(1), "undecodable: not UTF-8", *patents(1)])
    job.run(FakeApi())
    assert [result["error"] for result in job.results] == [
        None,
        {"code": "unreadable", "message": "undecodable: not UTF-8"},
        None,
    ]
    assert job.results[1]["id"] == "2"


def test_a_busy_or_unavailable_service_is_retried():
    job = BatchJob("a.csv", "default", patents(3))
    api = FakeApi([BUSY, PageError("unavailable", "The service is not responding.", 0.01), BUSY])
    job.run(api)
    assert job.done == 3
    assert job.waiting_for is None
    assert job.waited > 0.02
    assert job.patents == ()


def test_a_permanent_error_stops_the_job():
    job = BatchJob("a.csv", "default", patents(3))
    job.run(FakeApi([PageError("access_key", "The access key is invalid.")]))
    assert job.stop_reason == "The access key is invalid."
    assert job.done == 0


def test_retries_are_limited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.jobs.MAX_WAIT", 0.0)
    job = BatchJob("a.csv", "default", patents(3))
    job.run(FakeApi([BUSY] * 9))
    assert job.stop_reason == BUSY.message


class LimitedApi(FakeApi):
    """Accepts two patents at a time, and none with the id EP3."""

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        if len(patents) > 2 or any(patent["id"] == "EP3" for patent in patents):
            raise PageError("too_large", "The text exceeds the size limit.")
        return super().classify(patents, model, **options)


def test_a_batch_that_is_too_large_is_divided_or_fails_alone():
    job = BatchJob("a.csv", "default", patents(7))
    job.run(LimitedApi())
    assert [result["id"] for result in job.results] == [f"EP{number}" for number in range(7)]
    assert [result["id"] for result in job.results if result["error"]] == ["EP3"]


def test_a_job_can_be_stopped_while_it_waits():
    job = BatchJob("a.csv", "default", patents(3))
    waiting = PageError("unavailable", "The service is not responding.", 30.0)
    thread = threading.Thread(target=job.run, args=(FakeApi([waiting] * 9),))
    thread.start()
    wait_until(lambda: job.waiting_for is not None)
    job.cancel()
    thread.join(60)
    assert job.stop_reason == "Cancelled."


def test_the_time_left_is_estimated_once_rows_are_done():
    job = BatchJob("a.csv", "default", patents(4))
    assert job.seconds_left is None
    job.started -= 10
    job.results += [{}, {}]
    assert job.seconds_left == pytest.approx(10, abs=0.5)


def test_jobs_are_found_by_id_and_old_ones_are_evicted():
    jobs = BatchJobs()
    started = []
    for _ in range(MAX_JOBS + 3):
        job = jobs.start(BatchJob("a.csv", "default", patents(1)), FakeApi())
        wait_until(lambda job=job: not job.running)
        started.append(job)
    assert jobs.get(started[-1].id) is started[-1]
    assert jobs.get(started[0].id) is None
    assert jobs.get(None) is None
    assert jobs.get("guessed") is None
    assert len({job.id for job in started}) == len(started)


class SlowApi(FakeApi):
    """Meets its deadline only for a single patent."""

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        if len(patents) > 1:
            raise BUSY
        return super().classify(patents, model, **options)


def test_a_slow_model_gets_smaller_batches():
    job = BatchJob("a.csv", "default", patents(4))
    job.run(SlowApi())
    assert [result["id"] for result in job.results] == [f"EP{number}" for number in range(4)]
    assert not any(result["error"] for result in job.results)


class BrokenApi(FakeApi):
    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        raise RuntimeError("a defect")


def test_an_unexpected_error_fails_a_job_and_is_logged(caplog: pytest.LogCaptureFixture):
    job = BatchJob("a.csv", "default", patents(4))
    job.run(BrokenApi())
    assert not job.running
    assert job.stop_reason is not None
    assert job.stop_reason.startswith("An internal error")
    assert "a defect" in caplog.text


def test_too_many_files_at_once_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.jobs.MAX_RUNNING", 1)
    waiting = PageError("unavailable", "The service is not responding.", 30.0)
    jobs = BatchJobs()
    first = jobs.start(BatchJob("a.csv", "default", patents(1)), FakeApi([waiting] * 9))
    with pytest.raises(PageError, match="Too many files are being"):
        jobs.start(BatchJob("b.csv", "default", patents(1)), FakeApi())
    first.cancel()
    wait_until(lambda: not first.running)
    jobs.start(BatchJob("b.csv", "default", patents(1)), FakeApi())
