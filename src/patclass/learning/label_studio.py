"""Feedback as tasks of Label Studio. Knows its JSON; ``labelling`` knows the store.

Labels are the choices of a control "label" over a text "text"; a control of another name or a
taxonomy is read too if it is the only one of codes. Label Studio keeps the ids of the results that
it imports, so the idempotency key is used as id, and recognised when it comes back.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from patclass.core.errors import DataError
from patclass.cpc.scheme import parse_code
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
from patclass.store.feedback import FeedbackStore

_CONTROL, _OBJECT = "label", "text"


class _User(BaseModel):
    id: int | None = None
    email: str | None = Field(None, max_length=100)


class _Value(BaseModel):
    choices: list[str] = []
    taxonomy: list[list[str]] = []


class _Result(BaseModel):
    id: str | None = None
    from_name: str | None = None
    type: str | None = None
    value: _Value = _Value()

    @property
    def control(self) -> str:
        """The control in words: its name and its type."""
        return f"'{self.from_name}' ({self.type})"

    @property
    def labels(self) -> list[str]:
        """The choices; of a taxonomy, the ends of the paths."""
        paths = self.value.taxonomy
        ends = [
            path[-1]
            for path in paths
            if path and not any(len(o) > len(path) and o[: len(path)] == path for o in paths)
        ]
        return [*self.value.choices, *ends]


class _StudioAnnotation(BaseModel):
    id: int | str | None = None
    completed_by: _User | int | str | None = None
    result: list[_Result]
    was_cancelled: bool | None = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Data(BaseModel):
    prediction_id: str | None = None
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

    :param left_out: is increased by the number of annotations without a label, and of tasks without
        a prediction.
    :raises DataError: if the file is malformed, or contradicts this store.
    :raises StoreError: if the store cannot be used.
    """
    try:
        studio_tasks = _FILE.validate_json(raw)
    except ValidationError as problem:
        raise DataError(
            f"expected what Label Studio exports as JSON, not as JSON-MIN: {first_error(problem)}."
        ) from problem
    codes = _Codes(database)
    every = _controls_in(studio_tasks)
    controls = _controls_of_labels(every, codes)
    annotations = []
    for number, task in enumerate(studio_tasks, 1):
        if not task.data.prediction_id:
            left_out[
                "tasks without prediction_id; have the service classify their texts first"
            ] += 1
            continue
        for studio_annotation in task.annotations:
            annotation = _read_annotation(
                f"task {task.id or number}", task, studio_annotation, controls, codes
            )
            if annotation is not None:
                annotations.append(annotation)
            elif not controls and _labelled(studio_annotation):
                names = ", ".join(every)
                left_out[f"annotations by {names}; name the control of the codes 'label'"] += 1
            else:
                left_out["annotations that were skipped or have no label"] += 1
    # The latest annotation of a reviewer counts, and it need not be the last in the file.
    annotations.sort(key=lambda each: each.created or datetime.max.replace(tzinfo=UTC))
    found = f"labels from {' and '.join(controls)}" if controls else None
    return replace(import_annotations(database, annotations), recognised=found)


class _Codes:
    """What counts as a label: codes of the CPC in any spelling, and labels of predictions."""

    def __init__(self, database: Database) -> None:
        self._predicted = FeedbackStore(database).predicted_labels()

    def find(self, label: str) -> str | None:
        """The label that is meant; None if it is none."""
        if label in self._predicted:
            return label
        with suppress(DataError):
            return parse_code(label)
        return None


def _labelled(annotation: _StudioAnnotation) -> list[_Result]:
    """The results that may be labels; none if the annotation was skipped."""
    if annotation.was_cancelled:
        return []
    return [result for result in annotation.result if result.from_name and result.labels]


def _controls_in(tasks: Sequence[_StudioTask]) -> dict[str, set[str]]:
    """The labels of each control."""
    labels: dict[str, set[str]] = {}
    for task in tasks:
        for annotation in task.annotations:
            for result in _labelled(annotation):
                labels.setdefault(result.control, set()).update(result.labels)
    return labels


def _controls_of_labels(labels: Mapping[str, Collection[str]], codes: _Codes) -> list[str]:
    """The controls that are read: "label", else the only one that gives codes alone."""
    named = [control for control in labels if control.startswith(f"'{_CONTROL}' ")]
    giving = [control for control in labels if None not in map(codes.find, labels[control])]
    return named or (giving if len(giving) == 1 else [])


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
    location: str,
    task: _StudioTask,
    annotation: _StudioAnnotation,
    controls: Sequence[str],
    codes: _Codes,
) -> Annotation | None:
    """An annotation's label; None if it was skipped or has none.

    :raises DataError: if it has more than one label.
    """
    results = [result for result in _labelled(annotation) if result.control in controls]
    labels = [label for result in results for label in result.labels]
    if task.data.prediction_id is None or not labels:
        return None
    if len(labels) > 1:
        raise DataError(
            f"nothing was imported: {location}: chosen are {', '.join(labels)}; expected one "
            'label. Set choice="single" and correct it there.'
        )
    label = codes.find(labels[0]) or labels[0]
    prediction_id, result_id = task.data.prediction_id, results[0].id
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
