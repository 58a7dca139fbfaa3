"""Requests made to stop the service: each is refused before it costs anything."""

import json
import logging
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from patclass.service import routes
from patclass.service.logs import LOGGER
from patclass.service.settings import ServiceSettings
from service_here import service_client

TEXT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."
LIMIT = ServiceSettings().max_body_bytes
PYTHON = re.compile(r"\b(dict\b|list\[|union\[|Patent\b|sys\.|int\b|Traceback)")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def http(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    store = tmp_path_factory.mktemp("store") / "store.db"
    with service_client(exported, store=store) as client:
        yield client


def error_of(response: Any, status: int) -> tuple[str, str]:
    assert response.status_code == status, response.text[:1000]
    error = response.json()["error"]
    assert PYTHON.search(error["message"]) is None
    assert len(error["message"]) < 300
    return error["code"], error["message"]


def patents(item: str) -> str:
    """A body with as many patents as fit into it."""
    return '{"patents": [' + ",".join([item] * ((LIMIT - 20) // (len(item) + 1))) + "]}"


@pytest.mark.parametrize("item", ["0", "{}", "[]", '"a"', "null"])
def test_patents_by_the_million_are_refused_before_they_are_read(http: TestClient, item: str):
    body = patents(item)
    tracemalloc.start()
    try:
        response = http.post("/v1/classify", content=body, headers=JSON)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()
    code, message = error_of(response, 413)
    assert code == "body_too_large"
    assert "64,000 values" in message


def test_patents_beyond_the_limit_are_counted_before_any_is_read(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(routes, "patent_of", None)
    response = http.post("/v1/classify", json={"patents": [0] * 60_000})
    assert error_of(response, 413)[0] == "request_too_large"


@pytest.mark.parametrize("path", ["/predict", "/v1/classify", "/v1/feedback", "/v1/reviews/claim"])
@pytest.mark.parametrize("count", [60_000, 100_000])
def test_unknown_keys_by_the_thousand_get_one_short_answer(http: TestClient, path: str, count: int):
    body = {f"k{number}": 1 for number in range(count)}
    response = http.post(path, json=body, headers={"Idempotency-Key": "feedback-1"})
    code, message = error_of(response, 422 if count < 64_000 else 413)
    assert code == ("invalid" if count < 64_000 else "body_too_large")
    assert f"{count}" in message or "64,000" in message


def test_a_patent_with_thousands_of_keys_has_its_error_in_its_place(http: TestClient):
    body = {"patents": [{f"k{number}": 1 for number in range(50_000)}, TEXT]}
    response = http.post("/v1/classify", json=body)
    refused, answered = response.json()["results"]
    assert refused["error"] == {
        "code": "invalid",
        "message": "expected at most 100 fields, not 50000",
    }
    assert answered["label"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "expected a JSON object with named fields"),
        (None, "expected a JSON object with named fields"),
        (True, "expected a JSON object with named fields"),
        ([TEXT], "expected a JSON object with named fields"),
        ({"text": TEXT, "more": 1}, "more: unknown field"),
        ({"id": ["a"]}, "id: input should be a valid string"),
        ({"title": True}, "title: not a text but a value of type bool"),
        ({"claims": [{"a": 1}]}, "claims: not a text but a record of a"),
    ],
    ids=str,
)
def test_a_patent_that_cannot_be_used_has_its_error_in_its_place(
    http: TestClient, value: object, message: str
):
    response = http.post("/v1/classify", json={"patents": [TEXT, value, {"id": 7, "text": [TEXT]}]})
    assert response.status_code == 200
    first, refused, last = response.json()["results"]
    assert refused["error"]["code"] == "invalid"
    assert message in refused["error"]["message"]
    assert first["label"] == last["label"]
    assert last["id"] == "7"


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_deep_nesting_is_refused(http: TestClient, opening: str):
    for body in (opening * 1000, '{"patents": [' + opening * 950 + '"a"'):
        response = http.post("/v1/classify", content=body, headers=JSON)
        assert error_of(response, 400) == (
            "bad_request",
            "POST /v1/classify: the body is nested more than 950 deep",
        )


def test_a_body_in_another_encoding_cannot_hide_its_values(http: TestClient):
    body = json.dumps({"text": TEXT})
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        response = http.post("/predict", content=body.encode(encoding), headers=JSON)
        assert "utf-8" in error_of(response, 400)[1]
    assert http.post("/predict", content=body.encode("utf-8-sig"), headers=JSON).is_success


@pytest.mark.parametrize("field", ["model", "level"])
def test_no_answer_repeats_a_long_value(http: TestClient, field: str):
    response = http.post("/v1/classify", json={"patents": TEXT, field: "m" * 1_000_000})
    assert error_of(response, 422)[0] == "invalid"


@pytest.mark.parametrize("path", ["/predict", "/v1/classify", "/v1/feedback"])
def test_no_answer_repeats_a_long_name(http: TestClient, path: str):
    body = {"text": TEXT, "patents": TEXT, "k" * 1_000_000: 1}
    response = http.post(path, json=body, headers={"Idempotency-Key": "feedback-1"})
    assert error_of(response, 422)[0] == "invalid"


@pytest.mark.parametrize("field", ["k", "threshold", "coverage", "explain", "level", "model"])
@pytest.mark.parametrize("value", ["9" * 4000, "-" + "9" * 4000, "1e999", "[]", "{}"])
def test_an_enormous_number_is_an_invalid_field(http: TestClient, field: str, value: str):
    body = f'{{"patents": "a", "{field}": {value}}}'
    code, message = error_of(http.post("/v1/classify", content=body, headers=JSON), 422)
    assert code == "invalid"
    assert field in message


@pytest.mark.parametrize("digits", [7, 5000])
def test_a_number_with_many_digits_is_an_invalid_deadline(http: TestClient, digits: int):
    headers = {"X-Deadline-Ms": "9" * digits}
    code, message = error_of(http.post("/predict", json={"text": TEXT}, headers=headers), 422)
    assert code == "invalid"
    assert message == "header.X-Deadline-Ms: expected 1 to 600000 milliseconds"


def test_a_content_length_with_many_digits_is_too_large(http: TestClient):
    response = http.post("/predict", content=b"{}", headers=JSON | {"Content-Length": "9" * 5000})
    assert error_of(response, 413)[0] == "body_too_large"


def test_a_text_of_feedback_is_bounded_as_any_text(http: TestClient):
    prediction = http.post("/predict", json={"text": TEXT}).json()["prediction_id"]
    body = {"prediction_id": prediction, "correct": True}
    most = ServiceSettings().max_chars
    for text, status in ((TEXT + " " * most, 422), (TEXT + " " * (most - len(TEXT)), 201)):
        headers = {"Idempotency-Key": "feedback-of-a-text"}
        response = http.post("/v1/feedback", json=body | {"text": text}, headers=headers)
        assert response.status_code == status
    code, message = error_of(
        http.post(
            "/v1/feedback",
            json=body | {"text": TEXT * 10_000},
            headers={"Idempotency-Key": "feedback-too-long"},
        ),
        422,
    )
    assert code == "text_invalid"
    assert f"at most {most:,} are accepted" in message


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/docs", "/openapi.json", "/nosuch"])
def test_head_is_answered_as_get(http: TestClient, path: str):
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert head.content == b""
    assert http.head("/predict").status_code == 405


def test_the_log_keeps_no_long_path(http: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, LOGGER)
    assert http.get("/" + "p" * 50_000).status_code == 404
    (path,) = (record.facts["path"] for record in caplog.records if record.msg == "request")
    assert path == "/" + "p" * 199
