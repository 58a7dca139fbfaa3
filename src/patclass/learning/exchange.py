"""Verdicts as JSON lines, and taken into a store. Knows rows, no tool that people label in.

What comes in is checked before anything is kept, and kept as a whole or not at all.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from patclass.core.errors import DataError
from patclass.core.progress import track
from patclass.cpc.scheme import titles
from patclass.data.text import text_sha256
from patclass.store.consensus import Feedback, FeedbackRow
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore

# What clocks may differ by.
_CLOCKS = timedelta(days=1)

# Of all that is wrong with a file so much is said; the rest is counted.
_SAID = 5


@dataclass(frozen=True)
class Arrival:
    """A verdict from a file.

    :param place: where it stands there.
    :param given: the verdict; it has no number yet.
    """

    place: str
    given: FeedbackRow


@dataclass(frozen=True)
class Taken:
    """How many verdicts of a file were new, and how many were there."""

    added: int
    known: int


class Line(BaseModel):
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
    answer: str | None = Field(None, max_length=200)
    version: str | None = Field(None, max_length=12)
    text_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    text: str | None = None
    decides: bool = False
    withdraws: str | None = Field(None, max_length=100)

    @model_validator(mode="after")
    def _fits_together(self) -> "Line":
        if self.correct and self.label is not None:
            raise ValueError("label: only a prediction that was wrong has another label")
        if self.text is not None and self.text_sha256 != text_sha256(self.text):
            raise ValueError(
                "text_sha256: it is not that of the text; 'patclass store hash' says it"
            )
        return self

    def given(self) -> FeedbackRow:
        """The row, without its number."""
        fields = self.model_dump()
        return FeedbackRow(0, fields.pop("key"), fields.pop("created"), Feedback(**fields))


def write(database: Database, left_out: Counter[str]) -> Iterator[str]:
    """All rows of feedback, a line each.

    :param left_out: gains the number of those that no other store could take in.
    :raises StoreError: if the store cannot be read.
    """
    predictions = PredictionStore(database)
    for given in FeedbackStore(database).each():
        verdict = given.feedback
        if None in _prediction(verdict).values():
            verdict = _complete(verdict, predictions.get(verdict.prediction_id))
        if None in _prediction(verdict).values():
            left_out["verdicts on predictions of which too little is known"] += 1
            continue
        fields = {"key": given.key, "created": given.created.isoformat()} | asdict(verdict)
        yield json.dumps(fields, ensure_ascii=False) + "\n"


def read(database: Database, raw: bytes, left_out: Counter[str]) -> Taken:
    """Keep rows that a store has written.

    :param left_out: stays as it is; nothing is left out.
    :raises DataError: if a line is malformed, or cannot hold in this store.
    :raises StoreError: if the store cannot be used.
    """
    arrivals, problems = [], []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            arrivals.append(Arrival(f"line {number}", Line.model_validate_json(line).given()))
        except ValidationError as problem:
            problems.append(f"line {number}: {explain(problem)}")
    refuse(problems)
    return take_in(database, arrivals)


def explain(problem: ValidationError) -> str:
    """What is wrong first: where, the value, and what was expected."""
    first = problem.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    place = ".".join(map(str, first["loc"]))
    if not place:
        return message
    value = "" if first["type"] == "missing" else f" {first['input']!r:.60}"
    return f"{place}{value}: {message[0].lower()}{message[1:]}"


def take_in(database: Database, arrivals: Sequence[Arrival]) -> Taken:
    """Keep verdicts from elsewhere, all or none; disputes that they make become review cases.

    :raises DataError: if a key stands for other feedback, or a prediction or a label is not known.
    :raises StoreError: if the store cannot be used.
    """
    store = FeedbackStore(database)
    ids = [arrival.given.feedback.prediction_id for arrival in arrivals]
    predictions = PredictionStore(database).known(ids)
    known = store.known([arrival.given.key for arrival in arrivals])
    labels = store.answers() | {arrival.given.feedback.answer for arrival in arrivals}
    new: dict[str, FeedbackRow] = {}
    problems = []
    for arrival in arrivals:
        given = arrival.given
        before = known.get(given.key) or new.get(given.key)
        if before is None:
            row = predictions.get(given.feedback.prediction_id)
            given = replace(given, feedback=_complete(given.feedback, row))
            new[given.key] = given
            problem = _doubt(given, row, labels)
        else:
            here, there = given.feedback, before.feedback
            same = _complete(there, here) == _complete(here, there)
            problem = None if same else f"the key '{given.key}' stands for other feedback here"
        if problem is not None:
            problems.append(f"{arrival.place}: {problem}")
    refuse(problems)
    try:
        added = store.add_all(track(new.values(), "importing"))
    except ValueError as problem:  # somebody else came between the checks and now
        raise DataError(f"nothing was imported: {problem}.") from problem
    return Taken(added, len(arrivals) - added)


def _prediction(of: Feedback | PredictionRow) -> dict[str, str | None]:
    """What a verdict repeats of the prediction that it is about."""
    answer = of.answer if isinstance(of, Feedback) else of.label
    return {"answer": answer, "version": of.version, "text_sha256": of.text_sha256}


def _complete(verdict: Feedback, known: Feedback | PredictionRow | None) -> Feedback:
    """A verdict with what it leaves out and is known."""
    if known is None:
        return verdict
    given, there = _prediction(verdict), _prediction(known)
    missing: dict[str, Any] = {n: there[n] for n, value in given.items() if value is None}
    return replace(verdict, **missing)


def _doubt(new: FeedbackRow, row: PredictionRow | None, labels: set[Any]) -> str | None:
    """Why a verdict cannot be taken in; None if it can.

    :param row: the prediction, where it is known.
    """
    verdict = new.feedback
    if new.created > datetime.now(UTC) + _CLOCKS:
        return f"created: {new.created.isoformat()} is still to come; correct it"
    if verdict.label is not None and verdict.label not in titles() and verdict.label not in labels:
        return (
            f"label '{verdict.label}' is no section, class or subclass of the CPC, and was never "
            "an answer; correct it"
        )
    given = _prediction(verdict)
    if row is None:
        # What comes from another store brings what is needed of the prediction.
        return unknown(verdict.prediction_id) if None in given.values() else None
    other = [name for name, value in _prediction(row).items() if given[name] != value]
    if other:
        name = other[0]
        return (
            f"{name} '{given[name]}' is not that of prediction '{row.id}' "
            f"('{_prediction(row)[name]}'); leave it out"
        )
    return None


def unknown(prediction_id: str) -> str:
    """That a store does not know a prediction."""
    return (
        f"prediction_id '{prediction_id}' is not known here, or was forgotten; name the store that "
        "it came from, or leave it out"
    )


def refuse(problems: Sequence[str]) -> None:
    """Refuse a file if anything is wrong with it.

    :raises DataError: that says what.
    """
    if problems:
        more = len(problems) - _SAID
        rest = f"; and {more:,} more" if more > 0 else ""
        raise DataError(f"nothing was imported: {'; '.join(problems[:_SAID])}{rest}.")
