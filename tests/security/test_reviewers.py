"""Who is who in the review queue, and how little work it is however much feedback there is."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from helpers import wait_until
from patclass.core.errors import ConfigError
from patclass.learning.review_queue import ReviewQueue
from patclass.service.keys import KeyFile, Role
from patclass.store.consensus import Feedback, FeedbackRow, consensus_of, related
from patclass.store.database import VARIABLE, Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.purge import purge_before, purge_text
from patclass.store.reviews import NotClaimedError, ReviewStore
from patclass.store.tables import consensus, feedback, predictions, reviews
from postgres import Postgres
from service_here import service_client
from service_process import TEXT
from store_rows import ID, prediction

LABELS = "ABCDEFGH"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.new_database()
    found = locate_store(None, {VARIABLE: url})
    yield found
    found.close()


# A claim belongs to a key and a name


def decision(reviewer: str = "Ada") -> Feedback:
    return Feedback(ID(1), True, predicted_label="A", text_sha256="t", reviewer=reviewer)


@pytest.mark.parametrize(
    "other", [("Ada", "22222222"), ("Bob", "11111111"), ("Ada", None)], ids=str
)
def test_a_case_belongs_to_the_key_and_the_name_that_claimed_it(
    database: Database, other: tuple[str, str | None]
):
    store, mine = ReviewStore(database), ("Ada", "11111111")
    name, key_id = other
    assert store.claim(ID(1), "t", "unsure", *mine)
    assert not store.claim(ID(1), "t", "unsure", *other)
    assert not store.claim(ID(2), "t", "unsure", *other)  # of the same text
    with pytest.raises(NotClaimedError):
        store.release(ID(1), *other)
    with pytest.raises(NotClaimedError):
        store.decide("key-of-other", decision(name), key_id)
    assert store.decide("key-of-mine", decision(), mine[1])
    with pytest.raises(NotClaimedError):
        store.undo(ID(1), *other)
    store.undo(ID(1), *mine)
    store.release(ID(1), *mine)
    assert store.claim(ID(1), "t", "unsure", *other)


def test_two_keys_get_two_cases_whatever_name_they_give(exported: Path, tmp_path: Path):
    keys = KeyFile(tmp_path / "keys.json")
    secrets = [keys.create("search team", Role.USER) for _ in range(2)]
    settings = {"store": tmp_path / "store.db", "keep_texts": True, "keys": keys.path}
    with service_client(exported, **settings) as client:

        def call(key: str, path: str, **body: Any) -> Any:
            headers = {"X-API-Key": key, "Idempotency-Key": f"decision-{key[3:11]}"}
            return client.post(path, json=body, headers=headers)

        for number in range(2):
            assert call(secrets[0], "/predict", text=f"{TEXT} {number}").is_success
        store = locate_store(tmp_path / "store.db", {})
        wait_until(lambda: PredictionStore(store).count() == 2)
        with store.write() as connection:
            connection.execute(predictions.update().values(sure=False, confidence=0.1))
        store.close()
        first, second = (call(key, "/v1/reviews/claim", reviewer="Ada").json() for key in secrets)
        assert first["prediction_id"] != second["prediction_id"]
        place, verdict = f"/v1/reviews/{first['prediction_id']}", {"correct": True}
        by_other = [
            call(secrets[1], f"{place}/decision", reviewer="Ada", **verdict),
            call(secrets[1], f"{place}/release", reviewer="Ada"),
        ]
        assert call(secrets[0], f"{place}/decision", reviewer="Ada", **verdict).is_success
        by_other.append(call(secrets[1], f"{place}/undo", reviewer="Ada"))
        assert [response.status_code for response in by_other] == [409, 409, 409]
        assert call(secrets[0], f"{place}/undo", reviewer="Ada").is_success


# A file of keys that others could change


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_keys_that_others_could_change_are_refused(tmp_path: Path, mode: int):
    keys = KeyFile(tmp_path / "keys.json")
    secret = keys.create("Ada", Role.USER)
    assert keys.check(secret)
    keys.path.chmod(mode)  # also while they are in use
    for use in (lambda: keys.check(secret), keys.list, lambda: keys.create("Bob", Role.ADMIN)):
        with pytest.raises(ConfigError, match="chmod go-w"):
            use()
    keys.path.chmod(0o644)
    assert keys.check(secret)


def test_keys_of_another_user_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = KeyFile(tmp_path / "keys.json")
    keys.create("Ada", Role.USER)
    if os.getuid() == 0:
        os.chown(keys.path, 4711, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    with pytest.raises(ConfigError, match="chown 4712"):
        keys.list()
    owner = keys.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert len(keys.list()) == 1


# Much feedback


def steps_of(database: Database, work: Callable[[], object]) -> int:
    """How many thousand instructions SQLite executes for ``work``."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def listen(connection: Any, *rest: object) -> None:
        connection.set_progress_handler(count, 1000)

    event.listen(database._engine, "checkout", listen)
    work()
    event.remove(database._engine, "checkout", listen)
    return steps


def fill(database: Database, first: int, count: int, text: str = "", **verdict: Any) -> None:
    """Predictions with a verdict each, and the cases that were decided by it."""
    now = datetime.now(UTC)
    numbers = range(first, first + count)
    rows = [unsure(number, text) for number in numbers]
    given: dict[str, Any] = {
        "correct": True,
        "created": now,
        "predicted_label": "A",
        "reviewer": "Ada",
        "is_final": True,
        "text": text or None,
    }
    of = [
        (row.id, row.text_sha256, f"key-{number}")
        for number, row in zip(numbers, rows, strict=True)
    ]
    with database.write() as connection:
        connection.execute(predictions.insert(), [vars(row) for row in rows])
        connection.execute(
            feedback.insert(),
            [
                given
                | {"prediction_id": id, "text_sha256": text_sha256, "idempotency_key": key}
                | verdict
                for id, text_sha256, key in of
            ],
        )
        connection.execute(
            consensus.insert(),
            [{"text_sha256": each, "disputed": False, "reviewed": True} for _, each, _ in of],
        )
        case = {"reason": "unsure", "state": "decided", "created": now, "updated": now}
        connection.execute(
            reviews.insert(),
            [
                case | {"prediction_id": id, "text_sha256": each, "feedback_key": key}
                for id, each, key in of
            ],
        )


def unsure(number: int, text: str = "") -> Any:
    label = LABELS[number % len(LABELS)]
    levels = {"section": (label, 0.3), "class": (f"{label}61", 0.2)}
    fields = {"label": label, "levels": levels, "text": text + str(number)}
    return prediction(number, sure=False, confidence=0.3, **fields)


def test_a_claim_does_not_read_all_feedback(tmp_path: Path):
    database = locate_store(tmp_path / "store.db", {})
    queue, versions = ReviewQueue(database), ["v1"]
    fill(database, 0, 500)
    PredictionStore(database).add([unsure(number) for number in range(100_000, 100_100)])
    before = steps_of(database, lambda: queue.claim("Ada", versions))
    for first in range(500, 3000, 500):
        fill(database, first, 500, version="v0")
    with database.write() as connection:  # those are of the latest predictions no more
        old = predictions.c.number > 600
        connection.execute(predictions.update().where(old).values(version="v0"))
    after = steps_of(database, lambda: queue.claim("Bob", versions))
    assert before > 0
    assert after < 1.5 * before
    database.close()


@pytest.mark.full
def test_a_claim_takes_50_milliseconds_at_100_000_verdicts(database: Database):
    for first in range(0, 100_000, 2000):
        fill(database, first, 2000, "A loom with a heddle and a shuttle. " * 80)
    PredictionStore(database).add([unsure(number) for number in range(100_000, 102_000)])
    queue, store, seconds = ReviewQueue(database), ReviewStore(database), []
    for number in range(30):
        began = time.perf_counter()
        claimed = queue.claim("Ada", ["v1"])
        seconds.append(time.perf_counter() - began)
        assert claimed is not None
        row = claimed.prediction
        decided = Feedback(row.id, True, text_sha256=row.text_sha256, reviewer="Ada")
        store.decide(f"decision-{number}", decided)
    assert min(seconds) < 0.05  # what else runs on the machine only makes it slower


def rows_of(*given: Feedback) -> list[FeedbackRow]:
    now = datetime.now(UTC)
    return [FeedbackRow(number, f"key-{number}", now, each) for number, each in enumerate(given)]


def test_thousands_of_equal_verdicts_are_not_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
):
    comparisons: list[tuple[str, str]] = []

    def counted(a: str, b: str) -> bool:
        comparisons.append((a, b))
        return related(a, b)

    monkeypatch.setattr("patclass.store.consensus.related", counted)
    equal = [Feedback(ID(1), False, label, predicted_label="A") for label in ("G06", "G06F")]
    found = consensus_of(rows_of(*equal * 2000))
    assert (found.label, found.disputed, len(found.numbers)) == ("G06F", False, 4000)
    assert len(comparisons) <= 4


def test_thousands_of_groups_are_compared_as_one_subclass(monkeypatch: pytest.MonkeyPatch):
    compared: list[tuple[str, str]] = []

    def counted(a: str, b: str) -> bool:
        compared.append((a, b))
        return related(a, b)

    monkeypatch.setattr("patclass.store.consensus.related", counted)
    labels = [f"G06F{main}/{sub:02}" for main in range(1, 41) for sub in range(1, 51)]
    given = [Feedback(ID(1), False, label, predicted_label="A") for label in labels]
    found = consensus_of(rows_of(*given))
    assert (found.label, found.disputed, len(found.numbers)) == ("G06F", False, 2000)
    assert len(compared) <= 3 * 2000


def test_earlier_feedback_that_is_shown_is_bounded(database: Database):
    PredictionStore(database).add([unsure(1)])
    text_sha256 = f"{1:064x}"
    given = [
        Feedback(
            ID(1),
            number < 80,
            "G06" if number >= 80 else None,
            predicted_label="A",
            text_sha256=text_sha256,
            text="long",
        )
        for number in range(81)
    ]
    FeedbackStore(database).add_all(rows_of(*given))
    claimed = ReviewQueue(database).claim("Ada", ["v1"])
    assert claimed is not None
    assert [row.key for row in claimed.feedback] == [f"key-{number}" for number in range(31, 81)]
    assert {row.feedback.text for row in claimed.feedback} == {None}


def stored_consensus(database: Database) -> dict[str, tuple[bool, bool]]:
    with database.read() as connection:
        rows = connection.execute(consensus.select())
        return {row.text_sha256: (row.reviewed, row.disputed) for row in rows}


def test_the_consensus_follows_every_change_of_feedback(database: Database):
    store, cases = FeedbackStore(database), ReviewStore(database)
    PredictionStore(database).add([unsure(1)])
    text_sha256 = f"{1:064x}"

    def given(**fields: Any) -> Feedback:
        fields = {"predicted_label": "A", "text_sha256": text_sha256} | fields
        return Feedback(ID(1), **fields)

    store.add("one", given(correct=True, reviewer="Bob"))
    assert stored_consensus(database) == {text_sha256: (True, False)}
    late = rows_of(given(correct=False, label="G06", reviewer="Cleo"))
    store.add_all(late)
    assert stored_consensus(database) == {text_sha256: (True, True)}
    cases.claim(ID(1), text_sha256, "disputed", "Ada")
    cases.decide("final", given(correct=True, reviewer="Ada"))
    assert stored_consensus(database) == {text_sha256: (True, False)}
    cases.undo(ID(1), "Ada")
    assert stored_consensus(database) == {text_sha256: (True, True)}
    purge_before(database, late[0].created, with_feedback=True)  # that of Bob, who was first
    assert stored_consensus(database) == {text_sha256: (True, False)}
    purge_text(database, text_sha256)
    assert stored_consensus(database) == {}


@pytest.mark.full
def test_an_import_of_many_texts_needs_few_locks(database: Database):
    """PostgreSQL has room for some thousand locks of all transactions together."""
    rows = rows_of(
        *(Feedback(ID(n), True, predicted_label="A", text_sha256=f"{n:064x}") for n in range(9000))
    )
    assert FeedbackStore(database).add_all(rows) == 9000
