"""One format for every error response, whatever the cause."""

import json
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import unquote

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from starlette.testclient import TestClient

from patclass.service.app import Service, create_app
from patclass.service.errors import ApiError, Code, documented, install
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings
from service_process import TEXT, Server

LIMIT = ServiceSettings().max_body_bytes


def problem_of(response: Any, status: int) -> tuple[str, str]:
    """The code and the message of a response in the error format."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    body = response.json()
    assert body.keys() == {"error", "request_id"}
    assert body["error"].keys() == {"code", "message"}
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["error"]["code"] in get_args(Code)
    return body["error"]["code"], body["error"]["message"]


def predict(http: httpx.Client, content: str | bytes) -> httpx.Response:
    return http.post("/predict", content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/"), ("GET", "/nosuch"), ("GET", "/v1"), ("GET", "/v1/classify/more")),
        *(("GET", "/docs/nosuch"), ("GET", "/docs/a/b"), ("GET", "/%F0%9F%90%98")),
        *(("POST", "/"), ("POST", "/v1"), ("POST", "/v2/classify"), ("DELETE", "/nosuch")),
    ],
)
def test_an_unknown_route_is_not_found(http: httpx.Client, method: str, path: str):
    code, message = problem_of(http.request(method, path), 404)
    assert code == "not_found"
    assert unquote(path)[1:] in message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("DELETE", "/v1/classify", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("GET", "/v1/models/reload", "POST"),
        ("PUT", "/livez", "GET, HEAD"),
        ("OPTIONS", "/predict", "POST"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
def test_an_unsupported_method_is_refused(http: httpx.Client, method: str, path: str, allowed: str):
    response = http.request(method, path)
    code, message = problem_of(response, 405)
    assert code == "method_not_allowed"
    assert f"{method} {path}" in message
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "content",
    [
        *('{"text":', "text", "{'text': 'x'}", '{"text": "a" "b"}', '{"text": "\x01"}'),
        *(b'{"text": "\xff"}', "[" * 100_000, '{"text": ' + "9" * 5_000 + "}"),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_body_that_is_not_json_is_refused(http: httpx.Client, content: str | bytes):
    assert problem_of(predict(http, content), 400)[0] == "bad_request"


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/predict", {}, "body.text: field required"),
        ("/predict", {"text": TEXT, "level": "class"}, "body.level: extra inputs"),
        ("/predict", {"text": None}, "body.text: input should be a valid string"),
        ("/predict", {"text": 5}, "body.text: input should be a valid string"),
        ("/predict", {"text": [TEXT]}, "body.text: input should be a valid string"),
        ("/predict", [], "body: expected a JSON object with named fields"),
        ("/predict", None, "body: field required"),
        ("/predict", TEXT, "body: expected a JSON object with named fields"),
        ("/v1/classify", {}, "body.patents: field required"),
        ("/v1/classify", {"patent": TEXT}, "body.patents: field required"),
        ("/v1/classify", {"patents": 5}, "body.patents: expected a text, a patent, or a list"),
        ("/v1/classify", {"patents": None}, "body.patents: expected a text, a patent, or a list"),
        ("/v1/classify", {"patents": [], "model": 5}, "body.model: input should be a valid string"),
        ("/v1/classify", {"patents": TEXT, "k": 0}, "body.k: input should be greater"),
        ("/v1/classify", {"patents": TEXT, "k": 101}, "body.k: input should be less"),
        ("/v1/classify", {"patents": TEXT, "k": "3"}, "body.k: input should be a valid integer"),
        ("/v1/classify", {"patents": TEXT, "k": True}, "body.k: input should be a valid integer"),
        ("/v1/classify", {"patents": TEXT, "threshold": 1.01}, "body.threshold: input should be"),
        ("/v1/classify", {"patents": TEXT, "threshold": False}, "body.threshold: input should be"),
        (
            "/v1/classify",
            {"patents": TEXT, "coverage": 1},
            "body.coverage: input should be less than 1",
        ),
        (
            "/v1/classify",
            {"patents": TEXT, "coverage": 0},
            "body.coverage: input should be greater than 0",
        ),
        ("/v1/classify", {"patents": TEXT, "explain": "no"}, "body.explain: input should be a"),
        (
            "/v1/classify",
            {"patents": TEXT, "level": "group"},
            "group: this model has section, class",
        ),
        ("/v1/classify", {"patents": TEXT, "level": ""}, ": this model has section, class"),
        ("/v1/classify", {"patents": TEXT, "coverage": 0.999}, "ask for at most"),
    ],
    ids=str,
)
def test_an_invalid_field_is_named(http: httpx.Client, path: str, body: object, named: str):
    code, message = problem_of(http.post(path, json=body), 422)
    assert code == "invalid"
    assert named in message
    assert "\n" not in message


@pytest.mark.parametrize("path", ["/predict", "/v1/classify", "/v1/feedback", "/v1/reviews/claim"])
@pytest.mark.parametrize("sent", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_body_that_is_not_sent_as_json_names_the_header(
    http: httpx.Client, path: str, sent: str | None
):
    headers = {"Idempotency-Key": "k"} | ({} if sent is None else {"Content-Type": sent})
    response = http.post(path, content=json.dumps({"text": TEXT}), headers=headers)
    code, message = problem_of(response, 415)
    assert code == "not_json"
    assert "Content-Type: application/json" in message
    assert (sent or "without a type") in message


def test_a_path_to_an_error_names_fields_and_positions_only():
    class Part(BaseModel):
        size: int

    app = FastAPI()
    install(app)

    @app.post("/parts")
    def parts(body: dict[str, list[Part | int]]) -> None: ...

    response = TestClient(app).post("/parts", json={"few": [1, {"size": "x"}]})
    assert response.json()["error"]["message"].startswith("body.few.1.size: input should be")
    response = TestClient(app).post("/parts", json={"few": [{}]})
    assert response.json()["error"]["message"] == "body.few.0.size: field required"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_refused(http: httpx.Client, number: str):
    body = f'{{"patents": "{TEXT}", "threshold": {number}}}'
    response = http.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    code, message = problem_of(response, 422)
    assert code == "invalid"
    assert "threshold" in message


@pytest.mark.parametrize("value", ["0", "600001", "-1", "soon", "1.5", "null", "1_0", "", "9" * 99])
def test_an_invalid_deadline_is_named(http: httpx.Client, value: str):
    response = http.post("/predict", json={"text": TEXT}, headers={"X-Deadline-Ms": value})
    code, message = problem_of(response, 422)
    assert code == "invalid"
    assert "X-Deadline-Ms: " in message


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2003"])
def test_a_text_without_words_is_refused(http: httpx.Client, text: str):
    code, message = problem_of(http.post("/predict", json={"text": text}), 422)
    assert code == "text_invalid"
    assert "no text" in message


def test_a_text_with_a_lone_surrogate_is_refused(http: httpx.Client):
    code, message = problem_of(predict(http, '{"text": "a loom \\ud800"}'), 422)
    assert code == "text_invalid"
    assert "Unicode" in message


def test_a_text_that_is_too_long_is_refused(http: httpx.Client):
    most = ServiceSettings().max_chars
    code, message = problem_of(http.post("/predict", json={"text": "x" * (most + 1)}), 422)
    assert code == "text_invalid"
    assert f"{most + 1:,}" in message
    assert f"{most:,}" in message


def test_an_unknown_model_is_refused(http: httpx.Client):
    response = http.post("/v1/classify", json={"patents": TEXT, "model": "nosuch"})
    code, message = problem_of(response, 404)
    assert code == "unknown_model"
    assert "'nosuch'" in message
    assert "default" in message


@pytest.mark.parametrize("field", ["model", "level", "\\ud800"])
def test_a_lone_surrogate_in_a_quoted_value_is_reported(http: httpx.Client, field: str):
    body = f'{{"patents": "{TEXT}", "{field}": "\\ud800"}}'
    response = http.post("/v1/classify", content=body, headers={"Content-Type": "application/json"})
    problem_of(response, 422)


def too_large() -> bytes:
    return json.dumps({"text": "x" * LIMIT}).encode()


@pytest.mark.parametrize("path", ["/predict", "/v1/classify"])
def test_a_body_whose_declared_length_is_too_large_is_refused(
    http: httpx.Client, server: Server, path: str
):
    before = len(server.lines())
    response = http.post(path, content=too_large(), headers={"Content-Type": "application/json"})
    assert problem_of(response, 413)[0] == "body_too_large"
    assert [line for line in server.lines()[before:] if line["level"] == "error"] == []


@pytest.mark.parametrize("path", ["/predict", "/v1/classify"])
def test_a_streamed_body_that_grows_too_large_is_refused(http: httpx.Client, path: str):
    def parts() -> Iterator[bytes]:
        content = too_large()
        for start in range(0, len(content), 500_000):
            yield content[start : start + 500_000]

    response = http.post(path, content=parts(), headers={"Content-Type": "application/json"})
    assert response.request.headers["Transfer-Encoding"] == "chunked"
    code, message = problem_of(response, 413)
    assert code == "body_too_large"
    assert path in message


def test_a_body_of_exactly_the_limit_is_read(http: httpx.Client):
    frame = len(json.dumps({"text": ""}))
    content = json.dumps({"text": " " * (LIMIT - frame)})
    assert len(content) == LIMIT
    # It is read completely, as the error is about the text in it.
    assert problem_of(predict(http, content), 422)[0] == "text_invalid"


def test_the_server_still_responds_after_all_errors(http: httpx.Client):
    assert http.post("/predict", json={"text": TEXT}).status_code == 200


@pytest.fixture
def starting() -> Iterator[TestClient]:
    """A service whose models are not loaded yet."""
    service = Service(ServiceSettings(), Models({"default": "nosuch"}))
    # Its lifespan, which loads the models, does not start.
    yield TestClient(create_app(service), "http://localhost")
    service.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/predict"), ("GET", "/readyz"), ("GET", "/v1/models")),
        *(("GET", "/v1/models/default/labels"), ("GET", "/v1/models/default/report")),
    ],
)
def test_a_service_that_is_not_ready_says_so(starting: TestClient, method: str, path: str):
    body = {"json": {"text": TEXT}} if method == "POST" else {}
    response = starting.request(method, path, **body)
    assert problem_of(response, 503)[0] == "not_ready"
    assert int(response.headers["Retry-After"]) >= 1
    assert starting.get("/livez").status_code == 200


def test_models_that_cannot_be_reloaded_are_reported(starting: TestClient):
    code, message = problem_of(starting.post("/v1/models/reload"), 409)
    assert code == "reload_failed"
    assert "nosuch is not a bundle" in message


def test_an_unexpected_error_reveals_no_details(
    starting: TestClient, monkeypatch: pytest.MonkeyPatch
):
    def broken(models: Models) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Models, "ready", property(broken))
    response = starting.get("/v1/models")
    code, message = problem_of(response, 500)
    assert code == "internal"
    assert response.headers["X-Request-ID"] in message
    assert "secret" not in response.text


@pytest.fixture
def failing() -> TestClient:
    """An application whose routes only fail."""
    app = FastAPI()
    install(app)

    @app.get("/problem")
    def problem() -> None:
        raise ApiError(429, "queue_full", "full", {"Retry-After": "7"})

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418, "I'm a teapot", {"X-Kind": "pot"})

    @app.get("/number/{number}")
    def number(number: int) -> None: ...

    return TestClient(app)


def test_the_headers_of_a_problem_are_sent(failing: TestClient):
    response = failing.get("/problem")
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "7"
    assert response.json() == {"error": {"code": "queue_full", "message": "full"}, "request_id": ""}


def test_a_status_without_a_code_of_its_own_has_one_of_the_codes(failing: TestClient):
    response = failing.get("/teapot")
    assert response.status_code == 418
    assert response.headers["X-Kind"] == "pot"
    assert response.json()["error"] == {
        "code": "bad_request",
        "message": "GET /teapot: i'm a teapot",
    }


def test_an_invalid_path_parameter_is_named(failing: TestClient):
    response = failing.get("/number/many")
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith("path.number: input should be")


def test_only_429_documents_when_to_try_again():
    found = documented(401, 429)
    assert found.keys() == {401, 429}
    assert found[429]["headers"].keys() == {"Retry-After"}
    assert "headers" not in found[401]


def test_the_schema_documents_one_error_format_for_every_refusal(starting: TestClient):
    schema = starting.get("/openapi.json").json()
    shape = {"$ref": "#/components/schemas/ErrorResponse"}
    for operations in schema["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                assert response["description"]
                if not status.startswith("2"):
                    assert response["content"] == {"application/json": {"schema": shape}}


def test_every_code_is_in_the_schema(starting: TestClient):
    schema = starting.get("/openapi.json").json()["components"]["schemas"]["ErrorBody"]
    assert tuple(schema["properties"]["code"]["enum"]) == get_args(Code)
