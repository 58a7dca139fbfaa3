"""Cases that a person is to look at: opened, claimed, decided. Knows rows, no ranking.

Who claims a case has it for themselves until they decide it, give it back, or let it lie for
longer than ``LEASE``. All changes are conditional updates, so two people never have the same.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from patclass.store.consensus import Feedback, append, withdrawal_of
from patclass.store.database import Database, insert_new, lock_texts
from patclass.store.tables import predictions, reviews

OPEN, CLAIMED, DECIDED = "open", "claimed", "decided"
LEASE = timedelta(minutes=30)


@dataclass(frozen=True)
class Case:
    """A case and how far it is.

    :param reason: why it is worth a look.
    :param reviewer: who has claimed or decided it.
    :param feedback_key: of the verdict that decided it.
    """

    prediction_id: str
    reason: str
    state: str
    created: datetime
    changed: datetime
    reviewer: str | None = None
    feedback_key: str | None = None

    def taken(self, now: datetime) -> bool:
        """Whether it is nobody else's business any more, or not now."""
        return self.state == DECIDED or (self.state == CLAIMED and now - self.changed < LEASE)


class NotClaimedError(Exception):
    """A case that is not claimed by the one who wants to change it."""


class ReviewStore:
    """The table of review cases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Case]:
        """All cases, in the order in which they were opened.

        :raises StoreError: if they cannot be read.
        """
        wanted = select(*(reviews.c[name] for name in Case.__dataclass_fields__))
        with self._database.read() as connection:
            found = connection.execute(wanted.order_by(reviews.c.number)).mappings()
            return [Case(**row) for row in found]

    def claim(self, prediction_id: str, text_sha256: str, reason: str, reviewer: str) -> bool:
        """Have a case for oneself; False if somebody else has it, or it is decided.

        :param text_sha256: of its text; who has another answer to the same text has this case.
        :param reason: why, where nobody has opened it yet.
        :raises StoreError: if the store cannot be used.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            lock_texts(connection, [text_sha256])
            if _others_have(connection, prediction_id, text_sha256, reviewer, now):
                return False
            if _insert(connection, Case(prediction_id, reason, CLAIMED, now, now, reviewer)):
                return True
            free = or_(
                reviews.c.state == OPEN,
                and_(reviews.c.state == CLAIMED, reviews.c.changed < now - LEASE),
                and_(reviews.c.state == CLAIMED, reviews.c.reviewer == reviewer),
            )
            return _change(connection, prediction_id, free, CLAIMED, reviewer)

    def release(self, prediction_id: str, reviewer: str) -> None:
        """Give a claimed case back.

        :raises NotYours: if it is not claimed by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            if not _change(connection, prediction_id, _held(CLAIMED, reviewer), OPEN, None):
                raise NotClaimedError(prediction_id)

    def decide(self, key: str, verdict: Feedback) -> bool:
        """Settle a claimed case by a verdict, which is kept as feedback; False if it was kept.

        :param key: the verdict's idempotency key.
        :raises NotYours: if the case is not claimed by the verdict's reviewer.
        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if the store cannot be used.
        """
        reviewer = verdict.reviewer or ""
        with self._database.write() as connection:
            if not append(connection, key, replace(verdict, decides=True)):
                return False
            held = _held(CLAIMED, reviewer)
            if not _change(connection, verdict.prediction_id, held, DECIDED, reviewer, key):
                raise NotClaimedError(verdict.prediction_id)
            return True

    def undo(self, prediction_id: str, reviewer: str) -> None:
        """Take one's decision back: the case is claimed again, the verdict withdrawn.

        :raises NotYours: if it was not decided by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            wanted = select(reviews.c.feedback_key).where(
                reviews.c.prediction_id == prediction_id, _held(DECIDED, reviewer)
            )
            key = connection.execute(wanted).scalar()
            held = _held(DECIDED, reviewer)
            if key is None or not _change(connection, prediction_id, held, CLAIMED, reviewer):
                raise NotClaimedError(prediction_id)
            append(connection, f"undo-{secrets.token_hex(16)}", withdrawal_of(connection, key))


def open_case(connection: Connection, prediction_id: str, reason: str) -> bool:
    """Open a case within a transaction, or again where it was decided; False if it is open."""
    now = datetime.now(UTC)
    if _insert(connection, Case(prediction_id, reason, OPEN, now, now)):
        return True
    return _change(connection, prediction_id, reviews.c.state == DECIDED, OPEN, None)


def _insert(connection: Connection, case: Case) -> bool:
    return insert_new(connection, reviews, "prediction_id", vars(case))


def _others_have(
    connection: Connection, prediction_id: str, text_sha256: str, reviewer: str, now: datetime
) -> bool:
    """Whether somebody else has another answer to the same text in hand."""
    wanted = (
        select(reviews.c.number)
        .join(predictions, predictions.c.id == reviews.c.prediction_id)
        .where(
            predictions.c.text_sha256 == text_sha256,
            reviews.c.prediction_id != prediction_id,
            reviews.c.state == CLAIMED,
            reviews.c.changed >= now - LEASE,
            reviews.c.reviewer != reviewer,
        )
    )
    return connection.execute(wanted).first() is not None


def _held(state: str, reviewer: str) -> ColumnElement[bool]:
    return and_(reviews.c.state == state, reviews.c.reviewer == reviewer)


def _change(
    connection: Connection,
    prediction_id: str,
    condition: ColumnElement[bool],
    state: str,
    reviewer: str | None,
    key: str | None = None,
) -> bool:
    """Change a case if the condition holds; whether it did."""
    statement = (
        update(reviews)
        .where(reviews.c.prediction_id == prediction_id, condition)
        .values(state=state, reviewer=reviewer, changed=datetime.now(UTC), feedback_key=key)
    )
    return bool(connection.execute(statement).rowcount)
