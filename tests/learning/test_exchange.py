"""Feedback carried from store to store, on both databases."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from patclass.core.errors import DataError
from patclass.data.text import text_sha256
from patclass.learning.exchange import ImportResult, read, write
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import VARIABLE, Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.purge import purge_before
from patclass.store.reviews import ReviewStore
from patclass.store.tables import feedback
from postgres import Postgres
from store_rows import ID, prediction

TEXT = "A bandage with a grüne border."
WHEN = datetime(2026, 11, 1, 10, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'there.db'}"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.new_database()
    found = locate_store(None, {VARIABLE: url})
    yield found
    found.close()


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Database]:
    """A store with a confirmation, a correction, a final decision and a withdrawal."""
    found = locate_store(tmp_path / "here.db", {})
    about = {"predicted_label": "A61", "version": "v1", "text_sha256": text_sha256(TEXT)}
    wrong = Feedback(ID(1), False, "G06", "no bandage", "Bob", "team", text=TEXT, **about)
    rows = [
        FeedbackRow(0, "key-of-ada", WHEN, Feedback(ID(1), True, reviewer="Ada", **about)),
        FeedbackRow(0, "key-of-bob", WHEN + timedelta(hours=1), wrong),
        FeedbackRow(0, "decision", WHEN, Feedback(ID(1), True, is_final=True, **about)),
        FeedbackRow(0, "undo", WHEN, Feedback(ID(1), True, withdraws="decision", **about)),
    ]
    FeedbackStore(found).add_all(rows)
    yield found
    found.close()


def exported(database: Database) -> bytes:
    return "".join(write(database, Counter())).encode()


def imported(database: Database, raw: bytes) -> ImportResult:
    return read(database, raw, Counter())


def line(**fields: Any) -> dict[str, Any]:
    known = {"key": "a-key", "created": "2026-11-01T10:00:00Z", "prediction_id": ID(1)}
    about = {"predicted_label": "A61", "version": "v1", "text_sha256": f"{1:064x}"}
    return known | {"correct": True} | about | fields


def raw_of(*lines: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, lines)).encode()


def test_an_empty_store_gets_the_same_rows(filled: Database, database: Database):
    assert imported(database, exported(filled)) == ImportResult(4, 0)
    assert FeedbackStore(database).all() == FeedbackStore(filled).all()
    assert exported(database) == exported(filled)


def test_a_repeated_import_counts_once(filled: Database, database: Database):
    imported(database, exported(filled))
    assert imported(database, exported(filled)) == ImportResult(0, 4)
    assert imported(database, raw_of(line(), line())) == ImportResult(1, 1)
    assert len(FeedbackStore(database).all()) == 5


def test_imported_disagreement_opens_a_review_case(filled: Database, database: Database):
    PredictionStore(database).add([prediction(1, label="A61", text_sha256=text_sha256(TEXT))])
    imported(database, exported(filled))
    (case,) = ReviewStore(database).all()
    assert (case.prediction_id, case.reason, case.state) == (ID(1), "disputed", "open")


def test_a_decided_dispute_opens_no_case(database: Database):
    wrong = line(key="two", correct=False, label="G06")
    imported(database, raw_of(line(), wrong, line(key="three", is_final=True)))
    assert ReviewStore(database).all() == []


def test_many_keys_are_recognised(database: Database):
    rows = [line(key=f"key-{n}") for n in range(1201)]
    assert imported(database, raw_of(*rows)) == ImportResult(1201, 0)
    assert imported(database, raw_of(*rows)) == ImportResult(0, 1201)


def test_a_key_is_used_for_one_feedback(database: Database):
    imported(database, raw_of(line()))
    raw = raw_of(line(key="new"), line(note="another"), line(key="new", note="again"))
    with pytest.raises(DataError, match=r"line 2: the key 'a-key' is used.*line 3: the key 'new'"):
        imported(database, raw)
    assert len(FeedbackStore(database).all()) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": "red"}, "colour 'red': extra inputs are not permitted"),
        ({"correct": "yes"}, "correct 'yes': input should be a valid boolean"),
        ({"created": "yesterday"}, "created 'yesterday': input should be a valid datetime"),
        ({"created": "2026-11-01T10:00:00"}, "should have timezone"),
        ({"prediction_id": "xyz"}, "prediction_id 'xyz': string should match"),
        ({"label": "G06"}, "label: expected none"),
        ({"text": TEXT}, "text_sha256: it is not that of the text"),
        ({"correct": False, "label": "Q99"}, "label 'Q99' is no code of the CPC and was never"),
        (
            {"correct": False, "label": "a61k 31"},
            "where it would be 'A61K31/00', and was",
        ),
        ({"correct": False, "label": "F24J"}, "label 'F24J' is no longer in the CPC"),
        ({"created": "2999-01-01T00:00:00Z"}, "created: 2999-01-01.* is in the future"),
        ({"predicted_label": None}, f"prediction_id '{ID(1)}' is not stored here"),
    ],
)
def test_an_invalid_line_is_named_and_nothing_is_stored(
    database: Database, fields: dict[str, Any], message: str
):
    raw = b"\n" + raw_of(line(key="good")) + b"\n" + raw_of(line(**fields))
    with pytest.raises(DataError, match=f"^nothing was imported: line 3: .*{message}"):
        imported(database, raw)
    assert FeedbackStore(database).all() == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"key": "\\ud800"}', b"[" * 100_000])
def test_a_malformed_line_is_named(filled: Database, raw: bytes):
    with pytest.raises(DataError, match="line 1: "):
        imported(filled, raw)


def test_a_missing_field_is_named(filled: Database):
    fields = line()
    del fields["key"]
    with pytest.raises(DataError, match="line 1: key: field required"):
        imported(filled, raw_of(fields))


def test_many_errors_are_counted(filled: Database):
    with pytest.raises(DataError, match=r"line 5: .*; and 3 more\.$"):
        imported(filled, b"{\n" * 8)


def test_labels_that_were_predicted_are_accepted(filled: Database):
    PredictionStore(filled).add([prediction(7, label="chem")])
    imported(filled, raw_of(line(key="one", predicted_label="bio")))
    wrong = [line(key=f"is-{label}", correct=False, label=label) for label in ("bio", "chem")]
    assert imported(filled, raw_of(*wrong)) == ImportResult(2, 0)


def test_fields_of_a_stored_prediction_may_be_omitted(filled: Database):
    PredictionStore(filled).add([prediction(1)])
    plain = raw_of(line(predicted_label=None, version=None, text_sha256=None))
    assert imported(filled, plain) == ImportResult(1, 0)
    stored = FeedbackStore(filled).all()[-1].feedback
    assert (stored.predicted_label, stored.version, stored.text_sha256) == ("A", "v1", f"{1:064x}")
    assert imported(filled, plain) == ImportResult(0, 1)


@pytest.mark.parametrize(
    ("name", "value"), [("predicted_label", "B"), ("version", "v2"), ("text_sha256", "0" * 64)]
)
def test_fields_that_contradict_the_stored_prediction_are_refused(
    filled: Database, name: str, value: str
):
    PredictionStore(filled).add([prediction(1, label="A61")])
    with pytest.raises(DataError, match=f"{name} '{value}' is not that of prediction '{ID(1)}'"):
        imported(filled, raw_of(line(**{name: value})))


def test_feedback_whose_prediction_is_not_stored_is_left_out(filled: Database):
    FeedbackStore(filled).add("old", Feedback(ID(9), True))
    left_out: Counter[str] = Counter()
    assert len(list(write(filled, left_out))) == 4
    assert left_out == {"rows of feedback whose prediction is not stored": 1}


def test_missing_fields_are_filled_in_from_the_store(filled: Database, database: Database):
    PredictionStore(filled).add([prediction(9)])
    FeedbackStore(filled).add("old", Feedback(ID(9), True))
    raw = exported(filled)
    assert imported(filled, raw) == ImportResult(0, 5)
    assert imported(database, raw) == ImportResult(5, 0)
    assert FeedbackStore(database).all()[-1].feedback.predicted_label == "A"


def test_a_nul_character_stored_by_sqlite_does_not_make_other_feedback(
    filled: Database, database: Database
):
    text = "A loom\0with healds."
    with_nul = Feedback(
        *(ID(1), True),
        **{"predicted_label": "A", "version": "v1", "text": text, "text_sha256": text_sha256(text)},
    )
    FeedbackStore(filled).add("old", with_nul)
    with filled.write() as connection:  # as stored by versions that did not remove NUL
        old = feedback.c.idempotency_key == "old"
        connection.execute(update(feedback).where(old).values(text=text))
    raw = exported(filled)
    assert imported(filled, raw) == ImportResult(0, 5)
    assert imported(database, raw) == ImportResult(5, 0)


def test_nul_characters_are_removed(database: Database):
    text = "A loom\0with healds."
    imported(database, raw_of(line(text=text, text_sha256=text_sha256(text), note="\0")))
    stored = FeedbackStore(database).all()[0].feedback
    assert (stored.text, stored.note) == ("A loom with healds.", " ")


def short(size: int) -> st.SearchStrategy[str | None]:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.none() | st.text(letters, max_size=size)


@st.composite
def feedback_rows(draw: st.DrawFn) -> Feedback:
    text = draw(short(50))
    correct = draw(st.booleans())
    return Feedback(
        ID(draw(st.integers(0, 5))),
        correct,
        label=None if correct else draw(st.sampled_from([None, "A", "A61", "G06F"])),
        note=draw(short(30)),
        reviewer=draw(short(10)),
        caller=draw(short(10)),
        predicted_label=draw(st.sampled_from(["A", "B01", "chemie"])),
        version="0123456789ab",
        text_sha256=text_sha256("another" if text is None else text),
        text=text,
        is_final=draw(st.booleans()),
        withdraws=draw(short(10)),
    )


def timestamps() -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    """Two stores for all examples, as creating one takes longer than everything else."""
    folder = tmp_path_factory.mktemp("stores")
    found = locate_store(folder / "a.db", {}), locate_store(folder / "b.db", {})
    yield found
    for database in found:
        database.close()


def without_numbers(database: Database) -> list[FeedbackRow]:
    """The stored feedback without its numbers, which differ between stores."""
    return [replace(given, number=0) for given in FeedbackStore(database).all()]


@settings(max_examples=50, deadline=None)
@given(entries=st.lists(st.tuples(timestamps(), feedback_rows()), max_size=6))
def test_any_feedback_round_trips(
    stores: tuple[Database, Database], entries: list[tuple[datetime, Feedback]]
):
    source, target = stores
    for database in stores:
        purge_before(database, datetime(2200, 1, 1, tzinfo=UTC), with_feedback=True)
    rows = [FeedbackRow(n, f"key-{n}", when, each) for n, (when, each) in enumerate(entries, 1)]
    FeedbackStore(source).add_all(rows)
    assert imported(target, exported(source)) == ImportResult(len(entries), 0)
    assert (
        without_numbers(target)
        == without_numbers(source)
        == [replace(row, number=0) for row in rows]
    )
    assert imported(target, exported(source)) == ImportResult(0, len(entries))
