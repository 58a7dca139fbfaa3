"""What the tests would do hundreds of times with the same result: done once in a process."""

from collections.abc import Callable
from functools import cache

import pytest
from sqlalchemy import Connection, inspect
from tokenizers import Tokenizer

from patclass.model import tokenizer as tokenizer_module
from patclass.store import database as database_module
from patclass.store.migrations import HEAD


def do_once(patch: pytest.MonkeyPatch) -> None:
    """Try each tokenizer out once, migrate one SQLite file, read authorities' certificates once."""
    from httpx._transports import default as transport

    patch.setattr(tokenizer_module, "check_limits", _checked_once(tokenizer_module.check_limits))
    patch.setattr(database_module, "_upgrade", _migrated_once(database_module._upgrade))
    patch.setattr(transport, "create_ssl_context", cache(transport.create_ssl_context))


def _checked_once(check: Callable[[Tokenizer], None]) -> Callable[[Tokenizer], None]:
    """A tokenizer that was refused is tried again."""
    tried: set[str] = set()

    def check_limits(tokenizer: Tokenizer) -> None:
        state = tokenizer.to_str()
        if state not in tried:
            check(tokenizer)
            tried.add(state)

    return check_limits


_TABLES_AND_INDICES = "SELECT sql FROM sqlite_master WHERE sql > '' AND name NOT LIKE 'sqlite_%'"


def _migrated_once(migrate: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Empty SQLite files get the tables that the migrations made in the first one."""
    statements: list[str] = []

    def upgrade(connection: Connection) -> None:
        if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
            migrate(connection)
        elif not statements:
            migrate(connection)
            tables = (
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            )
            statements.extend(connection.exec_driver_sql(tables).scalars())
        else:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))

    return upgrade
