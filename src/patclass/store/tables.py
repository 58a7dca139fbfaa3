"""The tables of the store, as the newest migration creates them. Knows names and types only."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

ID = 32
HASH = 64
VERSION = 12
KEY = 8


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite stores no time zone, so it is added when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the time zone, or convert to UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite generates values only for a primary key of type INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number() -> "Column[int]":
    return Column("number", Number, primary_key=True)


# Predictions that were returned to a caller, not made by a shadow model.
_LIVE = text("shadow_of IS NULL")

predictions = Table(
    "predictions",
    metadata,
    _number(),
    Column("id", String(ID), nullable=False, unique=True),
    Column("created", UtcDateTime, nullable=False, index=True),
    Column("model", String(100), nullable=False),
    Column("version", String(VERSION), nullable=False),
    Column("level", String(100), nullable=False),
    Column("label", String(200), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("sure", Boolean, nullable=False),
    Column("levels", JSON, nullable=False),
    Column("text_sha256", String(HASH), nullable=False),
    Column("chars", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("oov_rate", Float),
    Column("novelty", Float),
    Column("agreement", Float),
    Column("text", Text),
    Column("shadow_of", String(ID), index=True),
    Index(
        "ix_predictions_live",
        "version",
        "number",
        "text_sha256",  # so that the review queue need not read the rows
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    ),
    Index("ix_predictions_text_sha256", "text_sha256", "number"),
    # Without it SQLite would give the number of a deleted row to a new one.
    sqlite_autoincrement=True,
)

feedback = Table(
    "feedback",
    metadata,
    _number(),
    Column("idempotency_key", String(100), nullable=False, unique=True),
    Column("prediction_id", String(ID), nullable=False, index=True),
    Column("correct", Boolean, nullable=False),
    Column("label", String(200)),
    Column("note", Text),
    Column("reviewer", String(100)),
    Column("caller", String(100)),
    Column("created", UtcDateTime, nullable=False),
    Column("predicted_label", String(200)),
    Column("version", String(VERSION)),
    Column("text_sha256", String(HASH), index=True),
    Column("text", Text),
    Column("is_final", Boolean, nullable=False),
    Column("withdraws", String(100)),
    sqlite_autoincrement=True,
)

# What the reviewers of each text agree on: the summary of its feedback, changed along with it, so
# that nobody has to read all feedback.
consensus = Table(
    "consensus",
    metadata,
    _number(),
    Column("text_sha256", String(HASH), nullable=False, unique=True),
    Column("disputed", Boolean, nullable=False),
    Column("reviewed", Boolean, nullable=False),
    Column("text_number", BigInteger),
)

# Few texts are disputed: an index of those alone tells quickly that there are none.
_DISPUTED = consensus.c.disputed.is_(True)
Index(
    "ix_consensus_disputed",
    consensus.c.number,
    sqlite_where=_DISPUTED,
    postgresql_where=_DISPUTED,
)

reviews = Table(
    "reviews",
    metadata,
    _number(),
    Column("prediction_id", String(ID), nullable=False, unique=True),
    Column("text_sha256", String(HASH), nullable=False, index=True),
    Column("reason", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("reviewer", String(100)),
    Column("key_id", String(KEY)),
    Column("updated", UtcDateTime, nullable=False),
    Column("feedback_key", String(100)),
    Index("ix_reviews_state", "state", "updated"),
)

models = Table(
    "models",
    metadata,
    _number(),
    Column("version", String(VERSION), nullable=False, unique=True),
    Column("folder", String(200), nullable=False),
    Column("parent", String(VERSION)),
    Column("state", String(20), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("lineage", JSON, nullable=False),
    Column("decision", JSON),
)

events = Table(
    "events",
    metadata,
    _number(),
    Column("created", UtcDateTime, nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("key", String(200), nullable=False, unique=True),
    Column("version", String(VERSION)),
    Column("details", JSON, nullable=False),
)
