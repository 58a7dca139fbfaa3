"""What a model in the shadow would have answered, beside what was answered. Knows rows only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from patclass.store.database import Database, unless_there
from patclass.store.tables import predictions, reviews

# Rows of one statement; SQLite takes some 32,000 values, PostgreSQL 65,535.
_ROWS = 500


@dataclass(frozen=True)
class PredictionRow:
    """A prediction as it is remembered.

    :param version: of the model, see ``LoadedModel``.
    :param levels: the best label of each level and its confidence, coarsest first.
    :param text_sha256: of the text, by ``files.text_sha256``.
    :param unseen: share of the text's tokens that the model has not learnt from.
    :param distance: of the text's state from those of the reference, one being usual.
    :param agreement: share of the nearest known patents that have the label.
    :param text: only where texts are kept.
    :param shadow_of: the prediction that was given instead of this one, made for comparison.
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
    """The table of predictions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Sequence[PredictionRow]) -> None:
        """Keep all of them, or none; one that is there already stays as it is.

        :raises StoreError: if they cannot be kept.
        """
        with self._database.write() as connection:
            statement = unless_there(connection, predictions, "id")
            for start in range(0, len(rows), _ROWS):
                values = [asdict(row) for row in rows[start : start + _ROWS]]
                connection.execute(statement, values)

    def get(self, prediction_id: str) -> PredictionRow | None:
        """One prediction; None if it is not known, or forgotten.

        :raises StoreError: if the store cannot be read.
        """
        with self._database.read() as connection:
            return find(connection, prediction_id)

    def known(self, ids: Sequence[str]) -> dict[str, PredictionRow]:
        """Those of some predictions that are known, by id.

        :raises StoreError: if the store cannot be read.
        """
        found: dict[str, PredictionRow] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), _ROWS):
                some = predictions.c.id.in_(ids[start : start + _ROWS])
                rows = connection.execute(select(predictions).where(some)).mappings()
                found |= {row["id"]: _row(row) for row in rows}
        return found

    def window(self, version: str, end: int, size: int) -> list[tuple[int, PredictionRow]]:
        """Predictions that a model gave, oldest first, each with its number and without its text.

        :param end: how many of all that it gave come before the end of the window.
        :raises StoreError: if the store cannot be read.
        """
        wanted = (
            select(*(column for column in predictions.c if column.name != "text"))
            .where(predictions.c.version == version, predictions.c.shadow_of.is_(None))
            .order_by(predictions.c.number)
            .offset(max(0, end - size))
            .limit(min(size, end))
        )
        with self._database.read() as connection:
            return [(row["number"], _row(row)) for row in connection.execute(wanted).mappings()]

    def latest(self, version: str, count: int) -> list[PredictionRow]:
        """The last predictions that a model gave, oldest first.

        :raises StoreError: if the store cannot be read.
        """
        wanted = (
            select(predictions)
            .where(predictions.c.version == version, predictions.c.shadow_of.is_(None))
            .order_by(predictions.c.number.desc())
            .limit(count)
        )
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute(wanted).mappings()][::-1]

    def texts_of_cases(self) -> dict[str, str]:
        """The hash of the text of each prediction that has a review case, by its id.

        :raises StoreError: if the store cannot be read.
        """
        has_case = predictions.c.id == reviews.c.prediction_id
        wanted = select(predictions.c.id, predictions.c.text_sha256).join(reviews, has_case)
        with self._database.read() as connection:
            return {row.id: row.text_sha256 for row in connection.execute(wanted)}

    def count(self, version: str | None = None, shadow: bool = False) -> int:
        """How many there are, given (or made in the shadow) by one model or by all.

        :raises StoreError: if the store cannot be read.
        """
        shadows = predictions.c.shadow_of
        wanted = (
            select(func.count())
            .select_from(predictions)
            .where(shadows.is_not(None) if shadow else shadows.is_(None))
        )
        if version is not None:
            wanted = wanted.where(predictions.c.version == version)
        with self._database.read() as connection:
            return int(connection.execute(wanted).scalar_one())


def find(connection: Connection, prediction_id: str) -> PredictionRow | None:
    """One prediction within a transaction."""
    wanted = select(predictions).where(predictions.c.id == prediction_id)
    row = connection.execute(wanted).mappings().first()
    return None if row is None else _row(row)


def _row(row: RowMapping) -> PredictionRow:
    fields = dict(row)
    del fields["number"]
    fields["levels"] = {name: (label, share) for name, (label, share) in fields["levels"].items()}
    return PredictionRow(**fields)


@dataclass(frozen=True)
class Disagreement:
    """How often a shadow differs from the model that answered.

    :param pairs: for the most frequent differences the label answered, the shadow's, and how often.
    """

    rows: int
    differ: int
    pairs: tuple[tuple[str, str, int], ...]

    def text(self) -> str:
        """In words."""
        share = f"{self.differ / max(1, self.rows):.1%}"
        lines = [f"in the shadow: {self.differ:,} of {self.rows:,} answers differ ({share})"]
        lines += [f"  {live} became {shadow}: {count:,}" for live, shadow, count in self.pairs]
        return "\n".join(lines)


def disagreement(database: Database, version: str, most: int = 10) -> Disagreement:
    """Compare a shadow's labels with those that were answered, at the level answered.

    :param version: of the shadow.
    :raises StoreError: if the store cannot be read.
    """
    shadow, live = predictions.alias("shadow"), predictions.alias("live")
    joined = shadow.join(live, shadow.c.shadow_of == live.c.id)
    count = func.count().label("count")
    wanted = (
        select(live.c.label, shadow.c.label, count)
        .select_from(joined)
        .where(shadow.c.version == version)
        .group_by(live.c.label, shadow.c.label)
        .order_by(count.desc(), live.c.label, shadow.c.label)
    )
    with database.read() as connection:
        found = [(row[0], row[1], int(row[2])) for row in connection.execute(wanted)]
    different = [row for row in found if row[0] != row[1]]
    return Disagreement(
        rows=sum(count for _, _, count in found),
        differ=sum(count for _, _, count in different),
        pairs=tuple(different[:most]),
    )
