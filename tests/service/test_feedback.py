"""Feedback over HTTP, to a service in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from patclass.data.text import text_sha256
from patclass.store.consensus import Feedback
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.reviews import ReviewStore
from service_here import service_client
from service_process import TEXT, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "store.db"


@pytest.fixture(scope="module")
def client(exported: Path, store: Path) -> Iterator[httpx.Client]:
    """A client of a service with its own store."""
    with service_client(exported, store=store, feedback_rate=1000) as client:
        yield client


@pytest.fixture
def database(client: httpx.Client, store: Path) -> Iterator[Database]:
    found = locate_store(store, {})
    yield found
    found.close()


@pytest.fixture
def predicted(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/predict", json={"text": TEXT}).json()
    return found


def send_feedback(client: httpx.Client, prediction: dict[str, Any], **body: Any) -> httpx.Response:
    key = body.pop("key", f"feedback-{prediction['prediction_id']}")
    body = {"prediction_id": prediction["prediction_id"], "correct": True} | body
    return client.post("/v1/feedback", json=body, headers={"Idempotency-Key": key})


def feedback_on(database: Database, prediction: dict[str, Any]) -> list[Feedback]:
    all_feedback = [given.feedback for given in FeedbackStore(database).all()]
    return [each for each in all_feedback if each.prediction_id == prediction["prediction_id"]]


def test_feedback_on_a_prediction_is_stored(
    client: httpx.Client, predicted: dict[str, Any], database: Database
):
    body = {"correct": False, "label": "G06F", "note": "software", "reviewer": "Ada"}
    response = send_feedback(client, predicted, **body)
    assert response.status_code == 201
    assert response.json() == {"prediction_id": predicted["prediction_id"], "repeated": False}
    assert feedback_on(database, predicted) == [
        Feedback(
            *(predicted["prediction_id"], False, "G06F", "software", "Ada", None),
            predicted_label=predicted["prediction"],
            version=predicted["model_version"],
            text_sha256=text_sha256(TEXT),
        )
    ]


def test_repeated_feedback_counts_once(
    client: httpx.Client, predicted: dict[str, Any], database: Database
):
    repeated = [send_feedback(client, predicted).json()["repeated"] for _ in range(3)]
    assert repeated == [False, True, True]
    assert len(feedback_on(database, predicted)) == 1


def test_a_key_is_not_used_for_other_feedback(client: httpx.Client, predicted: dict[str, Any]):
    send_feedback(client, predicted)
    response = send_feedback(client, predicted, note="another")
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "key_reused"


def test_feedback_on_an_unknown_prediction_is_refused(client: httpx.Client):
    response = send_feedback(client, {"prediction_id": "0" * 32})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_prediction"


def test_a_text_in_the_request_is_stored(
    client: httpx.Client, predicted: dict[str, Any], database: Database
):
    assert send_feedback(client, predicted, text=TEXT.upper()).status_code == 201
    assert feedback_on(database, predicted)[0].text == TEXT.upper()


def test_nul_characters_in_a_text_are_not_stored(
    client: httpx.Client, predicted: dict[str, Any], database: Database
):
    assert send_feedback(client, predicted, text=TEXT.replace(" ", "\0", 1)).status_code == 201
    assert feedback_on(database, predicted)[0].text == TEXT


def test_contradictory_feedback_is_refused(client: httpx.Client, predicted: dict[str, Any]):
    response = send_feedback(client, predicted, correct=False, label=predicted["prediction"])
    assert response.status_code == 422
    assert "is the predicted label; set correct to true" in response.json()["error"]["message"]


def test_a_stored_text_is_added_to_feedback_only_with_consent(exported: Path, tmp_path: Path):
    with service_client(exported, store=tmp_path / "store.db", keep_texts=True) as client:
        for consent in (True, False):
            prediction = client.post("/predict", json={"text": TEXT}).json()
            assert send_feedback(client, prediction, keep_text=consent).status_code == 201
    database = locate_store(tmp_path / "store.db", {})
    has_text = [given.feedback.text is not None for given in FeedbackStore(database).all()]
    assert has_text == [True, False]
    database.close()


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("d03c", "D03C"),
        ("D03C 1/00 (2006.01)", "D03C1/00"),
        ("D03C1", "D03C1/00"),
        ("D03C0001140000", "D03C1/14"),
    ],
)
def test_a_label_in_any_spelling_is_stored_as_its_code(
    client: httpx.Client, predicted: dict[str, Any], database: Database, spelling: str, code: str
):
    assert send_feedback(client, predicted, correct=False, label=spelling).status_code == 201
    (given,) = feedback_on(database, predicted)
    assert given.label == code


def test_another_text_is_refused(
    client: httpx.Client, predicted: dict[str, Any], database: Database
):
    response = send_feedback(client, predicted, text="A loom.")
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "text_differs"
    assert feedback_on(database, predicted) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"correct": False, "label": "no code"}, "unknown_label"),
        ({"correct": False, "label": "A00Z"}, "unknown_label"),
        ({"correct": True, "label": "A61"}, "invalid"),
        ({"prediction_id": "x"}, "invalid"),
        ({"correct": "yes"}, "invalid"),
        ({"note": "n" * 2001}, "invalid"),
        ({"note": "a NUL \0"}, "invalid"),
        ({"reviewer": "\0"}, "invalid"),
        ({"nosuch": 1}, "invalid"),
    ],
)
def test_invalid_feedback_is_refused(
    client: httpx.Client, predicted: dict[str, Any], database: Database, body: Any, code: str
):
    response = send_feedback(client, predicted, **body)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == code
    assert feedback_on(database, predicted) == []


@pytest.mark.parametrize("key", [None, "short", "with spaces in it", "k" * 101])
def test_a_malformed_idempotency_key_is_refused(client: httpx.Client, key: str | None):
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"prediction_id": "0" * 32, "correct": True}
    response = client.post("/v1/feedback", json=body, headers=headers)
    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["error"]["message"]


def test_a_cpc_code_unknown_to_the_model_is_accepted(
    client: httpx.Client, predicted: dict[str, Any]
):
    assert send_feedback(client, predicted, correct=False, label="B42F").status_code == 201


def test_disagreeing_reviewers_open_a_case(client: httpx.Client, database: Database):
    text = "A loom with a heald and a reed, whose warp is a current of electrons."
    predicted = client.post("/predict", json={"text": text}).json()
    send_feedback(client, predicted, key="feedback-of-ada", reviewer="Ada")
    wrong = {"correct": False, "label": "D03D", "reviewer": "Bob"}
    send_feedback(client, predicted, key="feedback-of-bob", **wrong)
    cases = {case.prediction_id: case.reason for case in ReviewStore(database).all()}
    assert cases[predicted["prediction_id"]] == "disputed"


def test_too_much_feedback_is_rate_limited(exported: Path, tmp_path: Path):
    with service_client(exported, store=tmp_path / "store.db", feedback_rate=2) as client:
        predicted = client.post("/predict", json={"text": TEXT}).json()
        responses = [send_feedback(client, predicted) for _ in range(3)]
    assert [response.status_code for response in responses] == [201, 201, 429]
    assert responses[-1].json()["error"]["code"] == "rate_limited"
    assert 1 <= int(responses[-1].headers["Retry-After"]) <= 30


def test_without_a_store_predictions_continue_and_feedback_is_not_acknowledged(
    exported: Path, tmp_path: Path
):
    (tmp_path / "store.db").write_text("no database " * 100)
    flags = ("--model", exported, "--store", "store.db")
    with serving(tmp_path, *flags) as server, server.client() as client:
        predicted = client.post("/predict", json={"text": TEXT}).json()
        response = send_feedback(client, predicted)
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "not_stored"
        metrics = client.get("/metrics").text
        assert 'patclass_feedback_total{outcome="not_stored"} 1.0' in metrics
        assert client.post("/predict", json={"text": TEXT}).status_code == 200
        server.terminate()
    (lost,) = [line for line in server.lines() if line["event"] == "predictions not stored"]
    assert lost["predictions"] == 2
