"""Number of rows, and deleting them: by age, or all about one text. Knows the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    union,
)

from patclass.store.consensus import update_consensus
from patclass.store.database import Database, lock_texts
from patclass.store.history import ALERT
from patclass.store.tables import consensus, events, feedback, metadata, predictions, reviews


@dataclass(frozen=True)
class Purged:
    """Number of deleted rows, by table."""

    predictions: int
    reviews: int
    feedback: int
    events: int


def count_rows(database: Database) -> dict[str, int]:
    """Number of rows of each table.

    :raises StoreError: if the store cannot be read.
    """
    with database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def purge_before(database: Database, moment: datetime, with_feedback: bool = False) -> Purged:
    """Delete the predictions and alerts from before ``moment``.

    Events about models remain, and so does the review case of a prediction that has feedback: the
    gate needs its reason to know whether the prediction was sampled at random.

    :param with_feedback: also delete feedback from before ``moment``, which models are trained on.
    :raises StoreError: if the store cannot be used; nothing is deleted then.
    """
    return _purge(
        database,
        predictions.c.created < moment,
        feedback.c.created < moment if with_feedback else None,
        and_(events.c.kind == ALERT, events.c.created < moment),
    )


def purge_text(database: Database, text_sha256: str) -> Purged:
    """Delete all rows about one text.

    :raises StoreError: if the store cannot be used; nothing is deleted then.
    """
    return _purge_texts(database, [text_sha256])


def purge_prediction(database: Database, prediction_id: str) -> Purged:
    """Delete all rows about a prediction's text.

    :raises StoreError: if the store cannot be used; nothing is deleted then.
    """
    query = union(
        select(predictions.c.text_sha256).where(predictions.c.id == prediction_id),
        select(feedback.c.text_sha256).where(feedback.c.prediction_id == prediction_id),
    )
    with database.read() as connection:
        found = connection.execute(query).scalars().all()
    hashes = [text_sha256 for text_sha256 in found if text_sha256 is not None]
    return _purge_texts(database, hashes, feedback.c.prediction_id == prediction_id)


def _purge_texts(
    database: Database, hashes: Sequence[str], also: ColumnElement[bool] | None = None
) -> Purged:
    """Delete predictions and feedback on some texts, and the feedback that ``also`` selects."""
    of_text = predictions.c.text_sha256.in_(hashes)
    on_prediction = feedback.c.prediction_id.in_(select(predictions.c.id).where(of_text))
    on_text = or_(feedback.c.text_sha256.in_(hashes), on_prediction)
    return _purge(database, of_text, on_text if also is None else or_(on_text, also), None)


def _purge(
    database: Database,
    which_predictions: ColumnElement[bool],
    which_feedback: ColumnElement[bool] | None,
    which_events: ColumnElement[bool] | None,
) -> Purged:
    """Delete predictions, feedback and events, and review cases left without any of them."""
    with database.write() as connection:

        def delete_rows(table: Table, condition: ColumnElement[bool] | None) -> int:
            if condition is None:
                return 0
            return connection.execute(delete(table).where(condition)).rowcount

        # Feedback first: its condition may refer to predictions that are deleted next.
        hashes = [] if which_feedback is None else _texts(connection, which_feedback)
        lock_texts(connection, hashes)
        feedback_rows = delete_rows(feedback, which_feedback)
        _update_consensus(connection, hashes)
        prediction_rows = delete_rows(predictions, which_predictions)
        return Purged(
            predictions=prediction_rows,
            reviews=delete_rows(reviews, _orphaned()),
            feedback=feedback_rows,
            events=delete_rows(events, which_events),
        )


def _texts(connection: Connection, which_feedback: ColumnElement[bool]) -> Sequence[str]:
    query = select(feedback.c.text_sha256).where(which_feedback).distinct()
    return [text for text in connection.execute(query).scalars() if text is not None]


def _update_consensus(connection: Connection, hashes: Sequence[str]) -> None:
    """Update the consensus on texts of which feedback was deleted."""
    if not hashes:
        return
    has_feedback = exists().where(feedback.c.text_sha256 == consensus.c.text_sha256)
    connection.execute(delete(consensus).where(~has_feedback))
    left = set(connection.execute(select(consensus.c.text_sha256)).scalars())
    for text_sha256 in left.intersection(hashes):
        update_consensus(connection, text_sha256)


def _orphaned() -> ColumnElement[bool]:
    """Review cases with neither a prediction nor feedback."""
    has_prediction = exists().where(predictions.c.id == reviews.c.prediction_id)
    has_feedback = exists().where(feedback.c.prediction_id == reviews.c.prediction_id)
    return and_(~has_prediction, ~has_feedback)
