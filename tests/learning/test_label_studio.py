"""Feedback as tasks of Label Studio."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import SHARED
from patclass.core.errors import DataError
from patclass.data.text import text_sha256
from patclass.learning.exchange import ImportResult
from patclass.learning.label_studio import read, write
from patclass.store.consensus import Feedback, consensus_of
from patclass.store.database import Database, locate_store
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionStore
from patclass.store.purge import purge_before
from patclass.store.reviews import ReviewStore
from store_rows import ID, prediction

TEXT = "A bandage with a grüne border."
HASH = text_sha256(TEXT)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = locate_store(tmp_path / "store.db", {})
    rows = [prediction(1, label="A61", version="0123456789ab", text_sha256=HASH), prediction(2)]
    PredictionStore(found).add(rows)
    yield found
    found.close()


def add_feedback(database: Database, key: str, **fields: Any) -> None:
    about = {"predicted_label": "A61", "version": "0123456789ab", "text_sha256": HASH, "text": TEXT}
    FeedbackStore(database).add(key, Feedback(ID(1), **({"correct": True} | about | fields)))


def exported(database: Database) -> tuple[list[dict[str, Any]], Counter[str]]:
    left_out: Counter[str] = Counter()
    return json.loads("".join(write(database, left_out))), left_out


def annotation(number: int, *labels: str, **fields: Any) -> dict[str, Any]:
    """As Label Studio exports it."""
    chosen = {
        "id": f"region-{number}",
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": list(labels)},
    }
    known = {
        "id": number,
        "completed_by": {"id": 7, "email": "ada@example.com", "first_name": "", "last_name": ""},
        "result": [chosen] if labels else [],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": f"2026-11-0{number}T10:00:00.000000Z",
        "updated_at": f"2026-11-0{number}T11:00:00.000000Z",
        "lead_time": 12.5,
    }
    return known | fields


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    known = {"text": TEXT, "prediction_id": ID(1)}
    found = {"id": 42, "data": known | data, "annotations": list(annotations)}
    return found | {"project": 3, "predictions": [], "drafts": []}


def imported(database: Database, *tasks: dict[str, Any]) -> ImportResult:
    return read(database, json.dumps(tasks).encode(), Counter())


def all_feedback(database: Database) -> list[tuple[bool, str | None, str | None]]:
    found = [given.feedback for given in FeedbackStore(database).all()]
    return [(each.correct, each.label, each.reviewer) for each in found]


def test_a_text_becomes_a_task(database: Database):
    add_feedback(database, "key-of-ada", reviewer="ada@example.com")
    add_feedback(database, "key-of-bob", correct=False, label="G06", reviewer="Bob")
    ((found,), left_out) = exported(database)
    assert found["data"] == {"text": TEXT, "prediction_id": ID(1)}
    (predicted,) = found["predictions"]
    assert (predicted["model_version"], predicted["score"]) == ("0123456789ab", 0.9)
    assert predicted["result"] == [
        {
            "id": ID(1),
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["A61"]},
        }
    ]
    ada, bob = found["annotations"]
    assert ada["completed_by"] == {"email": "ada@example.com"}
    assert "completed_by" not in bob
    assert [each["result"][0]["value"]["choices"] for each in (ada, bob)] == [["A61"], ["G06"]]
    assert left_out == {}


def test_only_valid_feedback_is_exported(database: Database):
    add_feedback(database, "key-of-ada")
    add_feedback(database, "key-of-bob", correct=False, label="G06", is_final=True)
    add_feedback(database, "undo", withdraws="key-of-ada")
    ((found,), _) = exported(database)
    (bob,) = found["annotations"]
    assert bob["ground_truth"]


def test_feedback_that_label_studio_cannot_represent_is_counted(database: Database):
    add_feedback(database, "unknown", correct=False)
    add_feedback(database, "no-text", text=None, text_sha256=f"{9:064x}")
    add_feedback(database, "old", text=None, text_sha256=None, predicted_label=None)
    ((found,), left_out) = exported(database)
    assert found["annotations"] == []
    assert left_out == {
        "rows of feedback without a label": 1,
        "rows of feedback whose text is not stored": 2,
    }


def test_the_text_stored_with_the_prediction_is_used(database: Database):
    PredictionStore(database).add([prediction(3, text=TEXT, text_sha256=HASH)])
    feedback = Feedback(ID(3), True, predicted_label="A", version="v1", text_sha256=HASH)
    FeedbackStore(database).add("key", feedback)
    ((found,), _) = exported(database)
    assert found["data"]["text"] == TEXT


def test_an_empty_store_exports_an_empty_array(database: Database):
    assert exported(database) == ([], {})


def test_annotations_become_feedback(database: Database):
    other = annotation(2, "G06F", completed_by=11)
    assert imported(database, task(annotation(1, "A61"), other)) == ImportResult(2, 0)
    assert all_feedback(database) == [(True, None, "ada@example.com"), (False, "G06F", "11")]
    first, _ = FeedbackStore(database).all()
    assert first.created.isoformat() == "2026-11-01T11:00:00+00:00"
    about = first.feedback
    assert (about.predicted_label, about.version, about.text) == ("A61", "0123456789ab", TEXT)
    assert about.text_sha256 == HASH
    assert [case.reason for case in ReviewStore(database).all()] == ["disputed"]


def test_a_repeated_import_counts_once(database: Database):
    both = task(annotation(1, "A61"), annotation(2, "G06", completed_by=11))
    imported(database, both)
    assert imported(database, both) == ImportResult(0, 2)
    another = task(annotation(1, "A61")) | {"id": 43}
    assert imported(database, both, another) == ImportResult(1, 2)


def test_a_changed_annotation_supersedes_the_earlier_feedback(database: Database):
    imported(database, task(annotation(1, "A61")))
    for hour, label in ((12, "G06"), (13, "A61")):
        again = annotation(1, label, updated_at=f"2026-11-01T{hour}:00:00Z")
        assert imported(database, task(again)) == ImportResult(1, 0)
    consensus = consensus_of(FeedbackStore(database).all())
    assert (consensus.label, consensus.disputed) == ("A61", False)


def test_the_latest_annotation_counts_in_any_order(database: Database):
    imported(database, task(annotation(3, "G06"), annotation(1, "A61")))
    assert [label for _, label, _ in all_feedback(database)] == [None, "G06"]


def test_exported_feedback_is_recognised_on_import(database: Database):
    add_feedback(database, "key-of-bob", correct=False, label="G06", reviewer="Bob")
    ((found,), _) = exported(database)
    (copy,) = found["annotations"]
    carried = annotation(1, "G06", result=copy["result"], completed_by=1)
    assert imported(database, task(carried)) == ImportResult(0, 1)
    changed = [copy["result"][0] | {"value": {"choices": ["H01"]}}]
    assert imported(database, task(carried | {"result": changed})) == ImportResult(1, 0)
    assert all_feedback(database) == [(False, "G06", "Bob"), (False, "H01", "1")]


def test_an_export_can_be_imported_unchanged(database: Database):
    add_feedback(database, "key-of-ada", reviewer="ada@example.com")
    add_feedback(database, "key-of-bob", correct=False, label="G06", reviewer="Bob")
    raw = "".join(write(database, Counter())).encode()
    assert read(database, raw, Counter()) == ImportResult(0, 2)
    purge_before(database, datetime(2200, 1, 1, tzinfo=UTC))
    assert PredictionStore(database).count() == 0
    assert read(database, raw, Counter()) == ImportResult(0, 2)  # without predictions


def test_annotations_without_a_label_are_counted(database: Database):
    left_out: Counter[str] = Counter()
    other = {"from_name": "comment", "type": "textarea", "value": {"text": ["hm"]}}
    file = [
        task(
            annotation(1, "A61", was_cancelled=True),
            annotation(2),
            annotation(3, result=[other]),
        )
    ]
    assert read(database, json.dumps(file).encode(), left_out) == ImportResult(0, 0)
    assert left_out == {"annotations that were skipped or have no label": 3}


def renamed(annotation: dict[str, Any], name: str) -> dict[str, Any]:
    return annotation | {"result": [annotation["result"][0] | {"from_name": name}]}


def of_taxonomy(annotation: dict[str, Any], *paths: list[str], name: str) -> dict[str, Any]:
    result = {"from_name": name, "type": "taxonomy", "value": {"taxonomy": list(paths)}}
    return annotation | {"result": [annotation["result"][0] | result]}


@pytest.mark.parametrize("name", ["label", "topic"])
@pytest.mark.parametrize(
    "paths",
    [[["A", "A61"]], [["A"], ["A", "A61"]], [["CPC", "A", "A 61"]]],
    ids=["path", "and its parent", "spelling"],
)
def test_the_end_of_a_taxonomy_path_is_the_label(
    database: Database, paths: list[list[str]], name: str
):
    found = imported(database, task(of_taxonomy(annotation(1, "x"), *paths, name=name)))
    assert found == ImportResult(1, 0)
    assert found.recognised == f"labels from '{name}' (taxonomy)"
    assert all_feedback(database) == [(True, None, "ada@example.com")]


def test_a_taxonomy_of_several_ends_is_several_labels(database: Database):
    several = of_taxonomy(annotation(1, "x"), ["A", "A61"], ["G", "G06"], name="label")
    with pytest.raises(DataError, match="task 42: chosen are A61, G06; expected one label"):
        imported(database, task(several))


def test_the_only_control_of_codes_is_read_whatever_its_name(database: Database):
    mood = {"from_name": "mood", "type": "choices", "value": {"choices": ["happy"]}}
    one = renamed(annotation(1, "G06F 3/01"), "topic")
    found = imported(database, task(one | {"result": [*one["result"], mood]}))
    assert (found, found.recognised) == (ImportResult(1, 0), "labels from 'topic' (choices)")
    assert all_feedback(database) == [(False, "G06F3/01", "ada@example.com")]


def test_the_control_label_is_read_before_others(database: Database):
    other = annotation(1, "G06")["result"][0] | {"from_name": "second"}
    both = annotation(2, "A61")
    found = imported(database, task(both | {"result": [other, *both["result"]]}))
    assert found.recognised == "labels from 'label' (choices)"
    assert all_feedback(database) == [(True, None, "ada@example.com")]


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ([renamed(annotation(1, "happy"), "mood")], "'mood' (choices)"),
        (
            [
                renamed(annotation(1, "A61"), "first"),
                of_taxonomy(annotation(2, "x"), ["A", "A61"], name="second"),
            ],
            "'first' (choices), 'second' (taxonomy)",
        ),
    ],
    ids=["no codes", "several"],
)
def test_controls_that_are_not_read_are_named(
    database: Database, annotations: list[dict[str, Any]], names: str
):
    left_out: Counter[str] = Counter()
    found = read(database, json.dumps([task(*annotations)]).encode(), left_out)
    assert (found, found.recognised) == (ImportResult(0, 0), None)
    assert left_out == {
        f"annotations by {names}; name the control of the codes 'label'": len(annotations)
    }


@pytest.mark.parametrize(
    ("name", "added", "recognised"),
    [
        ("ls-taxonomy.json", 1, "labels from 'label' (taxonomy)"),
        ("ls-othername.json", 1, "labels from 'sentiment' (choices)"),
        ("ls-newtask.json", 0, "labels from 'label' (choices)"),
    ],
)
def test_shared_exports_are_read_or_counted(
    database: Database, name: str, added: int, recognised: str
):
    if not SHARED.is_dir():
        pytest.skip("the shared inputs are not on this machine")
    raw = (SHARED / "cases" / name).read_bytes()
    (data,) = [task["data"] for task in json.loads(raw)]
    if "prediction_id" in data:
        known = prediction(5, label="D", text_sha256=text_sha256(data["text"]))
        PredictionStore(database).add([replace(known, id=data["prediction_id"])])
    left_out: Counter[str] = Counter()
    found = read(database, raw, left_out)
    assert (found, found.recognised) == (ImportResult(added, 0), recognised)
    assert left_out.total() == 1 - added


@pytest.mark.parametrize("number", [None, ""])
def test_tasks_that_were_made_there_are_counted(database: Database, number: str | None):
    new = task(annotation(1, "G06"), prediction_id=number)
    left_out: Counter[str] = Counter()
    found = read(database, json.dumps([new, task(annotation(1, "A61"))]).encode(), left_out)
    assert found == ImportResult(1, 0)
    assert left_out == {
        "tasks without prediction_id; have the service classify their texts first": 1
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            task(annotation(1, "A61", updated_at="2999-01-01T00:00:00Z")),
            "task 42: created: 2999-01-01T00:00:00.* is in the future",
        ),
        (task(annotation(1, "A61", "G06")), "task 42: chosen are A61, G06; expected one label"),
        (task(annotation(1, "sport")), "task 42: label 'sport' is no code of the CPC"),
        (task(annotation(1, "A61"), prediction_id="gone"), "task 42: prediction_id 'gone' is not"),
        (task(annotation(1, "A61"), text="Another."), f"task 42: it is not the text of .*{ID(1)}"),
        ({"id": 1, "text": TEXT, "label": "A61"}, "not as JSON-MIN: 1.data: field required"),
        (task({"id": 1}), r"1\.annotations\.0\.result: field required"),
    ],
)
def test_an_invalid_task_is_named_and_nothing_is_stored(
    database: Database, wrong: dict[str, Any], message: str
):
    with pytest.raises(DataError, match=message):
        imported(database, task(annotation(2, "A61")), wrong)
    assert FeedbackStore(database).all() == []


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'[{"data": 1}]'])
def test_a_file_that_is_not_an_export_is_refused(database: Database, raw: bytes):
    with pytest.raises(DataError, match="expected what Label Studio exports as JSON"):
        read(database, raw, Counter())
