"""How much is remembered, and forgetting it: by age, or all about one text. Knows the tables."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, CompoundSelect, Select, Table, delete, func, select, union

from patclass.store.database import Database
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
    """Forget the predictions of before ``moment``, their reviews, and what happened then.

    :param with_feedback: also the verdicts of before, which models learn from.
    :raises StoreError: if the store cannot be used; nothing is then forgotten.
    """
    return _purge(
        database,
        predictions.c.created < moment,
        feedback.c.created < moment if with_feedback else None,
        events.c.created < moment,
    )


def purge_text(database: Database, text_sha256: str) -> Purged:
    """Forget all that is known of one text.

    :raises StoreError: if the store cannot be used; nothing is then forgotten.
    """
    return _purge(
        database,
        predictions.c.text_sha256 == text_sha256,
        feedback.c.text_sha256 == text_sha256,
        None,
        with_cases=True,
    )


def _purge(
    database: Database,
    which: ColumnElement[bool],
    said: ColumnElement[bool] | None,
    happened: ColumnElement[bool] | None,
    with_cases: bool = False,
) -> Purged:
    """Forget rows; the cases of predictions that go, ``with_cases`` also those of verdicts."""
    with database.write() as connection:

        def gone(table: Table, condition: ColumnElement[bool] | None) -> int:
            if condition is None:
                return 0
            return connection.execute(delete(table).where(condition)).rowcount

        ids: Select[tuple[str]] | CompoundSelect[tuple[str]] = select(predictions.c.id).where(which)
        if with_cases and said is not None:
            ids = union(ids, select(feedback.c.prediction_id).where(said))
        cases = gone(reviews, reviews.c.prediction_id.in_(ids))
        return Purged(gone(predictions, which), cases, gone(feedback, said), gone(events, happened))
