"""The table of review cases: opened, claimed, decided. Knows rows, no ranking.

A claim is exclusive until the reviewer decides or releases the case, or ``LEASE`` expires. All
changes are conditional updates, so that no two reviewers can hold the same case.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from patclass.store.consensus import Feedback, insert_feedback, withdrawal_of
from patclass.store.database import Database, insert_if_absent, lock_texts
from patclass.store.tables import predictions, reviews

OPEN, CLAIMED, DECIDED = "open", "claimed", "decided"
LEASE = timedelta(minutes=30)


@dataclass(frozen=True)
class Case:
    """A review case and its state.

    :param reason: why the prediction is reviewed.
    :param updated: when the state last changed.
    :param reviewer: who claimed or decided it.
    :param feedback_key: idempotency key of the feedback that decided it.
    """

    prediction_id: str
    reason: str
    state: str
    created: datetime
    updated: datetime
    reviewer: str | None = None
    feedback_key: str | None = None

    def unavailable(self, now: datetime) -> bool:
        """Whether it is decided, or claimed and the lease has not expired."""
        return self.state == DECIDED or (self.state == CLAIMED and now - self.updated < LEASE)


class NotClaimedError(Exception):
    """The case is not claimed, or for an undo not decided, by the reviewer who changes it."""


class ReviewStore:
    """Review cases in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Case]:
        """All cases, in the order of insertion.

        :raises StoreError: if they cannot be read.
        """
        query = select(*(reviews.c[name] for name in Case.__dataclass_fields__))
        with self._database.read() as connection:
            found = connection.execute(query.order_by(reviews.c.number)).mappings()
            return [Case(**row) for row in found]

    def claim(self, prediction_id: str, text_sha256: str, reason: str, reviewer: str) -> bool:
        """Claim a case; False if another reviewer has claimed it, or it is decided.

        :param text_sha256: of its text; a claim on another prediction for the text counts too.
        :param reason: of the case, if it does not exist yet.
        :raises StoreError: if the store cannot be used.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            lock_texts(connection, [text_sha256])
            if _claimed_by_other(connection, prediction_id, text_sha256, reviewer, now):
                return False
            if _insert_case(connection, Case(prediction_id, reason, CLAIMED, now, now, reviewer)):
                return True
            available = or_(
                reviews.c.state == OPEN,
                and_(reviews.c.state == CLAIMED, reviews.c.updated < now - LEASE),
                and_(reviews.c.state == CLAIMED, reviews.c.reviewer == reviewer),
            )
            return _update_case(connection, prediction_id, available, CLAIMED, reviewer)

    def release(self, prediction_id: str, reviewer: str) -> None:
        """Release a claimed case.

        :raises NotClaimedError: if it is not claimed by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            held = _held(CLAIMED, reviewer)
            if not _update_case(connection, prediction_id, held, OPEN, None):
                raise NotClaimedError(prediction_id)

    def decide(self, key: str, decision: Feedback) -> bool:
        """Decide a claimed case by final feedback; False if that was stored before.

        :param key: the feedback's idempotency key.
        :raises NotClaimedError: if the case is not claimed by the feedback's reviewer.
        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if the store cannot be used.
        """
        reviewer = decision.reviewer or ""
        with self._database.write() as connection:
            if not insert_feedback(connection, key, replace(decision, is_final=True)):
                return False
            held = _held(CLAIMED, reviewer)
            if not _update_case(connection, decision.prediction_id, held, DECIDED, reviewer, key):
                raise NotClaimedError(decision.prediction_id)
            return True

    def undo(self, prediction_id: str, reviewer: str) -> None:
        """Undo a decision: withdraw its feedback; the case is claimed by the reviewer again.

        :raises NotClaimedError: if it was not decided by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            query = select(reviews.c.feedback_key).where(
                reviews.c.prediction_id == prediction_id, _held(DECIDED, reviewer)
            )
            key = connection.execute(query).scalar()
            held = _held(DECIDED, reviewer)
            if key is None or not _update_case(connection, prediction_id, held, CLAIMED, reviewer):
                raise NotClaimedError(prediction_id)
            withdrawal = withdrawal_of(connection, key)
            insert_feedback(connection, f"undo-{secrets.token_hex(16)}", withdrawal)


def open_case(connection: Connection, prediction_id: str, reason: str) -> bool:
    """Open a case, or reopen a decided one, within a transaction; False if it was not closed."""
    now = datetime.now(UTC)
    if _insert_case(connection, Case(prediction_id, reason, OPEN, now, now)):
        return True
    return _update_case(connection, prediction_id, reviews.c.state == DECIDED, OPEN, None)


def _insert_case(connection: Connection, case: Case) -> bool:
    return insert_if_absent(connection, reviews, "prediction_id", vars(case))


def _claimed_by_other(
    connection: Connection, prediction_id: str, text_sha256: str, reviewer: str, now: datetime
) -> bool:
    """Whether another reviewer has claimed a case of another prediction for the same text."""
    query = (
        select(reviews.c.number)
        .join(predictions, predictions.c.id == reviews.c.prediction_id)
        .where(
            predictions.c.text_sha256 == text_sha256,
            reviews.c.prediction_id != prediction_id,
            reviews.c.state == CLAIMED,
            reviews.c.updated >= now - LEASE,
            reviews.c.reviewer != reviewer,
        )
    )
    return connection.execute(query).first() is not None


def _held(state: str, reviewer: str) -> ColumnElement[bool]:
    return and_(reviews.c.state == state, reviews.c.reviewer == reviewer)


def _update_case(
    connection: Connection,
    prediction_id: str,
    condition: ColumnElement[bool],
    state: str,
    reviewer: str | None,
    key: str | None = None,
) -> bool:
    """Set a case's state if the condition holds; False if it does not."""
    statement = (
        update(reviews)
        .where(reviews.c.prediction_id == prediction_id, condition)
        .values(state=state, reviewer=reviewer, updated=datetime.now(UTC), feedback_key=key)
    )
    return bool(connection.execute(statement).rowcount)
