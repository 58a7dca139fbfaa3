"""Prometheus counters match the rows of the store exactly, even after an overload."""

import re
import threading
from pathlib import Path

import pytest

from helpers import full, wait_until
from patclass.store.database import VARIABLE, locate_store
from patclass.store.predictions import PredictionStore
from postgres import Postgres
from service_process import TEXT, Server, serving

CALLERS = 12
REQUESTS = full(8, 25)
QUEUE = 200  # tokens: two requests
WAITING = "patclass_recording_predictions"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new_database()


def counter_value(text: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def overload(server: Server) -> list[int]:
    """Send more than can be processed in time; return the statuses of all responses."""
    statuses: list[int] = []
    text = " ".join([TEXT] * 8)

    def call() -> None:
        with server.client(headers={"X-Deadline-Ms": "150"}) as client:
            for _ in range(REQUESTS):
                body = {"patents": [text] * 3}
                statuses.append(client.post("/v1/classify", json=body).status_code)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    # Callers may be too slow to be refused, or too fast to succeed: the last two requests are one
    # that is refused for certain, and one that succeeds.
    with server.client() as client:

        def refused() -> bool:
            body, hurry = {"patents": [text] * 3}, {"X-Deadline-Ms": "1"}
            statuses.append(client.post("/v1/classify", json=body, headers=hurry).status_code)
            return statuses[-1] == 429

        wait_until(refused)
        statuses.append(client.post("/predict", json={"text": TEXT}).status_code)
    return statuses


def test_counters_match_stored_rows_after_overload(exported: Path, tmp_path: Path, url: str):
    flags = ("--model", exported, "--queue-tokens", QUEUE)
    environment = {VARIABLE: url}
    with serving(tmp_path, *flags, environment=environment) as server, server.client() as client:
        statuses = overload(server)
        wait_until(lambda: not counter_value(client.get("/metrics").text, WAITING))
        metrics = client.get("/metrics").text
        server.terminate()
    database = locate_store(None, {VARIABLE: url})
    rows = PredictionStore(database).count()
    database.close()
    assert statuses.count(200) > 0
    assert statuses.count(429) > 0
    assert statuses[-2:] == [429, 200]
    assert rows == 3 * statuses[:-1].count(200) + 1
    assert rows == counter_value(metrics, "patclass_predictions_total")
    assert rows == counter_value(metrics, "patclass_recorded_predictions_total")
    assert rows == counter_value(metrics, "patclass_confidence_count")
