"""Rows that are added unless they are there, in the words of either database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def unless_there(
    connection: Connection, table: Table, unique: str
) -> SqliteInsert | PostgresInsert:
    """An insert that leaves alone a row with the same value of the column ``unique``."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=[unique])
    return postgresql.insert(table).on_conflict_do_nothing(index_elements=[unique])


def insert_new(connection: Connection, table: Table, unique: str, row: Mapping[str, Any]) -> bool:
    """Add one row; False if one with the same value of ``unique`` is there."""
    statement = unless_there(connection, table, unique).returning(table.c.number)
    return connection.execute(statement, dict(row)).first() is not None
