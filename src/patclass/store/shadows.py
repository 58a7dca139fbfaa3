"""What a model in the shadow would have answered, beside what was answered. Knows rows only."""

from dataclasses import dataclass

from sqlalchemy import func, select

from patclass.store.database import Database
from patclass.store.tables import predictions


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
