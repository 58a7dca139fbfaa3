"""Texts for people to judge in a labelling tool, and what they chose. Knows no tool's file."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from patclass.data.text import text_sha256
from patclass.learning.exchange import Arrival, Taken, refuse, take_in, unknown
from patclass.store.consensus import Feedback, FeedbackRow, group_by_text, valid_feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore


@dataclass(frozen=True)
class Choice:
    """What a person chose in a tool.

    :param place: where it stands in the tool's file.
    :param copy_of: the key of the verdict that it was, if it came from a store.
    :param created: when; None where the tool does not say.
    """

    place: str
    key: str
    prediction_id: str
    label: str
    reviewer: str | None
    text: str | None
    created: datetime | None = None
    copy_of: str | None = None


@dataclass(frozen=True)
class Task:
    """A text for people to judge.

    :param answer: the label that was predicted, by the model of ``version``.
    :param score: how sure that was, where the prediction is remembered.
    :param said: the verdicts on the text that hold.
    """

    prediction_id: str
    text: str
    answer: str | None
    version: str | None
    score: float | None
    said: tuple[FeedbackRow, ...]


def tasks(database: Database, left_out: Counter[str]) -> Iterator[Task]:
    """The texts that people have judged, in the order in which they first were.

    :param left_out: gains the number of verdicts on texts that were not kept.
    :raises StoreError: if the store cannot be read.
    """
    predictions = PredictionStore(database)
    for said in FeedbackStore(database).by_text():
        task = _task(said, predictions)
        if task is None:
            left_out["verdicts on texts that were not kept"] += len(said)
        else:
            yield task


def _task(said: Sequence[FeedbackRow], predictions: PredictionStore) -> Task | None:
    """None if the text is not known."""
    valid = valid_feedback(said)
    last = (valid or said)[-1].feedback
    if last.text_sha256 is None:
        return None
    row = predictions.get(last.prediction_id)
    given = (each.feedback.text for each in said)
    kept = None if row is None else row.text
    text = next((found for found in given if found is not None), kept)
    if text is None:
        return None
    score = None if row is None else row.confidence
    return Task(last.prediction_id, text, last.predicted_label, last.version, score, tuple(valid))


def as_array(rows: Iterable[Any]) -> Iterator[str]:
    """One JSON array, piece by piece."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def key_of(tool: str, *parts: object) -> str:
    """An idempotency key for what a tool knows by ``parts``."""
    return f"{tool}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def take_choices(database: Database, choices: Sequence[Choice]) -> Taken:
    """Keep what people chose: the answer, which is then right, or another label.

    :raises DataError: if a prediction or a label is not known, or the text is another one.
    :raises StoreError: if the store cannot be used.
    """
    store = FeedbackStore(database)
    predictions = PredictionStore(database).get_many([choice.prediction_id for choice in choices])
    known = store.get_many([k for c in choices for k in (c.key, c.copy_of) if k])
    said = _Said(store.all() if any(choice.created is None for choice in choices) else ())
    arrivals, problems = [], []
    for choice in choices:
        row = predictions.get(choice.prediction_id)
        given = _same(choice, known) or said.before(choice, row)
        if given is None and row is None:
            problems.append(f"{choice.place}: {unknown(choice.prediction_id)}")
        elif row is not None and choice.text and text_sha256(choice.text) != row.text_sha256:
            problems.append(f"{choice.place}: it is not the text of prediction '{row.id}'")
        else:
            arrivals.append(Arrival(choice.place, given or _judged(choice, row)))
    refuse(problems)
    return take_in(database, arrivals)


def _same(choice: Choice, known: dict[str, FeedbackRow]) -> FeedbackRow | None:
    """The verdict that a choice is already, if it is."""
    copied = known.get(choice.copy_of or "")
    if copied is not None and copied.feedback.true_label == choice.label:
        return copied
    return known.get(choice.key)


class _Said:
    """What was said before, by which a tool's choice without a time is known again."""

    def __init__(self, said: Sequence[FeedbackRow]) -> None:
        self._of_text = group_by_text(said)
        self._texts = {g.feedback.prediction_id: g.feedback.text_sha256 for g in said}

    def before(self, choice: Choice, row: PredictionRow | None) -> FeedbackRow | None:
        """A verdict by the same person to the same effect, be it withdrawn by now."""
        if choice.created is not None or choice.reviewer is None:
            return None
        text = self._texts.get(choice.prediction_id) if row is None else row.text_sha256
        found = (
            given
            for given in self._of_text.get(text or "", ())
            if given.feedback.withdraws is None
            and (given.feedback.reviewer or "").lower() == choice.reviewer.lower()
            and given.feedback.true_label == choice.label
        )
        return next(found, None)


def _judged(choice: Choice, row: PredictionRow | None) -> FeedbackRow:
    assert row is not None
    correct = choice.label == row.label
    verdict = Feedback(
        row.id,
        correct,
        label=None if correct else choice.label,
        reviewer=choice.reviewer,
        predicted_label=row.label,
        version=row.version,
        text_sha256=row.text_sha256,
        text=choice.text or row.text,
    )
    return FeedbackRow(0, choice.key, choice.created or datetime.now(UTC), verdict)
