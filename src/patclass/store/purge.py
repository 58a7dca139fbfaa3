"""How much is remembered, and forgetting it: by age, or all about one text. Knows the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, or_, select, union

from patclass.store.database import Database
from patclass.store.history import ALERT
from patclass.store.tables import events, feedback, metadata, predictions, reviews


@dataclass(frozen=True)
class Purged:
    """How many rows are gone."""

    predictions: int
    reviews: int
    feedback: int
    events: int


def count_rows(database: Database) -> dict[str, int]:
    """How many rows each table has.

    :raises StoreError: if the store cannot be read.
    """
    with database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def purge_before(database: Database, moment: datetime, with_feedback: bool = False) -> Purged:
    """Forget the predictions and alarms of before ``moment``.

    What became of models is kept, and so is why a prediction was reviewed while verdicts on it are:
    whether chance chose it counts when a new model is judged by them.

    :param with_feedback: also the verdicts of before, which models learn from.
    :raises StoreError: if the store cannot be used; nothing is then forgotten.
    """
    return _purge(
        database,
        predictions.c.created < moment,
        feedback.c.created < moment if with_feedback else None,
        and_(events.c.kind == ALERT, events.c.created < moment),
    )


def purge_text(database: Database, text_sha256: str) -> Purged:
    """Forget all that is known of one text.

    :raises StoreError: if the store cannot be used; nothing is then forgotten.
    """
    return _purge_texts(database, [text_sha256])


def purge_prediction(database: Database, prediction_id: str) -> Purged:
    """Forget all that is known of a prediction's text.

    :raises StoreError: if the store cannot be used; nothing is then forgotten.
    """
    given = select(predictions.c.text_sha256).where(predictions.c.id == prediction_id)
    said = select(feedback.c.text_sha256).where(feedback.c.prediction_id == prediction_id)
    with database.read() as connection:
        found = connection.execute(union(given, said)).scalars().all()
    hashes = [each for each in found if each is not None]
    return _purge_texts(database, hashes, feedback.c.prediction_id == prediction_id)


def _purge_texts(
    database: Database, hashes: Sequence[str], also: ColumnElement[bool] | None = None
) -> Purged:
    of_text = predictions.c.text_sha256.in_(hashes)
    about = feedback.c.prediction_id.in_(select(predictions.c.id).where(of_text))
    said = or_(feedback.c.text_sha256.in_(hashes), about)
    return _purge(database, of_text, said if also is None else or_(said, also), None)


def _purge(
    database: Database,
    which: ColumnElement[bool],
    said: ColumnElement[bool] | None,
    happened: ColumnElement[bool] | None,
) -> Purged:
    """Forget predictions, verdicts and events; and the cases that then belong to nothing."""
    with database.write() as connection:

        def gone(table: Table, condition: ColumnElement[bool] | None) -> int:
            if condition is None:
                return 0
            return connection.execute(delete(table).where(condition)).rowcount

        # Verdicts may be found by their predictions, so those go later.
        verdicts, answers = gone(feedback, said), gone(predictions, which)
        return Purged(
            answers, gone(reviews, _belongs_to_nothing()), verdicts, gone(events, happened)
        )


def _belongs_to_nothing() -> ColumnElement[bool]:
    answer = exists().where(predictions.c.id == reviews.c.prediction_id)
    verdict = exists().where(feedback.c.prediction_id == reviews.c.prediction_id)
    return and_(~answer, ~verdict)
