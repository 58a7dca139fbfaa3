"""The table of feedback. Knows rows, no HTTP and no models.

Rows are only inserted, never changed: a reviewer who changes their mind adds another row.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, func, select, union

from patclass.store.consensus import (
    Feedback,
    FeedbackRow,
    insert_feedback,
    to_feedback_row,
    update_consensus,
)
from patclass.store.database import Database, lock_texts
from patclass.store.reviews import open_case
from patclass.store.tables import feedback, predictions, reviews

DISPUTED = "disputed"

# Keys in one query, and rows fetched at once.
_BATCH = 500


class FeedbackStore:
    """Feedback in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: str, new: Feedback) -> bool:
        """Store feedback under its idempotency key; False if it was stored before.

        If reviewers then disagree about the text, a review case is opened in the same transaction.

        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if it cannot be stored.
        """
        with self._database.write() as connection:
            lock_texts(connection, [new.text_sha256])
            if not insert_feedback(connection, key, new):
                return False
            # Predictions are stored in the background, so this one may not be stored yet.
            _open_if_disputed(connection, new.text_sha256, new.prediction_id)
            return True

    def add_all(self, rows: Iterable[FeedbackRow]) -> int:
        """Store feedback from another store, all rows or none; return how many were new.

        Rows get new numbers. A review case is opened for each text about which reviewers then
        disagree.

        :raises ValueError: if a key was used for other feedback.
        :raises StoreError: if they cannot be stored.
        """
        rows = list(rows)
        with self._database.write() as connection:
            lock_texts(connection, (row.feedback.text_sha256 for row in rows))
            added = [
                row
                for row in rows
                if insert_feedback(connection, row.key, row.feedback, row.created)
            ]
            for text_sha256 in dict.fromkeys(row.feedback.text_sha256 for row in added):
                _open_if_disputed(connection, text_sha256)
        return len(added)

    def all(self, after: int = 0) -> list[FeedbackRow]:
        """All feedback in the order of insertion.

        :param after: leave out rows up to this number.
        :raises StoreError: if it cannot be read.
        """
        return list(self.iterate(after))

    def iterate(self, after: int = 0) -> Iterator[FeedbackRow]:
        """The rows of ``all``, fetched in batches.

        :raises StoreError: if it cannot be read.
        """
        query = select(feedback).where(feedback.c.number > after).order_by(feedback.c.number)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=_BATCH).execute(query).mappings():
                yield to_feedback_row(row)

    def by_text(self) -> Iterator[list[FeedbackRow]]:
        """All feedback grouped by text; that whose text is not known is one group.

        :raises StoreError: if it cannot be read.
        """
        column = feedback.c.text_sha256
        texts = select(column).group_by(column).order_by(func.min(feedback.c.number))
        with self._database.read() as connection:
            for text_sha256 in connection.execute(texts).scalars().all():
                query = select(feedback).where(column == text_sha256).order_by(feedback.c.number)
                yield [to_feedback_row(row) for row in connection.execute(query).mappings()]

    def latest_on(self, text_sha256: str, count: int) -> list[FeedbackRow]:
        """The latest feedback on a text that was not withdrawn, oldest first, without texts.

        :raises StoreError: if it cannot be read.
        """
        of_text = feedback.c.text_sha256 == text_sha256
        withdrawn = select(feedback.c.withdraws).where(of_text, feedback.c.withdraws.is_not(None))
        query = (
            select(*(column for column in feedback.c if column.name != "text"))
            .where(of_text, feedback.c.withdraws.is_(None))
            .where(feedback.c.idempotency_key.not_in(withdrawn))
            .order_by(feedback.c.created.desc(), feedback.c.number.desc())
            .limit(count)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
            return [to_feedback_row(row) for row in reversed(rows)]

    def get_many(self, keys: Sequence[str]) -> dict[str, FeedbackRow]:
        """The feedback stored under some keys, by key.

        :raises StoreError: if it cannot be read.
        """
        found: dict[str, FeedbackRow] = {}
        with self._database.read() as connection:
            for start in range(0, len(keys), _BATCH):
                batch = feedback.c.idempotency_key.in_(keys[start : start + _BATCH])
                rows = connection.execute(select(feedback).where(batch)).mappings()
                found |= {row.key: row for row in map(to_feedback_row, rows)}
        return found

    def predicted_labels(self) -> set[str]:
        """Every label that was ever predicted, as far as it is stored.

        :raises StoreError: if it cannot be read.
        """
        query = union(select(feedback.c.predicted_label), select(predictions.c.label))
        with self._database.read() as connection:
            return {label for label in connection.execute(query).scalars() if label is not None}


def _open_if_disputed(
    connection: Connection, text_sha256: str | None, expected: str | None = None
) -> None:
    """Update the consensus on a text; open a review case if reviewers disagree.

    Only a stored prediction can be reviewed; a dispute about one that was purged, or is stored
    elsewhere, remains until there is final feedback.

    :param expected: id of a prediction for the text that will be stored, if it is not yet.
    """
    if text_sha256 is None or not update_consensus(connection, text_sha256).disputed:
        return
    live = select(predictions.c.id).where(
        predictions.c.text_sha256 == text_sha256, predictions.c.shadow_of.is_(None)
    )
    with_case = live.join(reviews, reviews.c.prediction_id == predictions.c.id).where(
        reviews.c.text_sha256 == text_sha256
    )
    firsts = (
        connection.execute(query.order_by(predictions.c.number).limit(1)).scalar()
        for query in (with_case, live)
    )
    prediction_id = next((first for first in firsts if first is not None), expected)
    if prediction_id is not None:
        open_case(connection, prediction_id, text_sha256, DISPUTED)
