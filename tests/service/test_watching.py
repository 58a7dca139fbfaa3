"""The thread that looks at new windows, with models of which only the reference is there."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitoring_data import Stream
from patclass.errors import StoreError
from patclass.monitoring.monitor import Monitor
from patclass.service import watching
from patclass.service.logs import LOGGER
from patclass.service.metrics import Metrics
from patclass.service.watching import Watcher
from patclass.store.database import Database, locate_store
from patclass.store.events import ALARM, EventStore
from patclass.store.predictions import PredictionStore
from store_rows import ID

WINDOW = 100


@dataclass
class Loaded:
    """Stands in for ``Models``."""

    models: list[Any] = field(default_factory=list)

    def loaded(self) -> tuple[Any, ...]:
        return tuple(self.models)


def model(name: str = "default", version: str = "v1", watched: bool = True) -> Any:
    reference = Stream().draw(2000, np.random.default_rng(0)).reference() if watched else None
    bundle = SimpleNamespace(reference=reference)
    return SimpleNamespace(name=name, version=version, classifier=SimpleNamespace(bundle=bundle))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = locate_store(tmp_path / "store.db", {})
    yield found
    found.close()


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger(LOGGER), "propagate", True)
    monkeypatch.setattr(logging.getLogger(LOGGER), "disabled", False)
    caplog.set_level(logging.INFO, LOGGER)
    return caplog


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watcher(
    database: Database, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watcher]:
    """One whose thread is asleep."""
    monkeypatch.setattr(watching, "_SECONDS", 3600)
    found = Watcher(Monitor(database, WINDOW), Loaded(), metrics)  # type: ignore[arg-type]
    yield found
    found.close()


def keep(database: Database, live: Stream, count: int) -> None:
    store = PredictionStore(database)
    before = store.count()
    rows = live.draw(count, np.random.default_rng(before)).rows()
    store.add([type(row)(**vars(row) | {"id": ID(before + n)}) for n, row in enumerate(rows)])


def shown(metrics: Metrics) -> str:
    lines = metrics.text().decode().splitlines()
    return "\n".join(line for line in lines if line.startswith(("patclass_drift", "patclass_acc")))


ODD = Stream(sureness=1.0)


def test_usual_answers_are_shown_and_do_not_ring(
    watcher: Watcher, database: Database, metrics: Metrics
):
    keep(database, Stream(), WINDOW)
    watcher.look(model())
    assert 'patclass_drift_alarm{model="default",signal="labels"} 0.0' in shown(metrics)
    assert 'patclass_drift_psi{model="default",signal="distance"}' in shown(metrics)
    assert 'patclass_accuracy{kind="estimated",level="section",model="default"}' in shown(metrics)
    assert "measured" not in shown(metrics)
    assert EventStore(database).latest(ALARM) == []


def test_every_window_since_the_last_look_rings(
    watcher: Watcher, database: Database, metrics: Metrics, logged: pytest.LogCaptureFixture
):
    keep(database, Stream(), WINDOW)
    watcher.look(model())
    keep(database, ODD, 3 * WINDOW)
    keep(database, Stream(), 4 * WINDOW)
    watcher.look(model())
    rung = EventStore(database).latest(ALARM)
    assert len(rung) >= 3 * 4 - 3
    told = [record for record in logged.records if record.message == "answers have shifted"]
    assert len(told) == len(rung)
    assert "confidence" in told[0].facts["signals"]
    assert 'patclass_drift_alarm{model="default",signal="confidence"} 0.0' in shown(metrics)
    watcher.look(model())
    assert len(EventStore(database).latest(ALARM)) == len(rung)


def test_answers_that_come_during_a_look_are_looked_at_in_the_next(
    watcher: Watcher, database: Database, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    series, end = Monitor.series, Monitor.end

    def meanwhile(monitor: Monitor, version: str) -> int:
        found = end(monitor, version)
        keep(database, Stream(), monitor.step)
        return found

    def watched(monitor: Monitor, *given: Any) -> list[Any]:
        found = series(monitor, *given)
        seen.extend(each.number for each in found)
        return found

    monkeypatch.setattr(Monitor, "end", meanwhile)
    monkeypatch.setattr(Monitor, "series", watched)
    keep(database, Stream(), WINDOW)
    for _ in range(4):
        watcher.look(model())
    assert seen == [100, 125, 150, 175]


def test_an_alarm_that_could_not_be_kept_is_kept_at_the_next_look(
    watcher: Watcher, database: Database, monkeypatch: pytest.MonkeyPatch
):
    def away(*given: object) -> bool:
        raise StoreError("away")

    keep(database, ODD, WINDOW)
    with monkeypatch.context() as patched:
        patched.setattr(EventStore, "add", away)
        with pytest.raises(StoreError):
            watcher.look(model())
    watcher.look(model())
    assert len(EventStore(database).latest(ALARM)) == 1


def test_two_names_of_one_model_are_both_shown(
    watcher: Watcher, database: Database, metrics: Metrics
):
    keep(database, Stream(), WINDOW)
    watcher.look(model("first"))
    watcher.look(model("second"))
    for name in ("first", "second"):
        assert f'patclass_drift_alarm{{model="{name}",signal="labels"}}' in shown(metrics)


@pytest.mark.parametrize("watched", [True, False])
def test_what_was_said_of_an_old_model_is_not_said_of_the_new_one(
    watcher: Watcher, database: Database, metrics: Metrics, watched: bool
):
    keep(database, ODD, WINDOW)
    watcher.look(model())
    assert 'signal="confidence"} 1.0' in shown(metrics)
    watcher.look(model(version="v2", watched=watched))
    assert shown(metrics) == ""


def test_whatever_goes_wrong_is_said_once_and_the_thread_goes_on(
    database: Database,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(watching, "_SECONDS", 0.02)
    broken = SimpleNamespace(name="default", version="v1", classifier=None)
    models = Loaded([broken])
    watcher = Watcher(Monitor(database, WINDOW), models, metrics)  # type: ignore[arg-type]
    time.sleep(0.3)
    (record,) = [each for each in logged.records if each.message == "answers not watched"]
    assert "AttributeError" in record.facts["reason"]
    keep(database, Stream(), WINDOW)
    models.models = [model()]
    end = time.monotonic() + 10
    while not shown(metrics) and time.monotonic() < end:
        time.sleep(0.02)
    watcher.close()
    assert shown(metrics)
