"""Feedback over HTTP, to a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from patclass.store.feedback import Feedback, FeedbackStore
from service_process import TEXT, serving


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "feedback.db"


@pytest.fixture(scope="module")
def client(
    exported: Path, kept: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a server with a file of feedback of its own."""
    flags = ("--model", exported, "--feedback", kept)
    with serving(tmp_path_factory.mktemp("server"), *flags) as server, server.client() as client:
        yield client


@pytest.fixture
def store(kept: Path) -> FeedbackStore:
    for file in kept.parent.glob("feedback.db*"):
        file.unlink()
    return FeedbackStore(kept)


def give(client: httpx.Client, key: str = "one-verdict", **body: Any) -> httpx.Response:
    body = {"prediction_id": "0" * 32, "correct": True} | body
    return client.post("/v1/feedback", json=body, headers={"Idempotency-Key": key})


def test_a_verdict_on_an_answer_is_kept(client: httpx.Client, store: FeedbackStore):
    found = client.post("/predict", json={"text": TEXT}).json()
    body = {"correct": False, "label": "G06F", "note": "software", "reviewer": "Ada"}
    answer = give(client, prediction_id=found["prediction_id"], **body)
    assert answer.status_code == 201
    assert answer.json() == {"prediction_id": found["prediction_id"], "repeated": False}
    assert store.all() == [Feedback(found["prediction_id"], False, "G06F", "software", "Ada")]


def test_what_is_sent_twice_counts_once(client: httpx.Client, store: FeedbackStore):
    answers = [give(client).json()["repeated"] for _ in range(3)]
    assert answers == [False, True, True]
    assert len(store.all()) == 1


def test_a_key_is_not_used_for_other_feedback(client: httpx.Client, store: FeedbackStore):
    give(client)
    answer = give(client, note="another")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "key_reused"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"correct": False, "label": "no code"}, "unknown_label"),
        ({"correct": True, "label": "A61"}, "invalid"),
        ({"prediction_id": "x"}, "invalid"),
        ({"correct": "yes"}, "invalid"),
        ({"note": "n" * 2001}, "invalid"),
        ({"nosuch": 1}, "invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    client: httpx.Client, store: FeedbackStore, body: dict[str, Any], code: str
):
    answer = give(client, **body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code
    assert store.all() == []


@pytest.mark.parametrize("key", [None, "short", "with spaces in it", "k" * 101])
def test_a_key_must_be_fit(client: httpx.Client, key: str | None):
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"prediction_id": "0" * 32, "correct": True}
    answer = client.post("/v1/feedback", json=body, headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["error"]["message"]


def test_a_code_that_no_model_knows_is_taken_if_the_cpc_has_it(
    client: httpx.Client, store: FeedbackStore
):
    assert give(client, correct=False, label="B42F").status_code == 201


def test_feedback_that_cannot_be_kept_is_not_acknowledged(
    client: httpx.Client, store: FeedbackStore
):
    store.path.write_text("no database " * 100)
    answer = give(client)
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "code": "not_kept",
        "message": "feedback cannot be kept now; see the log",
    }
    assert client.post("/predict", json={"text": TEXT}).status_code == 200
