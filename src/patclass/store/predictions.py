"""The table of predictions, and how often those of a shadow model differ. Knows rows only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from patclass.store.database import Database, insert_or_ignore
from patclass.store.tables import consensus, feedback, predictions

# Rows per statement; SQLite accepts some 32,000 values, PostgreSQL 65,535.
_BATCH = 500


@dataclass(frozen=True)
class PredictionRow:
    """A prediction as it is stored.

    :param version: of the model.
    :param label: the predicted label, at ``level``.
    :param sure: whether the confidence reaches the level's threshold.
    :param levels: the best label of each level and its confidence, coarsest first.
    :param text_sha256: of the text, see ``patclass.data.text.text_sha256``.
    :param chars: length of the text in characters.
    :param oov_rate: share of the text's tokens that are not in the training vocabulary.
    :param novelty: distance of the text's embedding from the reference; 1 is typical.
    :param agreement: share of the k nearest neighbours that have the label.
    :param text: None unless texts are stored.
    :param shadow_of: of a shadow model's prediction, the id of the live one on the same text.
    """

    id: str
    created: datetime
    model: str
    version: str
    level: str
    label: str
    confidence: float
    sure: bool
    levels: dict[str, tuple[str, float]]
    text_sha256: str
    chars: int
    latency_ms: float
    oov_rate: float | None = None
    novelty: float | None = None
    agreement: float | None = None
    text: str | None = None
    shadow_of: str | None = None


class PredictionStore:
    """Predictions in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Sequence[PredictionRow]) -> None:
        """Store all rows, or none; a row whose id is stored already is left as it is.

        :raises StoreError: if they cannot be stored.
        """
        with self._database.write() as connection:
            statement = insert_or_ignore(connection, predictions, "id")
            for start in range(0, len(rows), _BATCH):
                values = [asdict(row) for row in rows[start : start + _BATCH]]
                connection.execute(statement, values)

    def get(self, prediction_id: str) -> PredictionRow | None:
        """One prediction; None if it is not stored, or was purged.

        :raises StoreError: if the store cannot be read.
        """
        with self._database.read() as connection:
            return find(connection, prediction_id)

    def get_many(self, ids: Sequence[str]) -> dict[str, PredictionRow]:
        """The stored predictions with these ids, by id.

        :raises StoreError: if the store cannot be read.
        """
        found: dict[str, PredictionRow] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), _BATCH):
                batch = predictions.c.id.in_(ids[start : start + _BATCH])
                rows = connection.execute(select(predictions).where(batch)).mappings()
                found |= {row["id"]: to_prediction(row) for row in rows}
        return found

    def window(self, version: str, end: int, size: int) -> list[tuple[int, PredictionRow]]:
        """A window of a model's live predictions, oldest first, as (number, row) without texts.

        :param end: position of the end of the window among all live predictions of the model.
        :param size: of the window, in predictions.
        :raises StoreError: if the store cannot be read.
        """
        query = (
            select(*(column for column in predictions.c if column.name != "text"))
            .where(predictions.c.version == version, predictions.c.shadow_of.is_(None))
            .order_by(predictions.c.number)
            .offset(max(0, end - size))
            .limit(min(size, end))
        )
        with self._database.read() as connection:
            return [
                (row["number"], to_prediction(row)) for row in connection.execute(query).mappings()
            ]

    def latest(self, version: str, count: int) -> list[PredictionRow]:
        """The latest live predictions of a model, oldest first.

        :raises StoreError: if the store cannot be read.
        """
        query = (
            select(predictions)
            .where(predictions.c.version == version, predictions.c.shadow_of.is_(None))
            .order_by(predictions.c.number.desc())
            .limit(count)
        )
        with self._database.read() as connection:
            return [to_prediction(row) for row in connection.execute(query).mappings()][::-1]

    def text(self, text_sha256: str) -> str | None:
        """The text with this hash, if it is stored with a prediction or with feedback.

        :raises StoreError: if the store cannot be read.
        """
        with_prediction = (
            select(predictions.c.text)
            .where(predictions.c.text_sha256 == text_sha256, predictions.c.text.is_not(None))
            .order_by(predictions.c.number.desc())
            .limit(1)
        )
        with_feedback = (
            select(feedback.c.text)
            .join(consensus, consensus.c.text_number == feedback.c.number)
            .where(consensus.c.text_sha256 == text_sha256)
        )
        with self._database.read() as connection:
            found: str | None = connection.execute(with_feedback).scalar()
            return found or connection.execute(with_prediction).scalar()

    def count(self, version: str | None = None, shadow: bool = False) -> int:
        """Number of live predictions, or of those by shadow models.

        :param version: only those of this model.

        :raises StoreError: if the store cannot be read.
        """
        shadow_of = predictions.c.shadow_of
        query = (
            select(func.count())
            .select_from(predictions)
            .where(shadow_of.is_not(None) if shadow else shadow_of.is_(None))
        )
        if version is not None:
            query = query.where(predictions.c.version == version)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def find(connection: Connection, prediction_id: str) -> PredictionRow | None:
    """One prediction within a transaction."""
    query = select(predictions).where(predictions.c.id == prediction_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else to_prediction(row)


def to_prediction(row: Mapping[str, Any] | RowMapping) -> PredictionRow:
    """A row of the table ``predictions`` as an object, with or without its text."""
    fields = dict(row)
    del fields["number"]
    fields["levels"] = {name: (label, share) for name, (label, share) in fields["levels"].items()}
    return PredictionRow(**fields)


@dataclass(frozen=True)
class Disagreement:
    """How often a shadow model's label differs from the live model's.

    :param pairs: the most frequent differences as (live label, shadow label, count).
    """

    rows: int
    differ: int
    pairs: tuple[tuple[str, str, int], ...]

    def text(self) -> str:
        """A summary for the terminal."""
        share = f"{self.differ / max(1, self.rows):.1%}"
        lines = [f"shadow: {self.differ:,} of {self.rows:,} predictions differ ({share})"]
        lines += [f"  {live} -> {shadow}: {count:,}" for live, shadow, count in self.pairs]
        return "\n".join(lines)


def disagreement(database: Database, version: str, most: int = 10) -> Disagreement:
    """Compare a shadow model's labels with the live ones, at the level of the prediction.

    :param version: of the shadow model.
    :param most: how many pairs of labels to return.
    :raises StoreError: if the store cannot be read.
    """
    shadow, live = predictions.alias("shadow"), predictions.alias("live")
    joined = shadow.join(live, shadow.c.shadow_of == live.c.id)
    count = func.count().label("count")
    query = (
        select(live.c.label, shadow.c.label, count)
        .select_from(joined)
        .where(shadow.c.version == version)
        .group_by(live.c.label, shadow.c.label)
        .order_by(count.desc(), live.c.label, shadow.c.label)
    )
    with database.read() as connection:
        found = [(row[0], row[1], int(row[2])) for row in connection.execute(query)]
    different = [row for row in found if row[0] != row[1]]
    return Disagreement(
        rows=sum(count for _, _, count in found),
        differ=sum(count for _, _, count in different),
        pairs=tuple(different[:most]),
    )
