"""A server with a small exported bundle."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from patclass.service.logs import LOGGER
from service_process import Server, serving


@pytest.fixture(scope="session")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server shared by all tests that do not change it."""
    with serving(tmp_path_factory.mktemp("server"), "--model", exported) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the server."""
    with server.client() as client:
        yield client


@pytest.fixture
def logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """The log records of the service in this process."""
    monkeypatch.setattr(logging.getLogger(LOGGER), "propagate", True)
    monkeypatch.setattr(logging.getLogger(LOGGER), "disabled", False)
    caplog.set_level(logging.INFO, LOGGER)
    return caplog
