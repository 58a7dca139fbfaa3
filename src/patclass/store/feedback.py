"""People's verdicts on predictions. Knows rows, no HTTP and no models.

Rows are only ever added. Whoever has changed their mind, or decided a dispute, adds another row.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, exists, func, select, union

from patclass.store.consensus import (
    Consensus,
    Feedback,
    FeedbackRow,
    append,
    by_text,
    consensus_of,
    feedback_on_text,
    row_of_feedback,
)
from patclass.store.database import Database, lock_texts
from patclass.store.reviews import open_case
from patclass.store.tables import feedback, predictions, reviews

DISPUTED = "disputed"

# Keys in one query, and rows fetched at once; no database likes thousands.
_SOME = 500


class FeedbackStore:
    """The table of feedback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: str, verdict: Feedback) -> bool:
        """Keep ``verdict`` under its idempotency key; False if it was kept before.

        Where people now disagree about the text, a review case is opened with it.

        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if it cannot be kept.
        """
        with self._database.write() as connection:
            lock_texts(connection, [verdict.text_sha256])
            if not append(connection, key, verdict):
                return False
            # Its prediction may still be on the way to the store.
            _open_if_disputed(connection, verdict.text_sha256, verdict.prediction_id)
            return True

    def add_all(self, rows: Iterable[FeedbackRow]) -> int:
        """Keep what another store has kept, all of it or nothing; how many were not known.

        The rows are numbered anew. Where people disagree when all are there, cases are opened.

        :raises ValueError: if a key was used for other feedback.
        :raises StoreError: if they cannot be kept.
        """
        rows = list(rows)
        with self._database.write() as connection:
            lock_texts(connection, (given.feedback.text_sha256 for given in rows))
            added = [g for g in rows if append(connection, g.key, g.feedback, g.created)]
            for text in dict.fromkeys(given.feedback.text_sha256 for given in added):
                _open_if_disputed(connection, text)
        return len(added)

    def opinions(self) -> dict[str, Consensus]:
        """What people hold to be right, by the hash of the text.

        :raises StoreError: if it cannot be read.
        """
        said = by_text(self.all())
        return {text: consensus_of(of_text) for text, of_text in said.items() if text}

    def all(self, after: int = 0) -> list[FeedbackRow]:
        """All feedback in the order in which it came.

        :param after: only what is numbered above.
        :raises StoreError: if it cannot be read.
        """
        return list(self.each(after))

    def each(self, after: int = 0) -> Iterator[FeedbackRow]:
        """As ``all``, a row at a time.

        :raises StoreError: if it cannot be read.
        """
        wanted = select(feedback).where(feedback.c.number > after).order_by(feedback.c.number)
        with self._database.read() as connection:
            for row in connection.execution_options(yield_per=_SOME).execute(wanted).mappings():
                yield row_of_feedback(row)

    def by_text(self) -> Iterator[list[FeedbackRow]]:
        """All feedback, text by text, those of which the text is not known together.

        :raises StoreError: if it cannot be read.
        """
        text = feedback.c.text_sha256
        texts = select(text).group_by(text).order_by(func.min(feedback.c.number))
        with self._database.read() as connection:
            for found in connection.execute(texts).scalars().all():
                of_text = select(feedback).where(text == found).order_by(feedback.c.number)
                yield [row_of_feedback(row) for row in connection.execute(of_text).mappings()]

    def known(self, keys: Sequence[str]) -> dict[str, FeedbackRow]:
        """What stands under these keys.

        :raises StoreError: if it cannot be read.
        """
        found: dict[str, FeedbackRow] = {}
        with self._database.read() as connection:
            for start in range(0, len(keys), _SOME):
                some = feedback.c.idempotency_key.in_(keys[start : start + _SOME])
                wanted = select(feedback).where(some)
                rows = connection.execute(wanted).mappings()
                found |= {given.key: given for given in map(row_of_feedback, rows)}
        return found

    def answers(self) -> set[str]:
        """Every label that was ever an answer.

        :raises StoreError: if it cannot be read.
        """
        wanted = union(select(feedback.c.answer), select(predictions.c.label))
        with self._database.read() as connection:
            return {label for label in connection.execute(wanted).scalars() if label is not None}


def _open_if_disputed(
    connection: Connection, text_sha256: str | None, expected: str | None = None
) -> None:
    """Open a review case if people disagree about a text.

    Only an answer that is remembered can be reviewed; a dispute about one that came from
    elsewhere, or was purged, is left to a verdict that decides it.

    :param expected: a prediction of that text that will be remembered, if it is not yet.
    """
    if text_sha256 is None or not consensus_of(feedback_on_text(connection, text_sha256)).disputed:
        return
    has_case = exists().where(reviews.c.prediction_id == predictions.c.id)
    of_text = (
        select(predictions.c.id)
        .where(predictions.c.text_sha256 == text_sha256, predictions.c.shadow_of.is_(None))
        .order_by(has_case.desc(), predictions.c.number)
    )
    prediction_id = connection.execute(of_text).scalars().first() or expected
    if prediction_id is not None:
        open_case(connection, prediction_id, DISPUTED)
