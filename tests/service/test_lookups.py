"""Patents that a request names by their number."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import patclass.service.lookups as module
from fake_offices import (
    ABSTRACT,
    SECRETS,
    TITLE,
    Answer,
    FakeOffice,
    exchange_document,
    fake_office,
    ops_biblio,
)
from patclass.core.errors import ConfigError, OfficeError
from patclass.offices.patent import OfficePatent
from patclass.offices.settings import PREFIX
from patclass.service.app import Service
from patclass.service.lookups import Found, Lookups
from patclass.service.metrics import Metrics
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings
from service_here import service_client

NUMBER = "EP1000000A1"


@pytest.fixture(scope="module")
def office() -> Iterator[FakeOffice]:
    with fake_office() as running:
        record = ops_biblio(exchange_document("EP", "1000000", "A1"))
        running.put_epo("docdb/EP.1000000.A1", "biblio", record)
        running.put_grant("11646472")
        yield running


@pytest.fixture(scope="module")
def client(
    office: FakeOffice, exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a service that looks numbers up."""
    folder = tmp_path_factory.mktemp("lookups")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in office.environment(folder / "cache").items():
            patch.setenv(name, value)
        limits = {"max_numbers": 3, "store": folder / "store.db", "log_texts": False}
        with service_client(exported, offices=True, **limits) as made:
            yield made


def classify(client: httpx.Client, *patents: object, **options: object) -> list[dict[str, Any]]:
    response = client.post("/v1/classify", json={"patents": list(patents)} | options)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_a_patent_is_classified_by_its_number(client: httpx.Client):
    by_number, by_text = classify(
        client,
        {"id": "mine", "number": "EP 1 000 000 A1"},
        {"title": TITLE, "abstract": ABSTRACT},
        explain=True,
    )
    assert by_number["patent"] == {
        "number": NUMBER,
        "office": "EPO",
        "title": TITLE,
        "abstract": ABSTRACT,
        "codes": ["D03C13/00"],
    }
    assert (by_number["id"], by_text["patent"]) == ("mine", None)
    for field in ("label", "text", "read_share"):
        assert by_number[field] == by_text[field]


def test_each_number_has_its_result_or_error_in_its_place(client: httpx.Client):
    results = classify(
        client,
        {"number": "US 11,646,472"},
        {"id": 7, "number": "11646472"},
        "A loom has a heald.",
        {"number": "USD930529S1"},
    )
    codes = [result["error"] and result["error"]["code"] for result in results]
    assert codes == [None, "number_invalid", None, "no_text"]
    assert results[0]["patent"]["number"] == "US11646472B2"
    assert results[1]["id"] == "7"
    assert "EP1000000A1" in results[1]["error"]["message"]


def test_a_number_that_no_office_has(client: httpx.Client):
    (result,) = classify(client, {"number": "EP9999999A1"})
    assert result["error"]["code"] == "unknown_number"


def test_a_number_with_a_text_of_its_own_is_refused(client: httpx.Client):
    (result,) = classify(client, {"number": NUMBER, "abstract": "A loom."})
    assert result["error"]["code"] == "number_invalid"
    assert "not both" in result["error"]["message"]


def test_numbers_in_a_request_are_bounded(client: httpx.Client):
    response = client.post("/v1/classify", json={"patents": [{"number": NUMBER}] * 4})
    assert response.status_code == 413
    assert "4 numbers in one request; at most 3" in response.json()["error"]["message"]


def test_look_ups_that_wait_are_bounded(client: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_WAITING", 0)
    (result,) = classify(client, {"number": NUMBER})
    assert result["error"]["code"] == "office_busy"


def test_a_slow_office_costs_no_more_than_the_deadline_and_blocks_nobody(
    client: httpx.Client, office: FakeOffice
):
    answer: list[dict[str, Any]] = []
    headers = {"X-Deadline-Ms": "3000"}
    body = {"patents": [{"number": "EP2000000A1"}, "A loom has a heald."]}

    def ask() -> None:
        response = client.post("/v1/classify", json=body, headers=headers)
        answer.append({"status": response.status_code} | response.json())

    with office.lock:  # it does not answer
        thread = threading.Thread(target=ask)
        began = time.monotonic()
        thread.start()
        assert client.post("/predict", json={"text": "A loom has a heald."}).status_code == 200
        thread.join(60)
        assert time.monotonic() - began < 30
    (reply,) = answer
    assert reply["status"] == 200
    slow, quick = reply["results"]
    assert slow["error"]["code"] in ("office_busy", "office_unavailable")
    assert quick["error"] is None


def test_look_ups_that_run_end_before_the_connections_are_closed(
    office: FakeOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in office.environment(tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    lookups = Lookups(ServiceSettings(offices=True), Metrics())
    numbers = [{"number": NUMBER}] * 8  # more than there are threads

    async def find() -> tuple[list[Found], list[Found]]:
        with office.lock:  # it does not answer yet
            running = asyncio.create_task(lookups.find(numbers, (), 30.0))
            await asyncio.sleep(0.5)
            closing = asyncio.create_task(asyncio.to_thread(lookups.close))
            await asyncio.sleep(0.1)
        await closing
        return await running, await lookups.find(numbers[:1], (), 30.0)

    found, late = asyncio.run(find())
    texts = [each for each in found if isinstance(each, OfficePatent)]
    problems = [each for each in (*found, *late) if isinstance(each, OfficeError)]
    assert (len(texts), len(problems)) == (4, 5)
    assert {(str(each), each.reason) for each in problems} == {
        ("the service is shutting down. Try again later.", "office_busy")
    }


def test_look_ups_are_counted(client: httpx.Client):
    classify(client, {"number": NUMBER}, {"number": "nothing"})
    metrics = client.get("/metrics").text
    assert 'patclass_lookups_total{outcome="found"}' in metrics
    assert 'patclass_lookups_total{outcome="number_invalid"}' in metrics
    assert 'patclass_stage_seconds_count{stage="look_up"}' in metrics


def test_the_service_says_that_it_looks_numbers_up(client: httpx.Client):
    assert client.get("/v1/models").json()["numbers"] is True


def test_no_text_and_no_key_is_logged(
    client: httpx.Client, office: FakeOffice, logged: pytest.LogCaptureFixture
):
    office.put_epo("docdb/EP.3000000.A1", "biblio", Answer(status=403))
    classify(client, {"number": NUMBER}, {"number": "EP3000000A1"})
    lines = [vars(record).get("facts") for record in logged.records]
    shown = json.dumps(lines, default=str) + logged.text
    assert '"lookups": 2' in shown
    for secret in (*SECRETS, ABSTRACT, TITLE):
        assert secret not in shown


def test_without_permission_a_number_is_an_error_in_its_place(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(f"{PREFIX}USPTO_KEY", "k")
    with service_client(exported, store=tmp_path / "store.db") as client:
        assert client.get("/v1/models").json()["numbers"] is False
        first, second = classify(client, {"number": NUMBER}, "A loom has a heald.")
    assert first["error"]["code"] == "office_unavailable"
    assert "does not look numbers up" in first["error"]["message"]
    assert second["error"] is None


def test_permission_without_keys_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch):
    for name in ("EPO_KEY", "EPO_SECRET", "USPTO_KEY"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    with pytest.raises(ConfigError, match="PATCLASS_OFFICES_USPTO_KEY"):
        Service(ServiceSettings(offices=True), Models({}))
