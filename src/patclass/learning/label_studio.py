"""Verdicts as tasks of Label Studio. Knows its JSON; the store is behind ``labelling``.

The labels are the choices of a control "label" over a text "text". Label Studio keeps the ids of
results when it imports annotations, so there a verdict has its key and is known when it comes back.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from patclass.core.errors import DataError
from patclass.learning.exchange import Taken, explain
from patclass.learning.labelling import Choice, Task, as_array, key_of, take_choices, tasks
from patclass.store.consensus import FeedbackRow
from patclass.store.database import Database

_CONTROL, _OBJECT = "label", "text"


class _User(BaseModel):
    id: int | None = None
    email: str | None = Field(None, max_length=100)


class _Value(BaseModel):
    choices: list[str] = []


class _Result(BaseModel):
    id: str | None = None
    from_name: str | None = None
    type: str | None = None
    value: _Value = _Value()


class _Annotation(BaseModel):
    id: int | str | None = None
    completed_by: _User | int | str | None = None
    result: list[_Result]
    was_cancelled: bool | None = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Data(BaseModel):
    prediction_id: str
    text: str | None = None


class _Task(BaseModel):
    id: int | str | None = None
    data: _Data
    annotations: list[_Annotation]


_FILE = TypeAdapter(list[_Task])


def write(database: Database, left_out: Counter[str]) -> Iterator[str]:
    """A task for each text, with the model's answer and what people say.

    :param left_out: gains the numbers of verdicts that cannot be said so, by reason.
    :raises StoreError: if the store cannot be read.
    """
    return as_array(_written(task, left_out) for task in tasks(database, left_out))


def read(database: Database, raw: bytes, left_out: Counter[str]) -> Taken:
    """Keep the annotations of an export as verdicts.

    :param left_out: gains the number of annotations that choose nothing.
    :raises DataError: if it is no export, or does not fit this store.
    :raises StoreError: if the store cannot be used.
    """
    try:
        found = _FILE.validate_json(raw)
    except ValidationError as problem:
        raise DataError(
            f"expected what Label Studio exports as JSON, not as JSON-MIN: {explain(problem)}."
        ) from problem
    choices = []
    for number, task in enumerate(found, 1):
        for annotation in task.annotations:
            choice = _choice(f"task {task.id or number}", task, annotation)
            if choice is None:
                left_out["annotations that were skipped or choose no label"] += 1
            else:
                choices.append(choice)
    # Of each person the last word counts, and the file need not have it last.
    choices.sort(key=lambda choice: choice.created or datetime.max.replace(tzinfo=UTC))
    return take_choices(database, choices)


def _written(task: Task, left_out: Counter[str]) -> dict[str, Any]:
    annotations = []
    for given in task.said:
        label = given.feedback.true_label
        if label is None:
            left_out["verdicts that name no label"] += 1
        else:
            annotations.append(_annotation(given, label))
    answer = [] if task.answer is None else [_prediction(task, task.answer)]
    data = {"text": task.text, "prediction_id": task.prediction_id}
    return {"data": data, "predictions": answer, "annotations": annotations}


def _prediction(task: Task, answer: str) -> dict[str, Any]:
    result = [_chosen(task.prediction_id, answer)]
    score = {} if task.score is None else {"score": task.score}
    return {"model_version": task.version, **score, "result": result}


def _annotation(given: FeedbackRow, label: str) -> dict[str, Any]:
    verdict = given.feedback
    annotation: dict[str, Any] = {
        "result": [_chosen(given.key, label)],
        "was_cancelled": False,
        "ground_truth": verdict.is_final,
        "created_at": given.created.isoformat(),
    }
    # It looks people up by e-mail; an annotation of anybody else is that of whoever imports it.
    if verdict.reviewer is not None and "@" in verdict.reviewer:
        annotation["completed_by"] = {"email": verdict.reviewer}
    return annotation


def _chosen(name: str, label: str) -> dict[str, Any]:
    return {
        "id": name,
        "from_name": _CONTROL,
        "to_name": _OBJECT,
        "type": "choices",
        "value": {"choices": [label]},
    }


def _choice(place: str, task: _Task, annotation: _Annotation) -> Choice | None:
    """What an annotation says; None if it says nothing.

    :raises DataError: if it says more than one thing.
    """
    results = [r for r in annotation.result if r.type == "choices" and r.from_name == _CONTROL]
    labels = [label for result in results for label in result.value.choices]
    if annotation.was_cancelled or not labels:
        return None
    if len(labels) > 1:
        raise DataError(
            f"nothing was imported: {place}: chosen are {', '.join(labels)}; expected one label. "
            'Set choice="single" and correct it there.'
        )
    reviewer, when = _person(annotation.completed_by), annotation.updated_at
    parts = (task.id, annotation.id, results[0].id, reviewer, when and when.isoformat())
    when = when or annotation.created_at
    return Choice(
        place,
        key_of("label-studio", task.data.prediction_id, *parts, labels[0]),
        task.data.prediction_id,
        labels[0],
        reviewer,
        task.data.text,
        when if when is None or when.tzinfo else when.replace(tzinfo=UTC),
        copy_of=results[0].id,
    )


def _person(user: _User | int | str | None) -> str | None:
    """By e-mail, else by the number that people have there."""
    if isinstance(user, _User):
        user = user.email or user.id
    return None if user is None else str(user)
