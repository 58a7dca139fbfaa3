"""The API as its callers see it: a real server, called over real sockets."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import patent_rows
from helpers import wait_until
from patclass.bundle.description import LAYOUT
from patclass.core.files import file_sha256
from patclass.inference import Classifier, Options, load
from patclass.inference.prediction import COLUMNS, record_of
from patclass.service.routes import NEIGHBOURS
from patclass.service.settings import ServiceSettings
from service_here import service_client
from service_process import TEXT

ORIGIN = "https://patents.example"
ROWS = patent_rows(9, seed=5)
TEXTS = [f"{row['title']} {row['abstract']}" for row in ROWS]
PATENT = {"id": "EP1", "title": ROWS[0]["title"], "abstract": ROWS[0]["abstract"]}
LONG = " ".join(TEXTS)


@pytest.fixture(scope="module")
def reference(exported: Path) -> Classifier:
    """The same bundle, without a server."""
    return load(exported)


@pytest.fixture(scope="module")
def strict(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with narrow limits, two models and an allowed origin."""
    store = tmp_path_factory.mktemp("strict") / "store.db"
    limits = {"max_items": 3, "max_chars": 200, "queue_tokens": 80}
    cors = (ORIGIN, "http://localhost:3000")
    models = (f"first={exported}", f"second={exported}")
    with service_client(*models, store=store, cors=cors, **limits) as client:
        yield client


def same(found: Any, expected: Any) -> bool:
    """Equal up to the last digits: another batch adds in another order."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-4, abs=1e-5))
    return bool(found == expected)


def predict(http: httpx.Client, text: str, **headers: str) -> dict[str, Any]:
    response = http.post("/predict", json={"text": text}, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def classify(http: httpx.Client, patents: object, **options: object) -> dict[str, Any]:
    response = http.post("/v1/classify", json={"patents": patents} | options)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("text", [*TEXTS[:3], LONG, "Bearing.", "半導体装置", "a\n b\0c \u2028 d"])
def test_predict_matches_the_library(
    http: httpx.Client, reference: Classifier, exported: Path, text: str
):
    body = predict(http, text)
    record = record_of(reference.classify([text])[0])
    fields = ("name", "confidence", "level", "sure", "path", "top", "read_share", "warnings")
    expected = {name: record[name] for name in fields} | {
        "prediction": record["label"],
        "model": "default",
        "model_version": file_sha256(exported / LAYOUT.manifest)[:12],
        "prediction_id": body["prediction_id"],
    }
    assert same(body, expected), body


def test_predictions_have_unique_ids(http: httpx.Client):
    ids = [predict(http, TEXT)["prediction_id"] for _ in range(3)]
    ids += [result["prediction_id"] for result in classify(http, [TEXT] * 3)["results"]]
    assert len(set(ids)) == 6
    assert all(re.fullmatch("[0-9a-f]{32}", number) for number in ids)


@pytest.mark.parametrize(
    "patents",
    [
        *(TEXT, PATENT, [TEXT], [PATENT], [TEXT, PATENT, {"claims": LONG}], []),
        *({"text": TEXT}, {"title": "Loom"}, {"description": TEXT, "abstract": None}),
    ],
    ids=["text", "patent", "texts", "patents", "mixed", "none", "one text", "title", "description"],
)
def test_classify_matches_the_library(
    http: httpx.Client, reference: Classifier, exported: Path, patents: Any
):
    body = classify(http, patents)
    assert body.keys() == {"model", "model_version", "results"}
    assert body["model"] == "default"
    assert body["model_version"] == file_sha256(exported / LAYOUT.manifest)[:12]
    given = patents if isinstance(patents, list) else [patents]
    expected = [record_of(prediction) for prediction in reference.classify(given)]
    for patent, result, record in zip(given, body["results"], expected, strict=True):
        assert result.keys() == {*COLUMNS, "prediction_id", "text", "alternatives", "patent"}
        assert result.pop("text") is None
        assert result.pop("alternatives") is None
        assert result.pop("patent") is None
        number = patent.get("id") if isinstance(patent, dict) else None
        assert same(result, record | {"id": number, "prediction_id": result["prediction_id"]})


def test_many_patents_are_classified_in_order(http: httpx.Client, reference: Classifier):
    texts = [text for number, text in enumerate(TEXTS * 7) if number < 60]
    labels = [result["label"] for result in classify(http, texts)["results"]]
    assert labels == [prediction.label for prediction in reference.classify(texts)]
    assert len(set(labels)) > 1


def test_a_failing_patent_fails_alone_and_in_place(http: httpx.Client, reference: Classifier):
    most = ServiceSettings().max_chars
    patents = [
        *(
            "",
            TEXT,
            {"id": "empty", "title": " "},
            PATENT,
            {"id": "long", "text": "x" * most + "x"},
        ),
        *({"id": "none"}, "x" * (most + 1), {"id": "last", "title": "Loom", "abstract": TEXT}),
    ]
    content = json.dumps({"patents": [*patents, "half \ud800"]})
    response = http.post(
        "/v1/classify", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    ids = [None, None, "empty", "EP1", "long", "none", None, "last", None]
    assert [result["id"] for result in results] == ids
    good = {1, 3, 7}
    for number, result in enumerate(results):
        if number in good:
            assert result["error"] is None
            (expected,) = reference.classify([patents[number]])
            assert result["label"] == expected.label
        else:
            assert result.keys() == {"id", "error"}
            assert result["error"]["code"] == "text_invalid"
    messages = [results[number]["error"]["message"] for number in (0, 2, 4, 5, 6, 8)]
    for message, part in zip(
        messages,
        ["no text", "no text", f"{most:,}", "no text", f"{most:,}", "Unicode"],
        strict=True,
    ):
        assert part in message


@pytest.mark.parametrize(
    ("field", "same_as"),
    [
        ({"claims": [TEXTS[0], None, TEXTS[1]]}, {"claims": f"{TEXTS[0]} {TEXTS[1]}"}),
        ({"claims": [{"text": TEXTS[0]}, {"text": TEXTS[1]}]}, {"claims": " ".join(TEXTS[:2])}),
        (
            {
                "abstract": [
                    {"text": "Ein Webstuhl.", "language": "de"},
                    {"text": TEXT, "lang": "EN"},
                ]
            },
            {"abstract": TEXT},
        ),
        ({"title": 5, "abstract": TEXT}, {"title": "5", "abstract": TEXT}),
        ({"id": 123, "text": TEXT}, {"id": "123", "text": TEXT}),
        ({"id": None, "text": f"<p>{TEXT}</p>"}, {"text": TEXT}),
    ],
    ids=["list", "records", "translations", "number", "id", "markup"],
)
def test_fields_are_read_as_those_of_files(
    http: httpx.Client, reference: Classifier, field: dict[str, Any], same_as: dict[str, Any]
):
    (found, plain) = classify(http, [field, same_as], explain=True)["results"]
    assert found["text"] == plain["text"] == reference.text_of(field)
    assert found["id"] == plain["id"]


@pytest.mark.parametrize(
    ("patent", "number", "message"),
    [
        (
            {"id": "EP2", "titel": "Loom"},
            "EP2",
            "titel: unknown field; a patent has id, number, text, title, abstract, claims",
        ),
        ({"id": 7, "title": True}, "7", "title: not a text but a value of type bool"),
        ({"claims": [{"number": 1}]}, None, "claims: not a text but a record of number"),
        ({"id": True, "title": "Loom"}, None, "id: input should be a valid string"),
        ({"id": "n" * 201}, None, "id: string should have at most 200 characters"),
        ({"id": "\ud800"}, None, "id: not valid Unicode: it holds half a surrogate pair"),
        ({"\ud800": 1, "id": 1.5}, "1.5", "input should be a valid string, unable to parse"),
        (5, None, "expected a JSON object with named fields"),
        (None, None, "expected a JSON object with named fields"),
        ([TEXT], None, "expected a JSON object with named fields"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_patent_with_a_wrong_field_fails_alone_and_in_place(
    http: httpx.Client, patent: Any, number: str | None, message: str
):
    content = json.dumps({"patents": [TEXT, patent, PATENT]})
    headers = {"Content-Type": "application/json"}
    response = http.post("/v1/classify", content=content, headers=headers)
    assert response.status_code == 200, response.text
    first, failed, last = response.json()["results"]
    assert first["label"]
    assert (last["id"], last["error"]) == ("EP1", None)
    assert failed["id"] == number
    assert failed["error"]["code"] == "invalid"
    assert failed["error"]["message"].startswith(message)


def test_a_single_patent_with_a_wrong_field_is_answered_in_its_place(http: httpx.Client):
    (failed,) = classify(http, {"id": "EP2", "titel": "Loom"})["results"]
    assert failed["error"]["code"] == "invalid"


def test_lists_within_lists_without_end_fail_alone(http: httpx.Client):
    depth = 900
    patent = f'{{"claims": {"[" * depth}"a"{"]" * depth}}}'
    content = f'{{"patents": [{patent}, "{TEXT}"]}}'
    headers = {"Content-Type": "application/json"}
    response = http.post("/v1/classify", content=content, headers=headers)
    assert response.status_code == 200, response.text
    failed, good = response.json()["results"]
    assert "lists within lists" in failed["error"]["message"]
    assert good["label"]


def test_an_empty_patent_does_not_fail_the_request(http: httpx.Client):
    (result,) = classify(http, "")["results"]
    assert result == {
        "id": None,
        "error": {
            "code": "text_invalid",
            "message": "no text: expected words in text, title, abstract, claims or description.",
        },
    }


@pytest.mark.parametrize("level", ["section", "class", "subclass", "auto"])
@pytest.mark.parametrize("k", [1, 2, 100])
def test_level_and_k_are_respected(http: httpx.Client, reference: Classifier, level: str, k: int):
    results = classify(http, TEXTS[:3], level=level, k=k)["results"]
    expected = reference.classify(TEXTS[:3], Options(level=level, k=k))
    for result, prediction in zip(results, expected, strict=True):
        assert same(result["top"], record_of(prediction)["top"])
        assert len(result["top"]) == min(k, len(reference.tree.at(result["level"])))
        assert result["level"] == (prediction.level if level == "auto" else level)
        assert result["label"] == result["top"][0]["label"] == result[result["level"]]
        assert result["path"][-1]["label"] == result["label"]


@pytest.mark.parametrize(("threshold", "level"), [(0, "subclass"), (1, "section")])
def test_the_threshold_determines_the_depth_of_a_prediction(
    http: httpx.Client, threshold: float, level: str
):
    for result in classify(http, TEXTS[:3], threshold=threshold)["results"]:
        assert result["level"] == level
        assert result["sure"] == (threshold == 0)


@pytest.mark.parametrize("level", ["section", "subclass"])
def test_label_sets_use_the_requested_coverage(
    http: httpx.Client, reference: Classifier, level: str
):
    few, many = (
        classify(http, TEXTS, level=level, coverage=coverage)["results"] for coverage in (0.5, 0.9)
    )
    expected = reference.classify(TEXTS, Options(level=level, coverage=0.9))
    for small, large, prediction in zip(few, many, expected, strict=True):
        assert same(large["label_set"], record_of(prediction)["label_set"])
        assert {one["label"] for one in small["label_set"]} <= {
            one["label"] for one in large["label_set"]
        }
    assert classify(http, TEXT, level=level)["results"][0]["label_set"] is None


def test_evidence_has_similar_patents_and_passage_contributions(
    http: httpx.Client, reference: Classifier
):
    text = f"{TEXTS[0]} {TEXTS[1]}"
    (plain,) = classify(http, text)["results"]
    (result,) = classify(http, text, explain=True)["results"]
    assert plain["neighbours"] == []
    assert [passage["contribution"] for passage in plain["passages"]] == [0.0]
    options = Options(neighbours=NEIGHBOURS, explain=True)
    record = record_of(reference.classify([text], options)[0])
    assert len(result["neighbours"]) == NEIGHBOURS
    assert same(result["neighbours"], record["neighbours"])
    assert same(result["passages"], record["passages"])
    assert len(result["passages"]) > 1
    assert any(passage["contribution"] for passage in result["passages"])


def test_a_request_may_wait_until_its_deadline(http: httpx.Client):
    assert predict(http, TEXT, **{"X-Deadline-Ms": "10000"})["prediction"]


def test_a_deadline_that_cannot_be_met_is_refused_immediately(http: httpx.Client):
    response = http.post(
        "/v1/classify", json={"patents": [LONG] * 64}, headers={"X-Deadline-Ms": "1"}
    )
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "queue_full"
    assert int(response.headers["Retry-After"]) >= 1


def test_too_many_patents_are_refused_together(strict: httpx.Client):
    response = strict.post("/v1/classify", json={"patents": ["Loom"] * 4})
    assert response.status_code == 413
    assert response.json()["error"] == {
        "code": "request_too_large",
        "message": "patents: 4 in one request; at most 3 are accepted",
    }
    assert len(classify(strict, ["Loom"] * 3)["results"]) == 3


def test_64_patents_are_accepted_by_default(http: httpx.Client):
    assert http.post("/v1/classify", json={"patents": ["Loom"] * 65}).status_code == 413
    assert len(classify(http, ["Loom"] * 64)["results"]) == 64


def test_a_text_over_the_limit_fails_alone(strict: httpx.Client):
    good, bad = classify(strict, [{"title": "Loom"}, {"title": "x", "abstract": "y" * 200}])[
        "results"
    ]
    assert good["error"] is None
    assert "201" in bad["error"]["message"]
    assert "200" in bad["error"]["message"]
    assert strict.post("/predict", json={"text": "y" * 201}).status_code == 422


def test_more_tokens_than_the_queue_capacity_are_refused(strict: httpx.Client):
    before = metrics_of(strict)
    response = strict.post("/v1/classify", json={"patents": [LONG[:190]] * 3})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert "80" in response.json()["error"]["message"]
    after = metrics_of(strict)
    key = ("patclass_refused_items_total", ("reason", "too_large"))
    assert after[key] - before.get(key, 0) == 3


def test_models_describe_themselves(http: httpx.Client, reference: Classifier, exported: Path):
    (model,) = http.get("/v1/models").json()["models"]
    tree = reference.tree
    assert model == {
        "name": "default",
        "version": file_sha256(exported / LAYOUT.manifest)[:12],
        "engine": "openvino, float32",
        "levels": ["section", "class", "subclass"],
        "labels": {level: len(tree.at(level)) for level in tree.levels},
        "max_tokens": 64,
        "default": True,
        "similar_patents": reference.bundle.neighbours is not None,
        "all_codes": True,
        "code_thresholds": True,
        "coverage_levels": [
            level for level, known in reference.bundle.conformal.levels.items() if known.allows(0.9)
        ],
    }


def test_the_first_of_several_models_is_the_default(strict: httpx.Client):
    models = strict.get("/v1/models").json()["models"]
    assert [(model["name"], model["default"]) for model in models] == [
        ("first", True),
        ("second", False),
    ]
    assert predict(strict, "Loom")["model"] == "first"
    assert classify(strict, "Loom")["model"] == "first"
    assert classify(strict, "Loom", model=None)["model"] == "first"
    assert classify(strict, "Loom", model="second")["model"] == "second"
    assert classify(strict, [], model="second")["results"] == []


def test_a_reload_without_changes_does_nothing(strict: httpx.Client):
    before = strict.get("/v1/models").json()
    response = strict.post("/v1/models/reload")
    assert response.status_code == 200
    assert response.json() == before == strict.get("/v1/models").json()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_running_server_is_live_and_ready(http: httpx.Client, path: str):
    response = http.get(path)
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


class Links(HTMLParser):
    """The resources that a page loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_documentation_loads_nothing_from_other_hosts(http: httpx.Client):
    response = http.get("/docs")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert not re.search(r"https?:|\"//", response.text)
    links = Links(response.text).found
    assert len(links) == 3
    types = {".js": "text/javascript", ".css": "text/css"}
    for link in links:
        if link.startswith("data:"):
            continue
        part = http.get(str(response.url.join(link)))
        assert part.status_code == 200
        assert part.headers["Content-Type"].startswith(types[Path(link).suffix])
        assert len(part.content) > 10_000
    (schema,) = re.findall(r"url: '(.*)'", response.text)
    assert http.get(str(response.url.join(schema))).json()["openapi"].startswith("3.")


def test_the_documentation_has_a_strict_content_security_policy(http: httpx.Client):
    policy = http.get("/docs").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    for rule in rules.values():
        assert set(rule.split()) <= {"'none'", "'self'", "'unsafe-inline'", "data:"}


@pytest.mark.parametrize("name", ["nosuch.js", "__init__.py", "..%2F__init__.py", "%2e%2e"])
def test_no_other_file_is_served(http: httpx.Client, name: str):
    assert http.get(f"/docs/{name}").status_code == 404


def examples_of(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Each example body of a POST in the schema, with its path; None for routes without a body."""
    for path, operations in schema["paths"].items():
        if "post" not in operations:
            continue
        if "requestBody" not in operations["post"]:
            yield path, None
            continue
        media = operations["post"]["requestBody"]["content"]["application/json"]
        shape = media["schema"]
        yield from ((path, body) for body in [*media.get("examples", {}).values()])
        yield from ((path, body) for body in shape.get("examples", []))
        fields = schema["components"]["schemas"][shape["$ref"].split("/")[-1]]["properties"]
        shown = {name: field["examples"] for name, field in fields.items() if "examples" in field}
        for number in range(max(map(len, shown.values()), default=0)):
            yield path, {name: values[number % len(values)] for name, values in shown.items()}


def headers_of(operation: dict[str, Any]) -> dict[str, str]:
    """The required headers of an operation, with their example values."""
    needed = (given for given in operation.get("parameters", []) if given["required"])
    return {given["name"]: given["schema"]["examples"][0] for given in needed}


def test_requested_extras_are_in_the_response(http: httpx.Client, reference: Classifier):
    options = {"explain": True, "alternatives": True}
    result = classify(http, PATENT, **options)["results"][0]
    assert result["text"] == reference.text_of(PATENT)
    assert list(result["alternatives"]) == ["section", "class", "subclass"]
    for level, named in result["alternatives"].items():
        confidences = [candidate["confidence"] for candidate in named]
        assert confidences == sorted(confidences, reverse=True)
        assert min(confidences) >= 0.001
        assert named[0]["label"] in {label.code for label in reference.tree.at(level)}


def test_the_labels_of_a_model_are_listed(http: httpx.Client, reference: Classifier):
    found = http.get("/v1/models/default/labels").json()
    tree = reference.tree
    assert found["labels"] == [
        {"level": level, "label": label.code, "name": label.name}
        for level in tree.levels
        for label in tree.at(level)
    ]


def test_a_report_is_returned_as_stored(http: httpx.Client, exported: Path):
    found = http.get("/v1/models/default/report").json()
    assert found["card"] == (exported / LAYOUT.card).read_text()
    assert found["report"] == json.loads((exported / LAYOUT.report).read_text())


@pytest.mark.parametrize("what", ["labels", "report"])
def test_routes_of_an_unknown_model_are_not_found(http: httpx.Client, what: str):
    response = http.get(f"/v1/models/nosuch/{what}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_model"


def test_the_examples_of_the_schema_work(http: httpx.Client):
    schema = http.get("/openapi.json").json()
    made = http.post("/predict", json={"text": TEXT}).json()["prediction_id"]
    tried = set()
    for path, body in examples_of(schema):
        # Tests of the whole schema may have sent the key of the example to this service.
        headers = {
            name: f"{value}-{made}"
            for name, value in headers_of(schema["paths"][path]["post"]).items()
        }
        if body is not None and "prediction_id" in body:
            body |= {"prediction_id": made}  # examples cannot contain a valid one
        where = path.replace("{prediction_id}", made)
        response = http.post(where, headers=headers, **({} if body is None else {"json": body}))
        if path.startswith("/v1/reviews"):  # no case is waiting or claimed
            refused = response.json()["error"]["code"]
            assert refused in ("no_case", "not_claimed", "key_reused"), response.text
            tried.add(path)
            continue
        assert response.is_success, (path, body, response.text)
        for result in response.json().get("results", []):
            assert result["error"] is None
        tried.add(path)
    assert tried == {path for path, operations in schema["paths"].items() if "post" in operations}


def test_the_schema_forbids_additional_properties(http: httpx.Client):
    schemas = http.get("/openapi.json").json()["components"]["schemas"]
    for name in ("PredictRequest", "ClassifyRequest", "PatentFields"):
        assert schemas[name]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        *(("GET", "/livez", None, 200), ("GET", "/readyz", None, 200), ("GET", "/docs", None, 200)),
        ("GET", "/docs/swagger-ui.css", None, 200),
        *(("GET", "/openapi.json", None, 200), ("HEAD", "/openapi.json", None, 200)),
        *(("GET", "/metrics", None, 200), ("GET", "/v1/models", None, 200)),
        *(("POST", "/predict", {"text": TEXT}, 200), ("POST", "/predict", {"text": ""}, 422)),
        *(("POST", "/predict", {}, 422), ("GET", "/predict", None, 405), ("GET", "/", None, 404)),
        *(("POST", "/predict/", {"text": TEXT}, 404), ("POST", "/v1/models/reload", None, 200)),
    ],
)
def test_every_response_has_security_headers(
    http: httpx.Client, method: str, path: str, body: object, status: int
):
    response = http.request(method, path, json=body)
    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert ("script-src" in policy) == (path == "/docs")
    assert response.headers["X-Request-ID"]
    assert "Server" not in response.headers
    assert "Set-Cookie" not in response.headers


def predict_from(client: httpx.Client, origin: str, **headers: str) -> httpx.Response:
    return client.post("/predict", json={"text": "Loom"}, headers={"Origin": origin} | headers)


def preflight(client: httpx.Client, origin: str, method: str = "POST") -> httpx.Response:
    """Send the preflight request of a browser."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, x-deadline-ms",
    }
    return client.options("/predict", headers=headers)


def test_cross_origin_requests_are_refused_by_default(http: httpx.Client):
    for response in (predict_from(http, ORIGIN), preflight(http, ORIGIN)):
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert preflight(http, ORIGIN).status_code == 405


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
def test_allowed_origins_may_call(strict: httpx.Client, origin: str):
    response = predict_from(strict, origin)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    before = preflight(strict, origin)
    assert before.status_code == 200
    assert before.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in before.headers["Access-Control-Allow-Methods"]
    allowed = before.headers["Access-Control-Allow-Headers"].lower()
    for name in ("authorization", "x-api-key", "content-type", "x-request-id", "x-deadline-ms"):
        assert name in allowed
    assert "Access-Control-Allow-Credentials" not in before.headers
    assert before.headers["X-Frame-Options"] == "DENY"


def test_an_allowed_origin_can_read_error_responses(strict: httpx.Client):
    response = strict.post("/predict", json={"text": ""}, headers={"Origin": ORIGIN})
    assert response.status_code == 422
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin",
    [
        *("https://elsewhere.example", "http://patents.example", "null", f"{ORIGIN}.evil.example"),
        *(f"{ORIGIN}:8443", "https://sub.patents.example"),
    ],
)
def test_other_origins_may_not_call(strict: httpx.Client, origin: str):
    assert "Access-Control-Allow-Origin" not in predict_from(strict, origin).headers
    assert "Access-Control-Allow-Origin" not in preflight(strict, origin).headers
    assert preflight(strict, ORIGIN, "DELETE").status_code == 400


Key = tuple[str | tuple[str, str], ...]


def metrics_of(http: httpx.Client) -> dict[Key, float]:
    """All samples by name and labels."""
    response = http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def test_metrics_count_requests_and_predictions(http: httpx.Client, reference: Classifier):
    texts = [TEXTS[0], TEXTS[1], TEXTS[2], LONG]
    tokens = [len(encoding.passages[0].ids) for encoding in reference.encode(texts)]
    before = metrics_of(http)
    predicted = [predict(http, text) for text in texts[:2]]
    labels = [(result["level"], result["prediction"]) for result in predicted]
    results = classify(http, [texts[2], "", {"text": LONG}])["results"]
    labels += [(one["level"], one["label"]) for one in results if one["error"] is None]
    for _ in range(3):
        assert http.post("/predict", json={"text": ""}).status_code == 422
    assert http.post("/v1/classify", json={"patents": "x", "model": "nosuch"}).status_code == 404
    assert http.get("/nosuch").status_code == 404
    refused = http.post(
        "/v1/classify", json={"patents": [LONG] * 64}, headers={"X-Deadline-Ms": "1"}
    )
    assert refused.status_code == 429

    expected: dict[Key, float] = {
        ("patclass_requests_total", ("route", "/predict"), ("status", "200")): 2,
        ("patclass_requests_total", ("route", "/predict"), ("status", "422")): 3,
        ("patclass_requests_total", ("route", "/v1/classify"), ("status", "200")): 1,
        ("patclass_requests_total", ("route", "/v1/classify"), ("status", "404")): 1,
        ("patclass_requests_total", ("route", "/v1/classify"), ("status", "429")): 1,
        ("patclass_requests_total", ("route", "none"), ("status", "404")): 1,
        ("patclass_request_seconds_count", ("route", "/predict")): 5,
        ("patclass_request_seconds_count", ("route", "/v1/classify")): 3,
        ("patclass_stage_seconds_count", ("stage", "tokenise")): 4 + 64,
        ("patclass_stage_seconds_count", ("stage", "queue")): 4,
        ("patclass_stage_seconds_count", ("stage", "infer")): 4,
        ("patclass_tokens_total", ("model", "default")): sum(tokens),
        ("patclass_refused_items_total", ("reason", "queue_full")): 64,
    }
    for level, label in labels:
        where = (("level", level), ("model", "default"))
        for key in (
            ("patclass_predictions_total", ("label", label), *where),
            ("patclass_confidence_count", *where),
        ):
            expected[key] = expected.get(key, 0) + 1

    def grown() -> dict[tuple[object, ...], float]:
        after = metrics_of(http)
        return {key: after.get(key, 0) - before.get(key, 0) for key in expected}

    wait_until(lambda: grown() == expected)  # responses are counted after they are sent
    after = metrics_of(http)
    for name in ("patclass_queue_tokens", "patclass_queue_items"):
        assert after[(name,)] == 0


def test_metrics_name_the_loaded_model(http: httpx.Client, exported: Path):
    found = metrics_of(http)
    version = file_sha256(exported / LAYOUT.manifest)[:12]
    labels = (("engine", "openvino, float32"), ("model", "default"), ("version", version))
    assert [key for key in found if key[0] == "patclass_model_info"] == [
        ("patclass_model_info", *labels)
    ]
    assert found[("patclass_model_info", *labels)] == 1


def test_metrics_count_reloads(strict: httpx.Client):
    key = ("patclass_reloads_total", ("outcome", "done"))
    before = metrics_of(strict)[key]
    assert before >= 1
    strict.post("/v1/models/reload")
    assert metrics_of(strict)[key] == before + 1


def test_unknown_paths_create_no_new_metrics(http: httpx.Client):
    for number in range(5):
        http.get(f"/nosuch/{number}")
        http.get(f"/docs/{number}")
    routes = {dict(key[1:]).get("route") for key in metrics_of(http)}
    assert routes >= {"none", "/docs/{name}"}
    assert not [route for route in routes if route and re.search(r"\d/?$|nosuch", route)]
