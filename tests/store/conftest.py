"""The store on both databases: every test runs twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from patclass.store.database import VARIABLE, Database, locate_store
from postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = locate_store(None, {VARIABLE: url})
    yield found
    found.close()
