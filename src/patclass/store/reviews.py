"""The table of review cases: opened, claimed, decided. Knows rows, no ranking.

A claim is exclusive until the reviewer decides or releases the case, or ``LEASE`` expires. All
changes are conditional updates, so that no two reviewers can hold the same case. A reviewer is an
API key and a name: a name alone can be said by everybody, and several people may use one key.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Subquery,
    and_,
    func,
    or_,
    select,
    update,
)

from patclass.store.consensus import Feedback, insert_feedback, update_consensus, withdrawal_of
from patclass.store.database import Database, insert_if_absent, lock_texts
from patclass.store.predictions import PredictionRow, to_prediction
from patclass.store.tables import consensus, predictions, reviews

OPEN, CLAIMED, DECIDED = "open", "claimed", "decided"
LEASE = timedelta(minutes=30)


@dataclass(frozen=True)
class Case:
    """A review case and its state.

    :param reason: why the prediction is reviewed.
    :param updated: when the state last changed.
    :param reviewer: name of who claimed or decided it.
    :param key_id: id of the API key that they used; None without keys.
    :param feedback_key: idempotency key of the feedback that decided it.
    """

    prediction_id: str
    text_sha256: str
    reason: str
    state: str
    created: datetime
    updated: datetime
    reviewer: str | None = None
    key_id: str | None = None
    feedback_key: str | None = None

    def unavailable(self, now: datetime) -> bool:
        """Whether it is decided, or claimed and the lease has not expired."""
        return self.state == DECIDED or (self.state == CLAIMED and now - self.updated < LEASE)


@dataclass(frozen=True)
class Candidate:
    """A prediction that may be reviewed; none of this ever changes.

    :param row: without its text.
    :param has_text: whether the text is stored with it.
    """

    row: PredictionRow
    has_text: bool


@dataclass(frozen=True)
class TextState:
    """What reviewers have done about a text.

    :param has_text: whether the text is stored with feedback.
    :param reviewed: whether there is feedback that counts.
    :param disputed: whether reviewers disagree.
    :param cases: by the id of the prediction.
    """

    has_text: bool = False
    reviewed: bool = False
    disputed: bool = False
    cases: Mapping[str, Case] = field(default_factory=dict)

    def unavailable(self, now: datetime) -> bool:
        """Whether a case of the text is decided, or claimed and the lease has not expired."""
        return any(case.unavailable(now) for case in self.cases.values())


@dataclass(frozen=True)
class HandledCase:
    """A case that was claimed or decided, and the levels of its prediction."""

    updated: datetime
    reason: str
    levels: Mapping[str, tuple[str, float]]


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

    def waiting(
        self, versions: Collection[str], size: int, disputes: int, known: Mapping[int, Candidate]
    ) -> tuple[dict[int, Candidate], dict[str, TextState]]:
        """The latest live predictions of some models, and those about which reviewers disagree.

        :param size: how many of each model.
        :param disputes: how many of the oldest disputes, whatever their model.
        :param known: candidates that need not be read again.
        :return: the candidates by number, oldest first, and the states of their texts, as far as
            reviewers have done anything about them.
        :raises StoreError: if they cannot be read.
        """
        found: dict[int, Candidate] = {}
        states: dict[str, TextState] = {}
        with self._database.read() as connection:
            queries = [_latest(version, size) for version in versions]
            # Usually there are none, and then the larger query would be planned for nothing. They
            # are counted, as PostgreSQL reads the whole table if asked for just one of them.
            count = select(func.count()).select_from(consensus)
            if connection.scalar(count.where(consensus.c.disputed.is_(True))):
                queries.append(_disputed(disputes))
            for query in queries:
                numbers = [number for number, _ in connection.execute(query)]
                new = _candidates(connection, [each for each in numbers if each not in known])
                found |= {each: known.get(each) or new[each] for each in numbers}
                states |= _states(connection, query.subquery())
        return dict(sorted(found.items())), states

    def claimed_by(
        self, reviewer: str, key_id: str | None
    ) -> list[tuple[PredictionRow, str, bool]]:
        """What a reviewer has claimed under a lease still valid, the most recent first.

        :return: predictions without their texts, the reason of each, and whether it is disputed.
        :raises StoreError: if it cannot be read.
        """
        query = (
            select(*_SHORT, reviews.c.reason, consensus.c.disputed)
            .join(reviews, reviews.c.prediction_id == predictions.c.id)
            .outerjoin(consensus, consensus.c.text_sha256 == reviews.c.text_sha256)
            .where(_held(CLAIMED, reviewer, key_id))
            .where(reviews.c.updated >= datetime.now(UTC) - LEASE)
            .order_by(reviews.c.updated.desc())
        )
        with self._database.read() as connection:
            return [
                (_prediction(row), row["reason"], bool(row["disputed"]))
                for row in connection.execute(query).mappings()
            ]

    def latest_handled(self, count: int) -> list[HandledCase]:
        """The cases claimed or decided last, the most recent first, if the prediction is stored.

        :raises StoreError: if they cannot be read.
        """
        found: list[HandledCase] = []
        with self._database.read() as connection:
            for state in (CLAIMED, DECIDED):
                query = (
                    select(reviews.c.updated, reviews.c.reason, predictions.c.levels)
                    .join(predictions, predictions.c.id == reviews.c.prediction_id)
                    .where(reviews.c.state == state)
                    .order_by(reviews.c.updated.desc())
                    .limit(count)
                )
                found += [HandledCase(*row) for row in connection.execute(query)]
        return sorted(found, key=lambda each: each.updated, reverse=True)[:count]

    def claim(
        self,
        prediction_id: str,
        text_sha256: str,
        reason: str,
        reviewer: str,
        key_id: str | None = None,
    ) -> bool:
        """Claim a case; False if another reviewer has claimed it, or it is decided.

        :param text_sha256: of its text; a claim on another prediction for the text counts too.
        :param reason: of the case, if it does not exist yet.
        :raises StoreError: if the store cannot be used.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            lock_texts(connection, [text_sha256])
            mine = _is_of(reviewer, key_id)
            if _claimed_by_other(connection, prediction_id, text_sha256, mine, now):
                return False
            case = Case(prediction_id, text_sha256, reason, CLAIMED, now, now, reviewer, key_id)
            if _insert_case(connection, case):
                return True
            available = or_(
                reviews.c.state == OPEN,
                and_(reviews.c.state == CLAIMED, reviews.c.updated < now - LEASE),
                and_(reviews.c.state == CLAIMED, mine),
            )
            holder = {"reviewer": reviewer, "key_id": key_id}
            return _update_case(connection, prediction_id, available, CLAIMED, **holder)

    def release(self, prediction_id: str, reviewer: str, key_id: str | None = None) -> None:
        """Release a claimed case.

        :raises NotClaimedError: if it is not claimed by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            held = _held(CLAIMED, reviewer, key_id)
            if not _update_case(connection, prediction_id, held, OPEN):
                raise NotClaimedError(prediction_id)

    def decide(self, key: str, decision: Feedback, key_id: str | None = None) -> bool:
        """Decide a claimed case by final feedback; False if that was stored before.

        :param key: the feedback's idempotency key.
        :raises NotClaimedError: if the case is not claimed by the feedback's reviewer.
        :raises ValueError: if the key was used for other feedback.
        :raises StoreError: if the store cannot be used.
        """
        reviewer = decision.reviewer or ""
        with self._database.write() as connection:
            lock_texts(connection, [decision.text_sha256])
            if not insert_feedback(connection, key, replace(decision, is_final=True)):
                return False
            held = _held(CLAIMED, reviewer, key_id)
            decided = {"reviewer": reviewer, "key_id": key_id, "feedback_key": key}
            if not _update_case(connection, decision.prediction_id, held, DECIDED, **decided):
                raise NotClaimedError(decision.prediction_id)
            if decision.text_sha256 is not None:
                update_consensus(connection, decision.text_sha256)
            return True

    def undo(self, prediction_id: str, reviewer: str, key_id: str | None = None) -> None:
        """Undo a decision: withdraw its feedback; the case is claimed by the reviewer again.

        :raises NotClaimedError: if it was not decided by ``reviewer``.
        :raises StoreError: if the store cannot be used.
        """
        with self._database.write() as connection:
            held = _held(DECIDED, reviewer, key_id)
            query = select(reviews).where(reviews.c.prediction_id == prediction_id, held)
            case = connection.execute(query).first()
            if case is None:
                raise NotClaimedError(prediction_id)
            lock_texts(connection, [case.text_sha256])
            holder = {"reviewer": reviewer, "key_id": key_id}
            if not _update_case(connection, prediction_id, held, CLAIMED, **holder):
                raise NotClaimedError(prediction_id)
            withdrawal = withdrawal_of(connection, case.feedback_key)
            insert_feedback(connection, f"undo-{secrets.token_hex(16)}", withdrawal)
            if withdrawal.text_sha256 is not None:
                update_consensus(connection, withdrawal.text_sha256)


def open_case(connection: Connection, prediction_id: str, text_sha256: str, reason: str) -> bool:
    """Open a case, or reopen a decided one, within a transaction; False if it was not closed."""
    now = datetime.now(UTC)
    if _insert_case(connection, Case(prediction_id, text_sha256, reason, OPEN, now, now)):
        return True
    return _update_case(connection, prediction_id, reviews.c.state == DECIDED, OPEN)


_CASE = [reviews.c[name].label(f"case_{name}") for name in Case.__dataclass_fields__]
_SHORT = [column for column in predictions.c if column.name != "text"]

# Numbers in one query.
_BATCH = 500


def _latest(version: str, size: int) -> Select[int, str]:
    return (
        select(predictions.c.number, predictions.c.text_sha256)
        .where(predictions.c.version == version, predictions.c.shadow_of.is_(None))
        .order_by(predictions.c.number.desc())
        .limit(size)
    )


def _disputed(size: int) -> Select[int, str]:
    return (
        select(predictions.c.number, predictions.c.text_sha256)
        .select_from(consensus)
        .join(reviews, reviews.c.text_sha256 == consensus.c.text_sha256)
        .join(predictions, predictions.c.id == reviews.c.prediction_id)
        .where(consensus.c.disputed.is_(True))
        .order_by(consensus.c.number)
        .limit(size)
    )


def _candidates(connection: Connection, numbers: Sequence[int]) -> dict[int, Candidate]:
    """The predictions of these numbers, by number."""
    columns = select(*_SHORT, predictions.c.text.is_not(None).label("has_text"))
    found: dict[int, Candidate] = {}
    for start in range(0, len(numbers), _BATCH):
        batch = predictions.c.number.in_(numbers[start : start + _BATCH])
        for row in connection.execute(columns.where(batch)).mappings():
            found[row["number"]] = Candidate(_prediction(row), row["has_text"])
    return found


def _states(connection: Connection, window: Subquery) -> dict[str, TextState]:
    """The states of the texts in a window of predictions, by their hash."""
    query = (
        select(
            window.c.text_sha256,
            consensus.c.text_number,
            consensus.c.reviewed,
            consensus.c.disputed,
            *_CASE,
        )
        .select_from(window)
        .outerjoin(consensus, consensus.c.text_sha256 == window.c.text_sha256)
        .outerjoin(reviews, reviews.c.text_sha256 == window.c.text_sha256)
        .where(or_(consensus.c.number.is_not(None), reviews.c.number.is_not(None)))
    )
    found: dict[str, TextState] = {}
    for text_sha256, text_number, reviewed, disputed, *fields in connection.execute(query):
        cases = {} if fields[0] is None else {fields[0]: Case(*fields)}
        if text_sha256 in found:  # a text may have several predictions and cases
            cases |= found[text_sha256].cases
        found[text_sha256] = TextState(
            text_number is not None, bool(reviewed), bool(disputed), cases
        )
    return found


def _prediction(row: RowMapping) -> PredictionRow:
    return to_prediction({column.name: row[column] for column in _SHORT})


def _insert_case(connection: Connection, case: Case) -> bool:
    return insert_if_absent(connection, reviews, "prediction_id", vars(case))


def _claimed_by_other(
    connection: Connection,
    prediction_id: str,
    text_sha256: str,
    mine: ColumnElement[bool],
    now: datetime,
) -> bool:
    """Whether another reviewer has claimed a case of another prediction for the same text."""
    query = select(reviews.c.number).where(
        reviews.c.text_sha256 == text_sha256,
        reviews.c.prediction_id != prediction_id,
        reviews.c.state == CLAIMED,
        reviews.c.updated >= now - LEASE,
        ~mine,
    )
    return connection.execute(query).first() is not None


def _is_of(reviewer: str, key_id: str | None) -> ColumnElement[bool]:
    # Without keys there is no id, and nothing is equal to null.
    return and_(reviews.c.reviewer == reviewer, reviews.c.key_id.is_not_distinct_from(key_id))


def _held(state: str, reviewer: str, key_id: str | None) -> ColumnElement[bool]:
    return and_(reviews.c.state == state, _is_of(reviewer, key_id))


def _update_case(
    connection: Connection,
    prediction_id: str,
    condition: ColumnElement[bool],
    state: str,
    reviewer: str | None = None,
    key_id: str | None = None,
    feedback_key: str | None = None,
) -> bool:
    """Set a case's state if the condition holds; False if it does not."""
    holder = {"reviewer": reviewer, "key_id": key_id, "feedback_key": feedback_key}
    statement = (
        update(reviews)
        .where(reviews.c.prediction_id == prediction_id, condition)
        .values(state=state, updated=datetime.now(UTC), **holder)
    )
    return bool(connection.execute(statement).rowcount)
