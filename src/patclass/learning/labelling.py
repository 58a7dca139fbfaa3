"""Tasks for labelling tools, and annotations from them. Knows no tool's file format."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from patclass.data.text import text_sha256
from patclass.learning.exchange import (
    ImportedFeedback,
    ImportResult,
    import_rows,
    raise_problems,
    unknown_prediction,
)
from patclass.store.consensus import Feedback, FeedbackRow, group_by_text, valid_feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore


@dataclass(frozen=True)
class Annotation:
    """A label that an annotator chose in a labelling tool.

    :param location: where it is in the tool's file, for messages.
    :param created: None if the tool does not export it.
    :param copy_of: the key of the feedback that it was exported from, if it was.
    """

    location: str
    key: str
    prediction_id: str
    label: str
    reviewer: str | None
    text: str | None
    created: datetime | None = None
    copy_of: str | None = None


@dataclass(frozen=True)
class Task:
    """A text to label.

    :param predicted_label: the label predicted by the model of ``version``.
    :param score: its confidence; None if the prediction is not stored.
    :param feedback: valid feedback on the text.
    """

    prediction_id: str
    text: str
    predicted_label: str | None
    version: str | None
    score: float | None
    feedback: tuple[FeedbackRow, ...]


def tasks(database: Database, left_out: Counter[str]) -> Iterator[Task]:
    """One task for each text with feedback, in the order of the first feedback.

    :param left_out: is increased by the number of rows of feedback whose text is not stored.
    :raises StoreError: if the store cannot be read.
    """
    predictions = PredictionStore(database)
    for rows in FeedbackStore(database).by_text():
        task = _task(rows, predictions)
        if task is None:
            left_out["rows of feedback whose text is not stored"] += len(rows)
        else:
            yield task


def _task(rows: Sequence[FeedbackRow], predictions: PredictionStore) -> Task | None:
    """The task for the text of some feedback; None if the text is not stored."""
    valid = valid_feedback(rows)
    last = (valid or rows)[-1].feedback
    if last.text_sha256 is None:
        return None
    prediction = predictions.get(last.prediction_id)
    texts = [row.feedback.text for row in rows]
    if prediction is not None:
        texts.append(prediction.text)
    text = next((text for text in texts if text is not None), None)
    if text is None:
        return None
    score = None if prediction is None else prediction.confidence
    return Task(last.prediction_id, text, last.predicted_label, last.version, score, tuple(valid))


def json_array(items: Iterable[Any]) -> Iterator[str]:
    """A JSON array, in pieces."""
    separator = "[\n"
    for item in items:
        yield separator + json.dumps(item, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def annotation_key(tool: str, *parts: object) -> str:
    """An idempotency key for the annotation that a tool identifies by ``parts``."""
    return f"{tool}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def import_annotations(database: Database, annotations: Sequence[Annotation]) -> ImportResult:
    """Store annotations as feedback: the predicted label is correct if it was chosen.

    :raises DataError: if a prediction or a label is not known, or the text is a different one.
    :raises StoreError: if the store cannot be used.
    """
    store = FeedbackStore(database)
    predictions = PredictionStore(database).get_many([a.prediction_id for a in annotations])
    stored = store.get_many([key for a in annotations for key in (a.key, a.copy_of) if key])
    without_time = any(annotation.created is None for annotation in annotations)
    earlier = _EarlierFeedback(store.all() if without_time else ())
    imported, problems = [], []
    for annotation in annotations:
        location = annotation.location
        prediction = predictions.get(annotation.prediction_id)
        row = _stored_row(annotation, stored) or earlier.find(annotation, prediction)
        if row is None and prediction is None:
            problems.append(f"{location}: {unknown_prediction(annotation.prediction_id)}")
        elif prediction is not None and _text_differs(annotation, prediction):
            problems.append(f"{location}: it is not the text of prediction '{prediction.id}'")
        else:
            imported.append(ImportedFeedback(location, row or _new_row(annotation, prediction)))
    raise_problems(problems)
    return import_rows(database, imported)


def _text_differs(annotation: Annotation, prediction: PredictionRow) -> bool:
    return bool(annotation.text) and text_sha256(annotation.text or "") != prediction.text_sha256


def _stored_row(annotation: Annotation, stored: dict[str, FeedbackRow]) -> FeedbackRow | None:
    """The stored feedback that an annotation is equal to, if there is any."""
    original = stored.get(annotation.copy_of or "")
    if original is not None and original.feedback.true_label == annotation.label:
        return original
    return stored.get(annotation.key)


class _EarlierFeedback:
    """Stored feedback, to recognise annotations of a tool that exports neither keys nor times."""

    def __init__(self, rows: Sequence[FeedbackRow]) -> None:
        self._by_text = group_by_text(rows)
        self._text_hashes = {row.feedback.prediction_id: row.feedback.text_sha256 for row in rows}

    def find(self, annotation: Annotation, prediction: PredictionRow | None) -> FeedbackRow | None:
        """Feedback by the same reviewer with the same label, even if it was withdrawn."""
        if annotation.created is not None or annotation.reviewer is None:
            return None
        text_sha256 = (
            self._text_hashes.get(annotation.prediction_id)
            if prediction is None
            else prediction.text_sha256
        )
        for row in self._by_text.get(text_sha256 or "", ()):
            feedback = row.feedback
            if (
                feedback.withdraws is None
                and (feedback.reviewer or "").lower() == annotation.reviewer.lower()
                and feedback.true_label == annotation.label
            ):
                return row
        return None


def _new_row(annotation: Annotation, prediction: PredictionRow | None) -> FeedbackRow:
    assert prediction is not None
    correct = annotation.label == prediction.label
    feedback = Feedback(
        prediction.id,
        correct,
        label=None if correct else annotation.label,
        reviewer=annotation.reviewer,
        predicted_label=prediction.label,
        version=prediction.version,
        text_sha256=prediction.text_sha256,
        text=annotation.text or prediction.text,
    )
    return FeedbackRow(0, annotation.key, annotation.created or datetime.now(UTC), feedback)
