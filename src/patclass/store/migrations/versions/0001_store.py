"""All tables; the file of feedback that came before them is taken over, row by row."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from patclass.store.tables import HASH, ID, VERSION, Moment, Number

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables; keep the feedback that is there."""
    before = _feedback_before()
    _predictions()
    _feedback(before)
    _others()


def _number() -> "sa.Column[int]":
    return sa.Column("number", Number, primary_key=True)


def _feedback_before() -> list[dict[str, object]]:
    """The rows of version 1 of the feedback file, a table of the same name; it makes room."""
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("feedback"):
        return []
    rows = connection.execute(sa.text("SELECT * FROM feedback ORDER BY number")).mappings()
    found = [
        {
            **row,
            "correct": bool(row["correct"]),
            "created": datetime.fromisoformat(row["created"]),
            "decides": False,
        }
        for row in rows
    ]
    op.drop_table("feedback")
    return found


def _predictions() -> None:
    op.create_table(
        "predictions",
        _number(),
        sa.Column("id", sa.String(ID), nullable=False),
        sa.Column("created", Moment, nullable=False),
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
    )
    for column in ("created", "text_sha256", "shadow_of"):
        op.create_index(None, "predictions", [column])
    op.create_index("ix_predictions_version_number", "predictions", ["version", "number"])


def _feedback(before: list[dict[str, object]]) -> None:
    table = op.create_table(
        "feedback",
        _number(),
        sa.Column("idempotency_key", sa.String(100), nullable=False),
        sa.Column("prediction_id", sa.String(ID), nullable=False),
        sa.Column("correct", sa.Boolean, nullable=False),
        sa.Column("label", sa.String(200)),
        sa.Column("note", sa.Text),
        sa.Column("reviewer", sa.String(100)),
        sa.Column("caller", sa.String(100)),
        sa.Column("created", Moment, nullable=False),
        sa.Column("answer", sa.String(200)),
        sa.Column("version", sa.String(VERSION)),
        sa.Column("text_sha256", sa.String(HASH)),
        sa.Column("text", sa.Text),
        sa.Column("decides", sa.Boolean, nullable=False),
        sa.Column("withdraws", sa.String(100)),
        sa.UniqueConstraint("idempotency_key"),
    )
    for column in ("prediction_id", "text_sha256"):
        op.create_index(None, "feedback", [column])
    if before:
        op.bulk_insert(table, before)


def _others() -> None:
    op.create_table(
        "reviews",
        _number(),
        sa.Column("prediction_id", sa.String(ID), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.Column("reviewer", sa.String(100)),
        sa.Column("changed", Moment, nullable=False),
        sa.Column("feedback_key", sa.String(100)),
        sa.UniqueConstraint("prediction_id"),
    )
    op.create_index(None, "reviews", ["state"])
    op.create_table(
        "models",
        _number(),
        sa.Column("version", sa.String(VERSION), nullable=False),
        sa.Column("folder", sa.String(200), nullable=False),
        sa.Column("parent", sa.String(VERSION)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("decision", sa.JSON),
        sa.UniqueConstraint("version"),
    )
    op.create_table(
        "events",
        _number(),
        sa.Column("created", Moment, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("version", sa.String(VERSION)),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.UniqueConstraint("key"),
    )
    op.create_index(None, "events", ["created"])
