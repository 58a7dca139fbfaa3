"""All tables of the first release."""

import sqlalchemy as sa
from alembic import op

from patclass.store.tables import HASH, ID, KEY, VERSION, Number, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables and their indexes."""
    _create_predictions()
    _create_feedback()
    _create_consensus()
    _create_reviews()
    _create_models()
    _create_events()


def _number() -> "sa.Column[int]":
    return sa.Column("number", Number, primary_key=True)


def _create_predictions() -> None:
    op.create_table(
        "predictions",
        _number(),
        sa.Column("id", sa.String(ID), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("version", sa.String(VERSION), nullable=False),
        sa.Column("level", sa.String(100), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("sure", sa.Boolean, nullable=False),
        sa.Column("levels", sa.JSON, nullable=False),
        sa.Column("text_sha256", sa.String(HASH), nullable=False),
        sa.Column("chars", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False),
        sa.Column("oov_rate", sa.Float),
        sa.Column("novelty", sa.Float),
        sa.Column("agreement", sa.Float),
        sa.Column("text", sa.Text),
        sa.Column("shadow_of", sa.String(ID)),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    for column in ("created", "shadow_of"):
        op.create_index(None, "predictions", [column])
    op.create_index("ix_predictions_text_sha256", "predictions", ["text_sha256", "number"])
    live = sa.text("shadow_of IS NULL")
    op.create_index(
        "ix_predictions_live",
        "predictions",
        ["version", "number", "text_sha256"],
        sqlite_where=live,
        postgresql_where=live,
    )


def _create_feedback() -> None:
    op.create_table(
        "feedback",
        _number(),
        sa.Column("idempotency_key", sa.String(100), nullable=False),
        sa.Column("prediction_id", sa.String(ID), nullable=False),
        sa.Column("correct", sa.Boolean, nullable=False),
        sa.Column("label", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("reviewer", sa.String(100)),
        sa.Column("caller", sa.String(100)),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("predicted_label", sa.String(200)),
        sa.Column("version", sa.String(VERSION)),
        sa.Column("text_sha256", sa.String(HASH)),
        sa.Column("text", sa.Text),
        sa.Column("is_final", sa.Boolean, nullable=False),
        sa.Column("withdraws", sa.String(100)),
        sa.UniqueConstraint("idempotency_key"),
        sqlite_autoincrement=True,
    )
    for column in ("prediction_id", "text_sha256"):
        op.create_index(None, "feedback", [column])


def _create_consensus() -> None:
    op.create_table(
        "consensus",
        _number(),
        sa.Column("text_sha256", sa.String(HASH), nullable=False),
        sa.Column("disputed", sa.Boolean, nullable=False),
        sa.Column("reviewed", sa.Boolean, nullable=False),
        sa.Column("text_number", sa.BigInteger),
        sa.UniqueConstraint("text_sha256"),
    )
    disputed = sa.column("disputed", sa.Boolean).is_(True)
    op.create_index(
        "ix_consensus_disputed",
        "consensus",
        ["number"],
        sqlite_where=disputed,
        postgresql_where=disputed,
    )


def _create_reviews() -> None:
    op.create_table(
        "reviews",
        _number(),
        sa.Column("prediction_id", sa.String(ID), nullable=False),
        sa.Column("text_sha256", sa.String(HASH), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("reviewer", sa.String(100)),
        sa.Column("key_id", sa.String(KEY)),
        sa.Column("updated", UtcDateTime, nullable=False),
        sa.Column("feedback_key", sa.String(100)),
        sa.UniqueConstraint("prediction_id"),
    )
    op.create_index(None, "reviews", ["text_sha256"])
    op.create_index("ix_reviews_state", "reviews", ["state", "updated"])


def _create_models() -> None:
    op.create_table(
        "models",
        _number(),
        sa.Column("version", sa.String(VERSION), nullable=False),
        sa.Column("folder", sa.String(200), nullable=False),
        sa.Column("parent", sa.String(VERSION)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("decision", sa.JSON),
        sa.UniqueConstraint("version"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        _number(),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("version", sa.String(VERSION)),
        sa.Column("details", sa.JSON, nullable=False),
        sa.UniqueConstraint("key"),
    )
    op.create_index(None, "events", ["created"])
