"""Feedback as rows that are added and never changed, and what it comes to for one patent."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations

from sqlalchemy import Connection, RowMapping, select

from patclass.cpc.symbols import Symbol
from patclass.store.database import insert_new
from patclass.store.tables import feedback


@dataclass(frozen=True)
class Feedback:
    """A verdict on one prediction.

    :param label: what it should have been, where that is known.
    :param reviewer: who says so, in their own words; ``caller`` is who called, by API key.
    :param answer: the label that was predicted, by the model of ``version``.
    :param text_sha256: of the text; ``text`` itself only where the person gave it.
    :param decides: whether this settles what others have said.
    :param withdraws: the idempotency key of an earlier verdict that no longer holds.
    """

    prediction_id: str
    correct: bool
    label: str | None = None
    note: str | None = None
    reviewer: str | None = None
    caller: str | None = None
    answer: str | None = None
    version: str | None = None
    text_sha256: str | None = None
    text: str | None = None
    decides: bool = False
    withdraws: str | None = None

    def __post_init__(self) -> None:
        """Be without NUL, which SQLite keeps and PostgreSQL does not; a text's hash stays."""
        for name, value in list(vars(self).items()):
            if isinstance(value, str):
                object.__setattr__(self, name, value.replace("\0", " "))

    @property
    def verdict(self) -> str | None:
        """The label that the person holds to be right; None if they do not know it."""
        return self.answer if self.correct else self.label


@dataclass(frozen=True)
class FeedbackRow:
    """A verdict with its place in the table, its key, and when it came."""

    number: int
    key: str
    created: datetime
    feedback: Feedback


def append(
    connection: Connection, key: str, verdict: Feedback, created: datetime | None = None
) -> bool:
    """Add a row within a transaction; False if it stands under its key already.

    :raises ValueError: if other feedback does.
    """
    row = {"idempotency_key": key, **asdict(verdict), "created": created or datetime.now(UTC)}
    if insert_new(connection, feedback, "idempotency_key", row):
        return True
    known = select(feedback).where(feedback.c.idempotency_key == key)
    if row_of_feedback(connection.execute(known).mappings().one()).feedback != verdict:
        raise ValueError("this Idempotency-Key was used for other feedback; make a new one")
    return False


def feedback_on_text(connection: Connection, text_sha256: str) -> list[FeedbackRow]:
    """What was said of a text, in order, within a transaction."""
    wanted = (
        select(feedback).where(feedback.c.text_sha256 == text_sha256).order_by(feedback.c.number)
    )
    return [row_of_feedback(row) for row in connection.execute(wanted).mappings()]


def withdrawal_of(connection: Connection, key: str) -> Feedback:
    """The row that takes back a verdict, within a transaction."""
    row = connection.execute(select(feedback).where(feedback.c.idempotency_key == key))
    said = row_of_feedback(row.mappings().one()).feedback
    return replace(said, label=None, note=None, text=None, decides=False, withdraws=key)


def row_of_feedback(row: RowMapping) -> FeedbackRow:
    """A row as it was given."""
    fields = dict(row)
    number, key = fields.pop("number"), fields.pop("idempotency_key")
    return FeedbackRow(number, key, fields.pop("created"), Feedback(**fields))


def by_text(given: Iterable[FeedbackRow]) -> dict[str, list[FeedbackRow]]:
    """Verdicts by the hash of their text, in order; under "" those of which it is not known."""
    found: dict[str, list[FeedbackRow]] = defaultdict(list)
    for each in given:
        found[each.feedback.text_sha256 or ""].append(each)
    return found


@dataclass(frozen=True)
class Consensus:
    """What holds after all that was said.

    :param label: what people hold to be right; None if nobody knows, or they disagree.
    :param disputed: whether people disagree and nobody has decided.
    :param numbers: of the rows of feedback that still hold.
    """

    label: str | None
    disputed: bool
    numbers: tuple[int, ...]


def consensus_of(said: Sequence[FeedbackRow]) -> Consensus:
    """The opinion that verdicts on one patent come to.

    A decision stands above all others. Of each person the last word counts, by when it was given:
    what is imported later may be older. Whoever gives no name counts as somebody else each time.
    """
    valid = standing(said)
    decisions = [given for given in valid if given.feedback.decides][-1:]
    heard = decisions or list({_person(given): given for given in valid}.values())
    numbers = tuple(given.number for given in heard)
    verdicts = [given.feedback for given in heard]
    if any(disagree(a, b) for a, b in combinations(verdicts, 2)):
        return Consensus(None, True, numbers)
    labels = [verdict.verdict for verdict in verdicts if verdict.verdict is not None]
    return Consensus(max(labels, key=len, default=None), False, numbers)


def standing(said: Sequence[FeedbackRow]) -> list[FeedbackRow]:
    """Of verdicts on one patent those that were not withdrawn, by when they were given."""
    withdrawn = {given.feedback.withdraws for given in said}
    valid = (g for g in said if g.feedback.withdraws is None and g.key not in withdrawn)
    return sorted(valid, key=lambda given: (given.created, given.number))


def disagree(a: Feedback, b: Feedback) -> bool:
    """Whether two verdicts on the same patent cannot both hold.

    A finer code agrees with the coarser one above it.
    """
    if a.verdict is not None and b.verdict is not None:
        return not related(a.verdict, b.verdict)
    # One knows only that an answer is wrong: so the other may not hold that answer to be right.
    unknown, other = (a, b) if a.verdict is None else (b, a)
    return other.verdict is not None and other.verdict == unknown.answer


def related(a: str, b: str) -> bool:
    """Whether labels are equal, or CPC codes of which one contains the other."""
    if a == b:
        return True
    symbols = Symbol.parse(a), Symbol.parse(b)
    if symbols[0] is None or symbols[1] is None:
        return False
    return symbols[0].is_within(b) or symbols[1].is_within(a)


def _person(given: FeedbackRow) -> tuple[str | None, ...]:
    verdict = given.feedback
    if verdict.reviewer is None:  # many may call by one key, as the page does
        return (given.key,)
    return (verdict.reviewer, verdict.caller)
