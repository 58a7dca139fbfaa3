"""Feedback on predictions, and the consensus of the reviewers about one text."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations

from sqlalchemy import Connection, RowMapping, func, select, update

from patclass.cpc.levels import SUBCLASS_DEPTH, code_path
from patclass.cpc.symbols import Symbol
from patclass.store.database import insert_if_absent
from patclass.store.tables import consensus, feedback


@dataclass(frozen=True)
class Feedback:
    """Feedback on one prediction.

    :param correct: whether the predicted label is right.
    :param label: the correct label if the predicted one is wrong; None if it is not known.
    :param reviewer: name of the reviewer; ``caller`` is the name of the API key used.
    :param predicted_label: the label predicted by the model of ``version``.
    :param text_sha256: of the text; ``text`` itself only if the reviewer sent it.
    :param is_final: whether this overrides all other feedback on the text.
    :param withdraws: the idempotency key of earlier feedback that this one withdraws.
    """

    prediction_id: str
    correct: bool
    label: str | None = None
    note: str | None = None
    reviewer: str | None = None
    caller: str | None = None
    predicted_label: str | None = None
    version: str | None = None
    text_sha256: str | None = None
    text: str | None = None
    is_final: bool = False
    withdraws: str | None = None

    def __post_init__(self) -> None:
        """Replace NUL, which SQLite stores and PostgreSQL rejects; the text's hash stays valid."""
        for name, value in list(vars(self).items()):
            if isinstance(value, str):
                object.__setattr__(self, name, value.replace("\0", " "))

    @property
    def true_label(self) -> str | None:
        """The label that is right according to the reviewer; None if they do not know it."""
        return self.predicted_label if self.correct else self.label


@dataclass(frozen=True)
class FeedbackRow:
    """Feedback as stored.

    :param number: primary key, in the order of insertion.
    :param key: idempotency key.
    :param created: when the feedback was given; imported feedback keeps its time.
    """

    number: int
    key: str
    created: datetime
    feedback: Feedback


def insert_feedback(
    connection: Connection, key: str, new: Feedback, created: datetime | None = None
) -> bool:
    """Insert feedback within a transaction; False if it is stored under this key already.

    :raises ValueError: if other feedback is stored under this key.
    """
    row = {"idempotency_key": key, **asdict(new), "created": created or datetime.now(UTC)}
    if insert_if_absent(connection, feedback, "idempotency_key", row):
        return True
    if _feedback_with_key(connection, key) != new:
        raise ValueError("this Idempotency-Key was used for other feedback; make a new one")
    return False


# Texts and notes are long, and nobody's agreement depends on them.
_SHORT = [column for column in feedback.c if column.name not in ("text", "note")]


def update_consensus(connection: Connection, text_sha256: str) -> "Consensus":
    """Store what the reviewers of a text agree on, within a transaction that has locked the text.

    To be called after every change of the text's feedback.
    """
    of_text = feedback.c.text_sha256 == text_sha256
    query = select(*_SHORT).where(of_text).order_by(feedback.c.number)
    found = consensus_of([to_feedback_row(row) for row in connection.execute(query).mappings()])
    with_text = select(func.min(feedback.c.number)).where(of_text, feedback.c.text.is_not(None))
    row = {
        "disputed": found.disputed,
        "reviewed": bool(found.numbers),
        "text_number": connection.execute(with_text).scalar(),
    }
    changed = update(consensus).where(consensus.c.text_sha256 == text_sha256).values(row)
    if not connection.execute(changed).rowcount:
        connection.execute(consensus.insert(), row | {"text_sha256": text_sha256})
    return found


def withdrawal_of(connection: Connection, key: str) -> Feedback:
    """Feedback that withdraws the one stored under ``key``, within a transaction."""
    withdrawn = _feedback_with_key(connection, key)
    return replace(withdrawn, label=None, note=None, text=None, is_final=False, withdraws=key)


def _feedback_with_key(connection: Connection, key: str) -> Feedback:
    query = select(feedback).where(feedback.c.idempotency_key == key)
    return to_feedback_row(connection.execute(query).mappings().one()).feedback


def to_feedback_row(row: RowMapping) -> FeedbackRow:
    """A row of the table ``feedback`` as an object."""
    fields = dict(row)
    number, key = fields.pop("number"), fields.pop("idempotency_key")
    return FeedbackRow(number, key, fields.pop("created"), Feedback(**fields))


def group_by_text(rows: Iterable[FeedbackRow]) -> dict[str, list[FeedbackRow]]:
    """Feedback by the hash of its text, in order; under "" that whose text is not known."""
    groups: dict[str, list[FeedbackRow]] = defaultdict(list)
    for row in rows:
        groups[row.feedback.text_sha256 or ""].append(row)
    return groups


@dataclass(frozen=True)
class Consensus:
    """What the reviewers of one text agree on.

    :param label: the correct label; None if it is not known, or disputed.
    :param disputed: whether reviewers disagree and there is no final feedback.
    :param numbers: of the rows of feedback that count.
    """

    label: str | None
    disputed: bool
    numbers: tuple[int, ...]


def consensus_of(rows: Sequence[FeedbackRow]) -> Consensus:
    """The consensus of all feedback on one text.

    The latest final feedback overrides all other. Otherwise the latest feedback of each reviewer
    counts, by the time it was given: feedback imported later may be older. Feedback without a
    reviewer's name counts as that of a different reviewer each time.
    """
    valid = valid_feedback(rows)
    final = [row for row in valid if row.feedback.is_final][-1:]
    counted = final or list({_reviewer_key(row): row for row in valid}.values())
    numbers = tuple(row.number for row in counted)
    labels = {row.feedback.true_label for row in counted if row.feedback.true_label is not None}
    # There may be thousands of groups, but groups of one subclass agree as one of them does.
    different = {_statement(row.feedback): row.feedback for row in counted}.values()
    wrong = {given.predicted_label for given in different if given.true_label is None}
    if labels & wrong or any(disagree(a, b) for a, b in combinations(different, 2)):
        return Consensus(None, True, numbers)
    return Consensus(_shared(labels) if labels else None, False, numbers)


def valid_feedback(rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
    """Of all feedback on one text that which was not withdrawn, ordered by time."""
    withdrawn = {row.feedback.withdraws for row in rows}
    valid = (row for row in rows if row.feedback.withdraws is None and row.key not in withdrawn)
    return sorted(valid, key=lambda row: (row.created, row.number))


def _statement(given: Feedback) -> tuple[str | None, str | None]:
    """What feedback says: which label, down to the subclass, is right, or else which is wrong."""
    label = given.true_label
    if label is None:
        return None, given.predicted_label
    symbol = Symbol.parse(label)
    return label if symbol is None else symbol.path[:SUBCLASS_DEPTH][-1], None


def disagree(a: Feedback, b: Feedback) -> bool:
    """Whether feedback on the same text is contradictory.

    A CPC symbol agrees with its subdivisions. Of groups of one subclass only one is compared.
    """
    if a.true_label is not None and b.true_label is not None:
        return not related(a.true_label, b.true_label)
    # One reviewer knows only that a label is wrong; the other contradicts if it is right for them.
    unknown, other = (a, b) if a.true_label is None else (b, a)
    return other.true_label is not None and other.true_label == unknown.predicted_label


def related(a: str, b: str) -> bool:
    """Whether labels are equal, or CPC symbols of which one contains the other."""
    if a == b:
        return True
    symbols = Symbol.parse(a), Symbol.parse(b)
    if symbols[0] is None or symbols[1] is None:
        return False
    return symbols[0].is_within(b) or symbols[1].is_within(a)


def _shared(labels: Collection[str]) -> str:
    """The deepest code that contradicts none of the labels, which agree with each other."""
    deepest = max(sorted(labels), key=_depth)
    codes = (deepest, *reversed(code_path(deepest)))
    return next(code for code in codes if all(related(code, label) for label in labels))


def _depth(label: str) -> int:
    """How deep a label is in the CPC; 0 if it is no symbol."""
    symbol = Symbol.parse(label)
    return 0 if symbol is None else symbol.depth


def _reviewer_key(row: FeedbackRow) -> tuple[str | None, ...]:
    if row.feedback.reviewer is None:  # several reviewers may share one API key
        return (row.key,)
    return (row.feedback.reviewer, row.feedback.caller)
