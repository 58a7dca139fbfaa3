"""Export and import of feedback as JSON lines. Knows rows, no labelling tool.

An import is validated as a whole before anything is stored, and stored as a whole or not at all.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from patclass.core.errors import DataError
from patclass.core.progress import track
from patclass.cpc.scheme import changes, parse_code
from patclass.data.text import text_sha256
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore

# Tolerated difference between the clocks of two machines.
_CLOCK_TOLERANCE = timedelta(days=1)

# Problems of a file that are reported in full; the others are counted.
_MAX_REPORTED = 5


@dataclass(frozen=True)
class ImportedFeedback:
    """Feedback read from a file.

    :param location: where it is in the file, for messages.
    :param row: the feedback; its number is not used.
    """

    location: str
    row: FeedbackRow


@dataclass(frozen=True)
class ImportResult:
    """Number of rows of a file that were added, and of those that were stored already.

    :param recognised: what was recognised of the file, for the user.
    """

    added: int
    duplicates: int
    recognised: str | None = field(default=None, compare=False)


class FeedbackLine(BaseModel):
    """A row of feedback as one line of JSON; the bounds are those of the table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str = Field(min_length=1, max_length=100)
    created: AwareDatetime
    prediction_id: str = Field(pattern="^[0-9a-f]{32}$")
    correct: bool
    label: str | None = Field(None, max_length=200)
    note: str | None = None
    reviewer: str | None = Field(None, max_length=100)
    caller: str | None = Field(None, max_length=100)
    predicted_label: str | None = Field(None, max_length=200)
    version: str | None = Field(None, max_length=12)
    text_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    text: str | None = None
    is_final: bool = False
    withdraws: str | None = Field(None, max_length=100)

    @model_validator(mode="after")
    def _check_consistency(self) -> "FeedbackLine":
        if self.correct and self.label is not None:
            raise ValueError("label: expected none, as the prediction is marked as correct")
        if self.text is not None and self.text_sha256 != text_sha256(self.text):
            raise ValueError(
                "text_sha256: it is not that of the text; 'patclass store hash' prints it"
            )
        return self

    def to_row(self) -> FeedbackRow:
        """The row, without its number."""
        fields = self.model_dump()
        return FeedbackRow(0, fields.pop("key"), fields.pop("created"), Feedback(**fields))


def write(database: Database, left_out: Counter[str]) -> Iterator[str]:
    """All rows of feedback, one line of JSON each.

    :param left_out: is increased by the number of rows that no other store could import.
    :raises StoreError: if the store cannot be read.
    """
    predictions = PredictionStore(database)
    for row in FeedbackStore(database).iterate():
        feedback = row.feedback
        if None in _prediction_fields(feedback).values():
            feedback = _fill_in(feedback, predictions.get(feedback.prediction_id))
        if None in _prediction_fields(feedback).values():
            left_out["rows of feedback whose prediction is not stored"] += 1
            continue
        fields = {"key": row.key, "created": row.created.isoformat()} | asdict(feedback)
        yield json.dumps(fields, ensure_ascii=False) + "\n"


def read(database: Database, raw: bytes, left_out: Counter[str]) -> ImportResult:
    """Import rows that were written by ``write``.

    :param left_out: is not changed, as no row is left out.
    :raises DataError: if a line is malformed, or contradicts this store.
    :raises StoreError: if the store cannot be used.
    """
    imported, problems = [], []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        location = f"line {number}"
        try:
            row = FeedbackLine.model_validate_json(line).to_row()
        except ValidationError as problem:
            problems.append(f"{location}: {first_error(problem)}")
        else:
            imported.append(ImportedFeedback(location, row))
    raise_problems(problems)
    return import_rows(database, imported)


def first_error(problem: ValidationError) -> str:
    """The first error: the field, its value, and what was expected."""
    first = problem.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(map(str, first["loc"]))
    if not field:
        return message
    value = "" if first["type"] == "missing" else f" {first['input']!r:.60}"
    return f"{field}{value}: {message[0].lower()}{message[1:]}"


def import_rows(database: Database, imported: Sequence[ImportedFeedback]) -> ImportResult:
    """Store imported feedback, all rows or none; open review cases for disputes it causes.

    :raises DataError: if a key is used for other feedback, or a prediction or label is not known.
    :raises StoreError: if the store cannot be used.
    """
    store = FeedbackStore(database)
    ids = [each.row.feedback.prediction_id for each in imported]
    predictions = PredictionStore(database).get_many(ids)
    stored = store.get_many([each.row.key for each in imported])
    labels = store.predicted_labels() | {each.row.feedback.predicted_label for each in imported}
    new: dict[str, FeedbackRow] = {}
    problems = []
    for each in imported:
        row = each.row
        existing = stored.get(row.key) or new.get(row.key)
        if existing is None:
            prediction = predictions.get(row.feedback.prediction_id)
            row = replace(row, feedback=_fill_in(row.feedback, prediction))
            new[row.key] = row
            problem = _problem_with(row, prediction, labels)
        else:
            here, there = row.feedback, existing.feedback
            same = _fill_in(there, here) == _fill_in(here, there)
            problem = None if same else f"the key '{row.key}' is used for other feedback here"
        if problem is not None:
            problems.append(f"{each.location}: {problem}")
    raise_problems(problems)
    try:
        added = store.add_all(track(new.values(), "importing"))
    except ValueError as problem:  # another process used a key after the check above
        raise DataError(f"nothing was imported: {problem}.") from problem
    return ImportResult(added, len(imported) - added)


def _prediction_fields(source: Feedback | PredictionRow) -> dict[str, str | None]:
    """The fields of feedback that repeat those of the prediction."""
    label = source.predicted_label if isinstance(source, Feedback) else source.label
    return {
        "predicted_label": label,
        "version": source.version,
        "text_sha256": source.text_sha256,
    }


def _fill_in(feedback: Feedback, source: Feedback | PredictionRow | None) -> Feedback:
    """Feedback with its missing fields taken from ``source``."""
    if source is None:
        return feedback
    values = _prediction_fields(source)
    missing: dict[str, Any] = {
        name: values[name] for name, value in _prediction_fields(feedback).items() if value is None
    }
    return replace(feedback, **missing)


def _problem_with(
    row: FeedbackRow, prediction: PredictionRow | None, labels: set[Any]
) -> str | None:
    """Why feedback cannot be imported; None if it can.

    :param prediction: the prediction, if it is stored here.
    :param labels: that were ever predicted.
    """
    feedback = row.feedback
    if row.created > datetime.now(UTC) + _CLOCK_TOLERANCE:
        return f"created: {row.created.isoformat()} is in the future; correct it"
    label = feedback.label
    if label is not None and label not in labels and _code(label) != label:
        if label in changes():
            return f"label '{label}' {changes()[label]}; correct it"
        written = f", where it would be '{_code(label)}'," if _code(label) else ""
        return f"label '{label}' is no code of the CPC{written} and was never predicted; correct it"
    fields = _prediction_fields(feedback)
    if prediction is None:
        # Feedback from another store has all fields.
        return unknown_prediction(feedback.prediction_id) if None in fields.values() else None
    for name, expected in _prediction_fields(prediction).items():
        if fields[name] != expected:
            return (
                f"{name} '{fields[name]}' is not that of prediction '{prediction.id}' "
                f"('{expected}'); leave it out"
            )
    return None


def _code(label: str) -> str | None:
    """The code of the CPC that a label names in any spelling; None if it names none."""
    with suppress(DataError):
        return parse_code(label)
    return None


def unknown_prediction(prediction_id: str) -> str:
    """The message that a prediction is not stored."""
    return (
        f"prediction_id '{prediction_id}' is not stored here, or was purged; import into the store "
        "that it comes from, or leave it out"
    )


def raise_problems(problems: Sequence[str]) -> None:
    """Reject a file that has problems.

    :raises DataError: naming the first ones.
    """
    if problems:
        more = len(problems) - _MAX_REPORTED
        rest = f"; and {more:,} more" if more > 0 else ""
        raise DataError(f"nothing was imported: {'; '.join(problems[:_MAX_REPORTED])}{rest}.")
