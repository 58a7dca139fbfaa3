"""Feedback as records of Argilla 2. Knows the file of ``records.to_json``, no server.

Labels are responses to a question "label" about a field "text"; a record's id is that of the
prediction. The file has no times, so a reviewer's return to their first label is not recognised.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from patclass.core.errors import DataError
from patclass.learning.exchange import ImportResult, first_error
from patclass.learning.labelling import (
    Annotation,
    Task,
    annotation_key,
    import_annotations,
    json_array,
    tasks,
)
from patclass.store.consensus import FeedbackRow
from patclass.store.database import Database

_QUESTION, _FIELD = "label", "text"


class _Response(BaseModel):
    value: str | None
    user_id: str | None = Field(None, max_length=100)


class _Fields(BaseModel):
    text: str | None = None


class _Responses(BaseModel):
    label: list[_Response] = []


class _Record(BaseModel):
    id: str
    fields: _Fields
    responses: _Responses = _Responses()


_FILE = TypeAdapter(list[_Record])


def write(database: Database, left_out: Counter[str]) -> Iterator[str]:
    """One record for each text: the predicted label as suggestion, each user's latest response.

    :param left_out: is increased by the number of rows that have no such form, by reason.
    :raises StoreError: if the store cannot be read.
    """
    return json_array(_record(task, left_out) for task in tasks(database, left_out))


def read(database: Database, raw: bytes, left_out: Counter[str]) -> ImportResult:
    """Import the responses of records as feedback.

    :param left_out: is increased by the number of responses without a label.
    :raises DataError: if the file is malformed, or contradicts this store.
    :raises StoreError: if the store cannot be used.
    """
    try:
        records = _FILE.validate_json(raw)
    except ValidationError as problem:
        raise DataError(
            f"expected what Argilla's records.to_json writes: {first_error(problem)}."
        ) from problem
    annotations = []
    for number, record in enumerate(records, 1):
        for response in record.responses.label:
            if not response.value:
                left_out["responses without a label"] += 1
                continue
            annotation = Annotation(
                location=f"record {number}",
                key=annotation_key("argilla", record.id, response.user_id, response.value),
                prediction_id=record.id,
                label=response.value,
                reviewer=response.user_id,
                text=record.fields.text,
            )
            annotations.append(annotation)
    return import_annotations(database, annotations)


def _record(task: Task, left_out: Counter[str]) -> dict[str, Any]:
    suggestion = {"value": task.predicted_label, "score": task.score, "agent": task.version}
    responses = _responses(task, left_out)
    return {
        "id": task.prediction_id,
        "fields": {_FIELD: task.text},
        "metadata": {},
        "suggestions": {} if task.predicted_label is None else {_QUESTION: suggestion},
        "responses": {_QUESTION: responses} if responses else {},
        "vectors": {},
    }


def _responses(task: Task, left_out: Counter[str]) -> list[dict[str, str]]:
    """The latest label of each user, as Argilla allows one response a user."""
    latest: dict[str, str] = {}
    for row in task.feedback:
        user, label = _user_id(row), row.feedback.true_label
        if label is None:
            left_out["rows of feedback without a label"] += 1
        elif user is None:
            left_out["rows of feedback by reviewers who are not users of Argilla"] += 1
        else:
            latest[user] = label
    return [{"value": label, "user_id": user} for user, label in latest.items()]


def _user_id(row: FeedbackRow) -> str | None:
    """The reviewer's id in Argilla, which rejects a file with other names; None if it is no id."""
    try:
        return str(UUID(row.feedback.reviewer or ""))
    except ValueError:
        return None
