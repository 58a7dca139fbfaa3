"""A server that answers with a small exported bundle."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service_process import Server, serving


@pytest.fixture(scope="session")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not change it."""
    with serving(tmp_path_factory.mktemp("server"), "--model", exported) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the server."""
    with server.client() as client:
        yield client
