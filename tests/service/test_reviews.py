"""Reviews over HTTP, on a service in this process that stores texts."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from helpers import wait_until
from patclass.learning.review_queue import REASONS
from patclass.store.consensus import consensus_of
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.reviews import LEASE, ReviewStore
from patclass.store.tables import metadata, predictions, reviews
from service_here import service_client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "store.db"


@pytest.fixture(scope="module")
def running(exported: Path, store: Path) -> Iterator[httpx.Client]:
    """A client of a service with its own store."""
    with service_client(exported, store=store, keep_texts=True) as client:
        yield client


@pytest.fixture
def database(running: httpx.Client, store: Path) -> Iterator[Database]:
    """The service's store, without the rows of earlier tests."""
    found = locate_store(store, {})
    with found.write() as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())
    yield found
    found.close()


@pytest.fixture
def client(running: httpx.Client, database: Database) -> httpx.Client:
    return running


def predict(client: httpx.Client, database: Database, *texts: str) -> list[dict[str, Any]]:
    """Request predictions, wait until they are stored, and mark them as unsure."""
    store = PredictionStore(database)
    before = store.count()
    found = [client.post("/predict", json={"text": text}).json() for text in texts]
    wait_until(lambda: store.count() == before + len(texts))
    with database.write() as connection:
        connection.execute(update(predictions).values(sure=False))
    return found


def texts(count: int) -> list[str]:
    return [f"A device with an antenna circuit and {number} electrodes." for number in range(count)]


def claim(client: httpx.Client, reviewer: str = "Ada") -> httpx.Response:
    return client.post("/v1/reviews/claim", json={"reviewer": reviewer})


def update_case(
    client: httpx.Client, prediction_id: str, action: str, **body: Any
) -> httpx.Response:
    """Decide, undo or release a case."""
    headers = {"Idempotency-Key": body.pop("key", "decision-1")}
    body = {"reviewer": "Ada"} | ({"correct": True} if action == "decision" else {}) | body
    return client.post(f"/v1/reviews/{prediction_id}/{action}", json=body, headers=headers)


def test_a_case_has_everything_a_reviewer_needs(client: httpx.Client, database: Database):
    (predicted,) = predict(client, database, "A device with an antenna.")
    found = claim(client).json()
    assert found["prediction_id"] == predicted["prediction_id"]
    assert found["text"] == "A device with an antenna."
    assert found["reason_text"] == REASONS[found["reason"]]
    assert (found["label"], found["name"]) == (predicted["prediction"], predicted["name"])
    assert [each["level"] for each in found["levels"]] == ["section", "class", "subclass"]
    assert found["levels"][0]["name"] == predicted["path"][0]["name"]
    assert found["feedback"] == []
    lease = datetime.fromisoformat(found["claimed_until"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < lease <= LEASE


def test_waiting_cases_are_counted_and_listed_without_texts(
    client: httpx.Client, database: Database
):
    predict(client, database, *texts(30))
    found = client.get("/v1/reviews", params={"limit": 5}).json()
    assert found["waiting"].keys() == REASONS.keys()
    assert sum(found["waiting"].values()) == 30
    assert found["without_text"] == 0
    assert len(found["cases"]) == 5
    assert "text" not in found["cases"][0]
    assert len(client.get("/v1/reviews").json()["cases"]) == 20
    assert found["cases"][0]["prediction_id"] == claim(client).json()["prediction_id"]
    for limit in (0, 101, "many"):
        assert client.get("/v1/reviews", params={"limit": limit}).status_code == 422


def test_two_reviewers_never_have_the_same_case(client: httpx.Client, database: Database):
    predict(client, database, *texts(40))
    assigned: dict[str, list[str]] = {"Ada": [], "Bob": []}

    def review(reviewer: str) -> None:
        while (response := claim(client, reviewer)).is_success:
            id = response.json()["prediction_id"]
            decided = update_case(client, id, "decision", reviewer=reviewer, key=f"{reviewer}-{id}")
            if decided.status_code == 201 and not decided.json()["repeated"]:
                assigned[reviewer].append(id)
        assert response.json()["error"]["code"] == "no_case"

    threads = [threading.Thread(target=review, args=(name,)) for name in [*assigned] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decided = assigned["Ada"] + assigned["Bob"]
    assert len(decided) == len(set(decided)) == 40
    assert assigned["Ada"]
    assert assigned["Bob"]
    cases = ReviewStore(database).all()
    assert {(case.prediction_id, case.reviewer) for case in cases} == {
        (id, reviewer) for reviewer, ids in assigned.items() for id in ids
    }


def test_a_reviewer_gets_their_claimed_case_again(client: httpx.Client, database: Database):
    predict(client, database, *texts(3))
    first = claim(client).json()
    assert claim(client).json()["prediction_id"] == first["prediction_id"]
    assert claim(client, "Bob").json()["prediction_id"] != first["prediction_id"]


def test_a_decision_is_stored_as_final_feedback(client: httpx.Client, database: Database):
    (predicted,) = predict(client, database, "A device with an antenna.")
    id = claim(client).json()["prediction_id"]
    body = {"correct": False, "label": "G06F", "note": "software"}
    responses = [update_case(client, id, "decision", **body) for _ in range(2)]
    assert [response.status_code for response in responses] == [201, 201]
    assert [response.json()["repeated"] for response in responses] == [False, True]
    (assigned,) = FeedbackStore(database).all()
    feedback = assigned.feedback
    assert (feedback.is_final, feedback.label, feedback.note, feedback.reviewer) == (
        True,
        "G06F",
        "software",
        "Ada",
    )
    assert (feedback.predicted_label, feedback.version) == (
        predicted["prediction"],
        predicted["model_version"],
    )
    assert feedback.text == "A device with an antenna."
    other = update_case(client, id, "decision", note="another")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")


def test_a_case_claimed_by_another_reviewer_cannot_be_changed(
    client: httpx.Client, database: Database
):
    predict(client, database, "A device with an antenna.")
    id = claim(client).json()["prediction_id"]
    for action in ("decision", "undo", "release"):
        response = update_case(client, id, action, reviewer="Bob")
        assert (response.status_code, response.json()["error"]["code"]) == (409, "not_claimed")
    assert update_case(client, id, "undo").status_code == 409  # not decided yet
    assert FeedbackStore(database).all() == []


def test_a_decision_can_be_undone_and_repeated(client: httpx.Client, database: Database):
    predict(client, database, *texts(2))
    id = claim(client).json()["prediction_id"]
    update_case(client, id, "decision")
    assert update_case(client, id, "undo").json() == {"prediction_id": id, "state": "claimed"}
    again = claim(client).json()
    assert (again["prediction_id"], again["feedback"]) == (id, [])
    assert update_case(client, id, "decision", correct=False, key="decision-2").status_code == 201
    consensus = consensus_of(FeedbackStore(database).all())
    assert (consensus.label, consensus.disputed) == (None, False)


def test_a_released_case_is_available_to_others(client: httpx.Client, database: Database):
    predict(client, database, *texts(2))
    id = claim(client).json()["prediction_id"]
    assert update_case(client, id, "release").json() == {"prediction_id": id, "state": "open"}
    other = claim(client).json()["prediction_id"]
    assert other != id
    assert claim(client, "Bob").json()["prediction_id"] == id


def test_a_dispute_comes_first_with_its_feedback(client: httpx.Client, database: Database):
    predict(client, database, *texts(5))
    (disputed,) = predict(client, database, "A loom whose warp is a current of electrons.")
    for reviewer, body in (
        ("Ada", {"correct": True}),
        ("Bob", {"correct": False, "label": "D03D", "note": "it weaves"}),
    ):
        headers = {"Idempotency-Key": f"feedback-of-{reviewer}"}
        body |= {"prediction_id": disputed["prediction_id"], "reviewer": reviewer}
        assert client.post("/v1/feedback", json=body, headers=headers).status_code == 201
    found = claim(client, "Cleo").json()
    assert found["prediction_id"] == disputed["prediction_id"]
    assert found["reason"] == "disputed"
    feedback = [(v["reviewer"], v["correct"], v["label"], v["note"]) for v in found["feedback"]]
    assert feedback == [("Ada", True, None, None), ("Bob", False, "D03D", "it weaves")]
    update_case(client, disputed["prediction_id"], "decision", reviewer="Cleo")
    assert client.get("/v1/reviews").json()["waiting"]["disputed"] == 0


def test_an_expired_claim_is_assigned_to_another_reviewer(client: httpx.Client, database: Database):
    predict(client, database, "A device with an antenna.")
    id = claim(client).json()["prediction_id"]
    assert claim(client, "Bob").status_code == 404
    with database.write() as connection:
        late = datetime.now(UTC) - LEASE - timedelta(seconds=1)
        connection.execute(update(reviews).values(updated=late))
    assert claim(client, "Bob").json()["prediction_id"] == id
    assert update_case(client, id, "decision").json()["error"]["code"] == "not_claimed"


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("decision", {"reviewer": ""}),
        ("decision", {"reviewer": "n" * 101}),
        ("decision", {"correct": "yes"}),
        ("decision", {"label": "A61"}),
        ("decision", {"correct": False, "label": "no code"}),
        ("decision", {"note": "n" * 2001}),
        ("decision", {"key": "short"}),
        ("undo", {"nosuch": 1}),
        ("release", {"reviewer": None}),
    ],
)
def test_invalid_requests_are_refused(
    client: httpx.Client, database: Database, action: str, body: dict[str, Any]
):
    predict(client, database, "A device with an antenna.")
    id = claim(client).json()["prediction_id"]
    assert update_case(client, id, action, **body).status_code == 422
    assert FeedbackStore(database).all() == []


def test_without_stored_texts_there_is_nothing_to_review(exported: Path, tmp_path: Path):
    with service_client(exported, store=tmp_path / "store.db") as client:
        database = locate_store(tmp_path / "store.db", {})
        predict(client, database, *texts(3))
        found = client.get("/v1/reviews").json()
        assert (sum(found["waiting"].values()), found["without_text"]) == (0, 3)
        assert claim(client).status_code == 404
        database.close()


def test_without_a_store_no_case_is_assigned(exported: Path, tmp_path: Path):
    (tmp_path / "store.db").write_text("no database " * 100)
    with service_client(exported, store=tmp_path / "store.db") as client:
        for response in (
            client.get("/v1/reviews"),
            claim(client),
            update_case(client, "0" * 32, "undo"),
        ):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "not_stored"
