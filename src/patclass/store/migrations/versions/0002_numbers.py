"""Numbers that are never given twice, and an index of the answers that were given to somebody.

SQLite gives the number of a row that is gone to the next one, unless it is told not to; what
counts from a number on would then leave rows out.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBERED = ("predictions", "feedback")


def upgrade() -> None:
    """Number anew what is numbered by SQLite, and change the index."""
    op.drop_index("ix_predictions_version_number", "predictions")
    if op.get_bind().dialect.name == "sqlite":
        for table in NUMBERED:
            with op.batch_alter_table(
                table, recreate="always", table_kwargs={"sqlite_autoincrement": True}
            ):
                pass  # the table is made anew, and its rows are copied
    given = sa.text("shadow_of IS NULL")
    op.create_index(
        *("ix_predictions_given", "predictions", ["version", "number"]),
        sqlite_where=given,
        postgresql_where=given,
    )
