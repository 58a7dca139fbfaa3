"""A person's verdict as a row that is added and never changed. Knows one table.

Whoever has changed their mind, or decided a dispute, adds another row.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, select

from patclass.store.insert import insert_new
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
class Given:
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
    if given_of(connection.execute(known).mappings().one()).feedback != verdict:
        raise ValueError("this Idempotency-Key was used for other feedback; make a new one")
    return False


def said_of(connection: Connection, text_sha256: str) -> list[Given]:
    """What was said of a text, in order, within a transaction."""
    wanted = (
        select(feedback).where(feedback.c.text_sha256 == text_sha256).order_by(feedback.c.number)
    )
    return [given_of(row) for row in connection.execute(wanted).mappings()]


def withdrawal_of(connection: Connection, key: str) -> Feedback:
    """The row that takes back a verdict, within a transaction."""
    row = connection.execute(select(feedback).where(feedback.c.idempotency_key == key))
    said = given_of(row.mappings().one()).feedback
    return replace(said, label=None, note=None, text=None, decides=False, withdraws=key)


def given_of(row: RowMapping) -> Given:
    """A row as it was given."""
    fields = dict(row)
    number, key = fields.pop("number"), fields.pop("idempotency_key")
    return Given(number, key, fields.pop("created"), Feedback(**fields))
