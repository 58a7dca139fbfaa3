"""Store operations outside the event loop."""

import threading
from collections.abc import Sequence

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from helpers import wait_until
from patclass.core.errors import StoreError
from patclass.service import storage
from patclass.service.errors import install
from patclass.service.metrics import Metrics
from patclass.service.storage import Recorder, in_store, store_threads
from patclass.store.database import Database, RowError
from patclass.store.predictions import PredictionRow, PredictionStore
from store_rows import ID, prediction


def test_the_store_has_threads_of_its_own():
    """A hanging store blocks its own threads, and not those that encode long texts."""
    app = FastAPI()
    app.state.store_threads = store_threads()

    @app.get("/")
    async def where(request: Request, word: str) -> list[str]:
        return await in_store(request, lambda value: [value, threading.current_thread().name], word)

    response = TestClient(app).get("/", params={"word": "here"}).json()
    app.state.store_threads.shutdown()
    assert response[0] == "here"
    assert response[1].startswith("store")


def test_a_request_to_a_hanging_store_times_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storage, "TIMEOUT_SECONDS", 0.1)
    app, resume = FastAPI(), threading.Event()
    app.state.store_threads = store_threads()
    install(app)

    @app.get("/")
    async def hang(request: Request) -> bool:
        return await in_store(request, resume.wait, 60)

    response = TestClient(app).get("/")
    resume.set()
    app.state.store_threads.shutdown()
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "not_stored"


class FlakyStore(PredictionStore):
    """A store that can be unavailable."""

    unavailable = False
    blocked = False
    attempts = 0

    def add(self, rows: Sequence[PredictionRow]) -> None:
        self.attempts += 1
        wait_until(lambda: not self.blocked)
        if self.unavailable:
            raise StoreError("away")
        super().add(rows)


def outcome(metrics: Metrics, name: str) -> float:
    return metrics.recorded.labels(name)._value.get()


def test_rows_are_written_promptly_and_on_close(database: Database):
    store, metrics = PredictionStore(database), Metrics()
    recorder = Recorder(store, metrics)
    recorder.add([prediction(1), prediction(2)])
    wait_until(lambda: store.count() == 2)
    recorder.add([prediction(3)])
    recorder.close()
    assert store.count() == outcome(metrics, "stored") == 3
    assert outcome(metrics, "dropped") == 0


def test_a_prediction_can_be_found_before_it_is_written(database: Database):
    store = FlakyStore(database)
    store.blocked = True
    recorder = Recorder(store, Metrics())
    recorder.add([prediction(1)])
    assert recorder.find(ID(1)) == prediction(1)
    assert recorder.find(ID(2)) is None
    store.blocked = False
    recorder.close()
    assert recorder.find(ID(1)) == prediction(1)


def test_rows_wait_while_the_store_is_unavailable(database: Database):
    store, metrics = FlakyStore(database), Metrics()
    store.unavailable = True
    recorder = Recorder(store, metrics)
    recorder.add([prediction(n) for n in range(10)])
    wait_until(lambda: store.attempts > 1)
    assert outcome(metrics, "stored") == outcome(metrics, "dropped") == 0
    store.unavailable = False
    wait_until(lambda: store.count() == 10)
    recorder.close()
    assert outcome(metrics, "stored") == 10


class RejectingStore(PredictionStore):
    """A store that rejects some texts, as PostgreSQL does."""

    def add(self, rows: Sequence[PredictionRow]) -> None:
        if any(row.text == "poison" for row in rows):
            raise RowError("a value that is never taken")
        super().add(rows)


def test_a_row_that_cannot_be_stored_does_not_block_others(database: Database):
    store, metrics = RejectingStore(database), Metrics()
    recorder = Recorder(store, metrics)
    recorder.add([prediction(1), prediction(2, text="poison"), prediction(3)])
    wait_until(lambda: outcome(metrics, "dropped") == 1)
    recorder.close()
    assert [row.id for row in store.latest("v1", 9)] == [ID(1), ID(3)]
    assert outcome(metrics, "stored") == 2


def test_rows_over_the_limit_are_dropped_and_counted(database: Database):
    store, metrics = FlakyStore(database), Metrics()
    store.blocked = True
    recorder = Recorder(store, metrics, max_waiting=5)
    recorder.add([prediction(n) for n in range(8)])
    recorder.add([prediction(8)])
    assert outcome(metrics, "dropped") == 4
    store.blocked = False
    recorder.close()
    assert store.count() == outcome(metrics, "stored") == 5


def test_texts_over_the_limit_are_dropped_and_counted(database: Database):
    store, metrics = FlakyStore(database), Metrics()
    store.blocked = True
    recorder = Recorder(store, metrics, max_chars=10)
    recorder.add([prediction(n, text="letters") for n in range(3)])
    assert metrics.texts_dropped._value.get() == 2
    store.blocked = False
    wait_until(lambda: outcome(metrics, "stored") == 3)
    recorder.add([prediction(3, text="letters")])  # there is capacity again
    recorder.close()
    texts = [row.text for row in store.latest("v1", 9)]
    assert texts == ["letters", None, None, "letters"]


class FailingStore(FlakyStore):
    """A store that raises an unexpected error."""

    def add(self, rows: Sequence[PredictionRow]) -> None:
        self.attempts += self.unavailable
        if self.unavailable:
            raise MemoryError
        super().add(rows)


def test_rows_wait_after_any_error(database: Database):
    store = FailingStore(database)
    store.unavailable = True
    recorder = Recorder(store, Metrics())
    recorder.add([prediction(1)])
    wait_until(lambda: store.attempts > 1)
    store.unavailable = False
    wait_until(lambda: store.count() == 1)
    recorder.close()


def test_rows_that_cannot_be_written_on_close_are_counted(database: Database):
    store, metrics = FlakyStore(database), Metrics()
    store.unavailable = True
    recorder = Recorder(store, metrics)
    recorder.add([prediction(n) for n in range(3)])
    recorder.close()  # which does not wait for the store indefinitely
    assert outcome(metrics, "dropped") == 3
