"""The monitor over HTTP, on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import patent_rows
from helpers import wait_until
from patclass.monitoring.drift import SIGNALS
from patclass.store.database import Database, locate_store
from patclass.store.history import ALERT, EventStore
from service_process import Server, serving

ROUTE = "/v1/models/default/monitor"
PATENTS = [f"{row['title']}. {row['abstract']}" for row in patent_rows(96, seed=5)]
USUAL, ONE_SIDED = PATENTS[:60], PATENTS[2::3] * 2


@pytest.fixture
def running(exported: Path, tmp_path: Path) -> Iterator[Server]:
    flags = ("--model", exported, "--store", "store.db", "--window", 50)
    with serving(tmp_path, *flags) as server:
        yield server


@pytest.fixture
def client(running: Server) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


@pytest.fixture
def database(running: Server) -> Iterator[Database]:
    found = locate_store(running.log.parent / "store.db", {})
    yield found
    found.close()


def send(client: httpx.Client, patents: list[str]) -> list[dict[str, Any]]:
    response = client.post("/v1/classify", json={"patents": patents})
    assert response.status_code == 200
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_windows_metrics_and_alerts_follow_the_predictions(
    client: httpx.Client, running: Server, database: Database
):
    empty = client.get(ROUTE).json()
    assert (empty["monitored"], empty["window"], empty["answers"]) == (True, 50, 0)
    assert {each["name"]: each["title"] for each in empty["signals"]} == {
        name: signal.title for name, signal in SIGNALS.items()
    }
    assert all(each["description"] for each in empty["signals"])
    assert empty["windows"] == empty["alerts"] == []
    assert "patclass_drift_psi{" not in client.get("/metrics").text

    results = send(client, USUAL)
    feedback = {"prediction_id": results[-1]["prediction_id"], "correct": True}
    response = client.post("/v1/feedback", json=feedback, headers={"Idempotency-Key": "a-feedback"})
    assert response.status_code == 201
    wait_until(lambda: "patclass_drift_psi{" in client.get("/metrics").text)
    found = client.get(ROUTE).json()
    assert found["answers"] == len(USUAL)
    (window,) = found["windows"]
    assert window["rows"] == 50
    assert [shift["signal"] for shift in window["shifts"]] == list(SIGNALS)
    assert not any(shift["alert"] for shift in window["shifts"])
    assert window["accuracy"]["section"]["rows"] == 50
    assert list(window["accuracy"]) == list(found["accuracy"])
    assert sum(share["window"] for share in window["labels"]) == pytest.approx(1)
    assert found["alerts"] == []

    send(client, ONE_SIDED)
    alert_metric = 'patclass_drift_alert{model="default",signal="labels"} 1.0'
    wait_until(lambda: alert_metric in client.get("/metrics").text)
    found = client.get(ROUTE).json()
    assert len(found["windows"]) == 1 + (len(USUAL) + len(ONE_SIDED) - 50) // 12
    assert "labels" in found["alerts"][0]["signals"]
    events = EventStore(database).latest(ALERT)
    assert {event.version for event in events} == {found["model_version"]}
    logged_alerts = [line for line in running.lines() if line["event"] == "drift alert"]
    assert len(logged_alerts) == len(events) == len(found["alerts"])
    assert logged_alerts[0]["model"] == "default"
    assert [len(client.get(ROUTE, params={"windows": n}).json()["windows"]) for n in (1, 2)] == [
        *(1, 2)
    ]


@pytest.mark.parametrize("windows", ["0", "201", "x"])
def test_an_invalid_number_of_windows_is_refused(http: httpx.Client, windows: str):
    assert http.get(ROUTE, params={"windows": windows}).status_code == 422


def test_an_unknown_model_is_named(http: httpx.Client):
    response = http.get("/v1/models/nosuch/monitor")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_model"


def test_without_a_store_the_route_reports_it_and_predictions_continue(
    exported: Path, tmp_path: Path
):
    (tmp_path / "store.db").write_text("no database " * 100)
    flags = ("--model", exported, "--store", "store.db")
    with serving(tmp_path, *flags) as server, server.client() as client:
        response = client.get(ROUTE)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "not_stored"
        assert send(client, PATENTS[:1])
        wait_until(lambda: any(line["event"] == "drift not checked" for line in server.lines()))
