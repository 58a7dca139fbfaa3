"""Feedback as tasks of Label Studio. Knows its JSON; ``labelling`` knows the store.

Labels are the choices of a control "label" over a text "text". Label Studio keeps the ids of the
results that it imports, so the idempotency key is used as id, and recognised when it comes back.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

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


class _StudioAnnotation(BaseModel):
    id: int | str | None = None
    completed_by: _User | int | str | None = None
    result: list[_Result]
    was_cancelled: bool | None = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Data(BaseModel):
    prediction_id: str
    text: str | None = None


class _StudioTask(BaseModel):
    id: int | str | None = None
    data: _Data
    annotations: list[_StudioAnnotation]


_FILE = TypeAdapter(list[_StudioTask])


def write(database: Database, left_out: Counter[str]) -> Iterator[str]:
    """One task for each text, with the prediction and the annotations of reviewers.

    :param left_out: is increased by the number of rows without a label.
    :raises StoreError: if the store cannot be read.
    """
    return json_array(_studio_task(task, left_out) for task in tasks(database, left_out))


def read(database: Database, raw: bytes, left_out: Counter[str]) -> ImportResult:
    """Import the annotations of an export as feedback.

    :param left_out: is increased by the number of annotations without a label.
    :raises DataError: if the file is malformed, or contradicts this store.
    :raises StoreError: if the store cannot be used.
    """
    try:
        studio_tasks = _FILE.validate_json(raw)
    except ValidationError as problem:
        raise DataError(
            f"expected what Label Studio exports as JSON, not as JSON-MIN: {first_error(problem)}."
        ) from problem
    annotations = []
    for number, task in enumerate(studio_tasks, 1):
        for studio_annotation in task.annotations:
            annotation = _read_annotation(f"task {task.id or number}", task, studio_annotation)
            if annotation is None:
                left_out["annotations that were skipped or have no label"] += 1
            else:
                annotations.append(annotation)
    # The latest annotation of a reviewer counts, and it need not be the last in the file.
    annotations.sort(key=lambda each: each.created or datetime.max.replace(tzinfo=UTC))
    return import_annotations(database, annotations)


def _studio_task(task: Task, left_out: Counter[str]) -> dict[str, Any]:
    annotations = []
    for row in task.feedback:
        label = row.feedback.true_label
        if label is None:
            left_out["rows of feedback without a label"] += 1
        else:
            annotations.append(_studio_annotation(row, label))
    label = task.predicted_label
    predictions = [] if label is None else [_studio_prediction(task, label)]
    data = {"text": task.text, "prediction_id": task.prediction_id}
    return {"data": data, "predictions": predictions, "annotations": annotations}


def _studio_prediction(task: Task, label: str) -> dict[str, Any]:
    result = [_studio_result(task.prediction_id, label)]
    score = {} if task.score is None else {"score": task.score}
    return {"model_version": task.version, **score, "result": result}


def _studio_annotation(row: FeedbackRow, label: str) -> dict[str, Any]:
    reviewer = row.feedback.reviewer
    annotation: dict[str, Any] = {
        "result": [_studio_result(row.key, label)],
        "was_cancelled": False,
        "ground_truth": row.feedback.is_final,
        "created_at": row.created.isoformat(),
    }
    # Label Studio finds users by e-mail, and attributes all other annotations to the importing one.
    if reviewer is not None and "@" in reviewer:
        annotation["completed_by"] = {"email": reviewer}
    return annotation


def _studio_result(id: str, label: str) -> dict[str, Any]:
    return {
        "id": id,
        "from_name": _CONTROL,
        "to_name": _OBJECT,
        "type": "choices",
        "value": {"choices": [label]},
    }


def _read_annotation(
    location: str, task: _StudioTask, annotation: _StudioAnnotation
) -> Annotation | None:
    """An annotation's label; None if it was skipped or has none.

    :raises DataError: if it has more than one label.
    """
    results = [r for r in annotation.result if r.type == "choices" and r.from_name == _CONTROL]
    labels = [label for result in results for label in result.value.choices]
    if annotation.was_cancelled or not labels:
        return None
    if len(labels) > 1:
        raise DataError(
            f"nothing was imported: {location}: chosen are {', '.join(labels)}; expected one "
            'label. Set choice="single" and correct it there.'
        )
    prediction_id, label, result_id = task.data.prediction_id, labels[0], results[0].id
    reviewer, updated = _reviewer(annotation.completed_by), annotation.updated_at
    parts = (task.id, annotation.id, result_id, reviewer, updated and updated.isoformat())
    created = updated or annotation.created_at
    if created is not None and created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return Annotation(
        location=location,
        key=annotation_key("label-studio", prediction_id, *parts, label),
        prediction_id=prediction_id,
        label=label,
        reviewer=reviewer,
        text=task.data.text,
        created=created,
        copy_of=result_id,
    )


def _reviewer(user: _User | int | str | None) -> str | None:
    """A user's e-mail address, else their id in Label Studio."""
    if isinstance(user, _User):
        user = user.email or user.id
    return None if user is None else str(user)
