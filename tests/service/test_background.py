"""Background threads: periodic work, model reloading, shadow models and drift checks."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from helpers import wait_until
from monitoring_data import Stream
from patclass.bundle import read_bundle
from patclass.bundle.registry import Registry
from patclass.core.errors import BundleError, StoreError
from patclass.monitoring.monitor import Monitor
from patclass.service import background
from patclass.service import background as periodic_module
from patclass.service.background import DriftWatcher, ModelReloader, Periodic, Shadow
from patclass.service.metrics import Metrics
from patclass.store.database import Database, locate_store
from patclass.store.history import ALERT, EventStore
from patclass.store.predictions import PredictionStore, disagreement
from service_process import TEXT, serving
from store_rows import ID, prediction


def test_periodic_work_runs_until_closed():
    done, calls = threading.Event(), []

    def work() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            done.set()

    periodic = Periodic("again", 0.01, work)
    assert done.wait(60)
    periodic.close()
    count = len(calls)
    assert set(calls) == {"again"}
    assert "again" not in [thread.name for thread in threading.enumerate()]
    assert len(calls) == count


def test_closing_does_not_wait_for_long_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(periodic_module, "END_SECONDS", 0.05)
    started, resume = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        resume.wait(60)

    periodic = Periodic("long", 0.01, work)
    assert started.wait(60)
    periodic.close()
    assert "long" in [thread.name for thread in threading.enumerate()]
    resume.set()


def version(client: httpx.Client) -> str:
    return str(client.get("/v1/models").json()["models"][0]["version"])


def test_verified_champions_are_reloaded_and_no_request_fails(
    exported: Path, exported_flat: Path, tmp_path: Path
):
    registry = Registry(tmp_path / "models")
    first, damaged = registry.add(exported), registry.add(exported)
    second = registry.add(exported_flat)
    registry.promote(first.name)
    stop, statuses = threading.Event(), []
    with serving(tmp_path, "--model", registry.folder) as server, server.client() as client:

        def send_requests() -> None:
            with server.client() as own:
                while not stop.wait(0.01):
                    statuses.append(own.post("/predict", json={"text": TEXT}).status_code)

        def failures() -> int:
            return sum(line["event"] == "models not loaded" for line in server.lines())

        sender = threading.Thread(target=send_requests)
        sender.start()
        try:
            assert version(client) == read_bundle(first).fingerprint
            registry.promote(second.name)
            wait_until(lambda: version(client) == read_bundle(second).fingerprint)
            registry.roll_back(first.name)
            wait_until(lambda: version(client) == read_bundle(first).fingerprint)
            (damaged / "golden.json").write_text("{}")
            registry.promote(damaged.name)
            wait_until(lambda: failures() == 1)
            assert version(client) == read_bundle(first).fingerprint
            registry.promote(second.name)
            wait_until(lambda: version(client) == read_bundle(second).fingerprint)
            wait_until(lambda: len(statuses) > 10)
            assert failures() == 1  # it was not retried
        finally:
            stop.set()
            sender.join()
    assert set(statuses) == {200}


class MovedModels:
    """Models whose registry points to another folder."""

    ready = True
    place = Path("models/0002")

    def places(self) -> tuple[Path, ...]:
        return (self.place,)

    def loaded(self) -> tuple[object, ...]:
        return (SimpleNamespace(folder=Path("models/0001")),)


@pytest.mark.parametrize("problem", [BundleError("altered"), MemoryError()])
def test_a_model_that_cannot_be_loaded_is_tried_once_and_the_reloader_continues(problem: Exception):
    attempts: list[int] = []

    def load() -> None:
        attempts.append(1)
        raise problem

    models = MovedModels()
    follower = ModelReloader(models, load)  # type: ignore[arg-type]
    for _ in range(3):
        follower.check()
    assert attempts == [1]
    models.place = Path("models/0001")  # rolled back
    follower.check()
    models.place = Path("models/0002")  # and promoted again
    follower.check()
    follower.close()
    assert attempts == [1, 1]


@pytest.mark.parametrize("problem", [BundleError("altered"), None])
def test_a_reload_that_is_asked_for_often_happens_once(problem: Exception | None):
    attempts: list[int] = []

    def load() -> None:
        attempts.append(1)
        if problem is not None:
            raise problem

    models = MovedModels()
    models.place = Path("models/0001")
    reloader = ModelReloader(models, load)  # type: ignore[arg-type]
    models.ready = False
    for _ in range(100):
        reloader.ask()
    reloader.check()
    assert attempts == []  # the models are being loaded anyway
    models.ready = True
    reloader.check()
    reloader.check()
    reloader.close()
    assert attempts == [1]


class FailingClassifier:
    """A classifier that raises an unexpected error."""

    tree = SimpleNamespace(levels=("section",))

    def classify(self, texts: list[str], options: object) -> None:
        raise RuntimeError("no memory on the device")


def test_a_failing_shadow_continues_and_skips_its_own_predictions():
    metrics = Metrics()
    shadow = Shadow(None, metrics)  # type: ignore[arg-type]
    shadow.model = SimpleNamespace(version="v2", classifier=FailingClassifier())  # type: ignore[assignment]
    shadow.add([prediction(1), prediction(2, version="v2"), prediction(3)], ["a", "b", "c"])
    wait_until(lambda: metrics.shadow.labels("failed")._value.get() == 2)
    shadow.close()
    assert metrics.shadow.labels("left_out")._value.get() == 0


def test_a_shadow_candidate_is_compared_with_the_served_predictions(
    exported: Path, exported_flat: Path, tmp_path: Path
):
    flags = ("--model", exported, "--shadow", exported_flat, "--store", "store.db")
    with serving(tmp_path, *flags) as server, server.client() as client:
        for number in range(5):
            response = client.post("/predict", json={"text": f"{TEXT} {number}"})
            assert response.status_code == 200

        def compared() -> float:
            lines = client.get("/metrics").text.splitlines()
            found = [line for line in lines if line.startswith("patclass_shadow_predictions_total")]
            return sum(float(line.split()[-1]) for line in found)

        wait_until(lambda: compared() == 5)
        server.terminate()
    database = locate_store(tmp_path / "store.db", {})
    candidate = read_bundle(exported_flat).fingerprint
    store = PredictionStore(database)
    assert store.count() == 5
    assert store.count(candidate, shadow=True) == 5
    assert disagreement(database, candidate).rows == 5
    database.close()


WINDOW = 100


@dataclass
class FakeModels:
    """Stands in for ``Models``."""

    models: list[Any] = field(default_factory=list)
    checks: int = 0

    def loaded(self) -> tuple[Any, ...]:
        self.checks += 1
        return tuple(self.models)


def model(name: str = "default", version: str = "v1", monitored: bool = True) -> Any:
    reference = Stream().draw(2000, np.random.default_rng(0)).reference() if monitored else None
    bundle = SimpleNamespace(reference=reference)
    return SimpleNamespace(name=name, version=version, classifier=SimpleNamespace(bundle=bundle))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watcher(
    database: Database, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DriftWatcher]:
    """A watcher whose thread is asleep."""
    monkeypatch.setattr(background, "_DRIFT_SECONDS", 3600)
    found = DriftWatcher(Monitor(database, WINDOW), FakeModels(), metrics)  # type: ignore[arg-type]
    yield found
    found.close()


def store_predictions(database: Database, live: Stream, count: int) -> None:
    store = PredictionStore(database)
    before = store.count()
    rows = live.draw(count, np.random.default_rng(before)).rows()
    store.add([type(row)(**vars(row) | {"id": ID(before + n)}) for n, row in enumerate(rows)])


def drift_metrics(metrics: Metrics) -> str:
    lines = metrics.text().decode().splitlines()
    return "\n".join(line for line in lines if line.startswith(("patclass_drift", "patclass_acc")))


SHIFTED = Stream(sureness=1.0)


def test_usual_predictions_update_metrics_and_raise_no_alert(
    watcher: DriftWatcher, database: Database, metrics: Metrics
):
    store_predictions(database, Stream(), WINDOW)
    watcher.check(model())
    assert 'patclass_drift_alert{model="default",signal="labels"} 0.0' in drift_metrics(metrics)
    assert 'patclass_drift_psi{model="default",signal="novelty"}' in drift_metrics(metrics)
    assert 'patclass_accuracy{kind="estimated",level="section",model="default"}' in drift_metrics(
        metrics
    )
    assert "measured" not in drift_metrics(metrics)
    assert EventStore(database).latest(ALERT) == []


def test_every_window_since_the_last_check_raises_an_alert(
    watcher: DriftWatcher, database: Database, metrics: Metrics, logged: pytest.LogCaptureFixture
):
    store_predictions(database, Stream(), WINDOW)
    watcher.check(model())
    store_predictions(database, SHIFTED, 3 * WINDOW)
    store_predictions(database, Stream(), 4 * WINDOW)
    watcher.check(model())
    alerts = EventStore(database).latest(ALERT)
    assert len(alerts) >= 3 * 4 - 3
    logged_alerts = [record for record in logged.records if record.message == "drift alert"]
    assert len(logged_alerts) == len(alerts)
    assert "confidence" in logged_alerts[0].facts["signals"]
    assert 'patclass_drift_alert{model="default",signal="confidence"} 0.0' in drift_metrics(metrics)
    watcher.check(model())
    assert len(EventStore(database).latest(ALERT)) == len(alerts)


def test_predictions_that_arrive_during_a_check_are_covered_by_the_next(
    watcher: DriftWatcher, database: Database, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    series, end = Monitor.series, Monitor.end

    def end_with_new_predictions(monitor: Monitor, version: str) -> int:
        found = end(monitor, version)
        store_predictions(database, Stream(), monitor.step)
        return found

    def recorded_series(monitor: Monitor, *given: Any) -> list[Any]:
        found = series(monitor, *given)
        seen.extend(each.number for each in found)
        return found

    monkeypatch.setattr(Monitor, "end", end_with_new_predictions)
    monkeypatch.setattr(Monitor, "series", recorded_series)
    store_predictions(database, Stream(), WINDOW)
    for _ in range(4):
        watcher.check(model())
    assert seen == [100, 125, 150, 175]


def test_an_alert_that_could_not_be_stored_is_stored_at_the_next_check(
    watcher: DriftWatcher, database: Database, monkeypatch: pytest.MonkeyPatch
):
    def fail(*given: object) -> bool:
        raise StoreError("away")

    store_predictions(database, SHIFTED, WINDOW)
    with monkeypatch.context() as patched:
        patched.setattr(EventStore, "add", fail)
        with pytest.raises(StoreError):
            watcher.check(model())
    watcher.check(model())
    assert len(EventStore(database).latest(ALERT)) == 1


def test_two_names_of_one_model_both_have_metrics(
    watcher: DriftWatcher, database: Database, metrics: Metrics
):
    store_predictions(database, Stream(), WINDOW)
    watcher.check(model("first"))
    watcher.check(model("second"))
    for name in ("first", "second"):
        assert f'patclass_drift_alert{{model="{name}",signal="labels"}}' in drift_metrics(metrics)


@pytest.mark.parametrize("monitored", [True, False])
def test_metrics_of_an_old_version_are_cleared(
    watcher: DriftWatcher, database: Database, metrics: Metrics, monitored: bool
):
    store_predictions(database, SHIFTED, WINDOW)
    watcher.check(model())
    assert 'signal="confidence"} 1.0' in drift_metrics(metrics)
    watcher.check(model(version="v2", monitored=monitored))
    assert drift_metrics(metrics) == ""


def test_an_unexpected_error_is_logged_once_and_the_thread_continues(
    database: Database,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(background, "_DRIFT_SECONDS", 0.02)
    broken = SimpleNamespace(name="default", version="v1", classifier=None)
    models = FakeModels([broken])
    watcher = DriftWatcher(Monitor(database, WINDOW), models, metrics)  # type: ignore[arg-type]
    wait_until(lambda: models.checks > 5)
    (record,) = [each for each in logged.records if each.message == "drift not checked"]
    assert "AttributeError" in record.facts["reason"]
    store_predictions(database, Stream(), WINDOW)
    models.models = [model()]
    wait_until(lambda: drift_metrics(metrics))
    watcher.close()
