"""Verdicts as records of Argilla 2. Knows the file of ``records.to_json``, no server.

The labels are answers to a question "label" about a field "text"; a record's id is that of the
prediction. The file has no times: who goes back there to what they first said is not noticed.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from patclass.core.errors import DataError
from patclass.learning.exchange import Taken, explain
from patclass.learning.labelling import Choice, Task, as_array, key_of, take_choices, tasks
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
    """A record for each text, the model's answer suggested, with the last word of each user.

    :param left_out: gains the numbers of verdicts that cannot be said so, by reason.
    :raises StoreError: if the store cannot be read.
    """
    return as_array(_written(task, left_out) for task in tasks(database, left_out))


def read(database: Database, raw: bytes, left_out: Counter[str]) -> Taken:
    """Keep the responses of records as verdicts.

    :param left_out: gains the number of responses without a value.
    :raises DataError: if they are no records, or do not fit this store.
    :raises StoreError: if the store cannot be used.
    """
    try:
        found = _FILE.validate_json(raw)
    except ValidationError as problem:
        raise DataError(
            f"expected what Argilla's records.to_json writes: {explain(problem)}."
        ) from problem
    choices = []
    for number, record in enumerate(found, 1):
        for response in record.responses.label:
            if not response.value:
                left_out["responses without a label"] += 1
                continue
            key = key_of("argilla", record.id, response.user_id, response.value)
            person, text = response.user_id, record.fields.text
            place = f"record {number}"
            choices.append(Choice(place, key, record.id, response.value, person, text))
    return take_choices(database, choices)


def _written(task: Task, left_out: Counter[str]) -> dict[str, Any]:
    suggestion = {"value": task.answer, "score": task.score, "agent": task.version}
    responses = _responses(task, left_out)
    return {
        "id": task.prediction_id,
        "fields": {_FIELD: task.text},
        "metadata": {},
        "suggestions": {} if task.answer is None else {_QUESTION: suggestion},
        "responses": {_QUESTION: responses} if responses else {},
        "vectors": {},
    }


def _responses(task: Task, left_out: Counter[str]) -> list[dict[str, str]]:
    """One for each user at most, as Argilla has it."""
    last: dict[str, str] = {}
    for given in task.said:
        user, label = _user(given), given.feedback.true_label
        if label is None:
            left_out["verdicts that name no label"] += 1
        elif user is None:
            left_out["verdicts of people who are no users of Argilla"] += 1
        else:
            last[user] = label
    return [{"value": label, "user_id": user} for user, label in last.items()]


def _user(given: FeedbackRow) -> str | None:
    """The id by which Argilla knows a reviewer; it refuses a file that names anybody else."""
    try:
        return str(UUID(given.feedback.reviewer or ""))
    except ValueError:
        return None
