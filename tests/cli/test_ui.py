"""``patclass ui``: what it starts, and with which settings."""

import os
import tomllib
from pathlib import Path

import pytest
import streamlit.web.cli

from conftest import ROOT
from helpers import Cli
from patclass.ui.client import ADDRESS_VARIABLE


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments with which Streamlit would have been started."""
    found: list[list[str]] = []

    def start(arguments: list[str], standalone_mode: bool) -> None:
        assert not standalone_mode
        found.append(arguments)

    monkeypatch.setattr(streamlit.web.cli.main, "main", start)
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://before")
    return found


def settings_of(arguments: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments[2:])


def test_it_runs_the_page_on_loopback_without_telemetry(cli: Cli, started: list[list[str]]):
    assert cli("ui").code == 0
    (arguments,) = started
    assert arguments[0] == "run"
    assert Path(arguments[1]).is_file()
    settings = settings_of(arguments)
    assert settings["server.address"] == "127.0.0.1"
    assert settings["browser.gatherUsageStats"] == "false"
    assert settings["client.showErrorDetails"] == "none"


def test_the_address_of_the_service_is_passed_on(cli: Cli, started: list[list[str]]):
    assert cli("ui", "--api", "https://patents.example", "--port", "80", "--host", "::").code == 0
    assert os.environ[ADDRESS_VARIABLE] == "https://patents.example"
    settings = settings_of(started[0])
    assert (settings["server.port"], settings["server.address"]) == ("80", "::")


def test_streamlit_run_has_the_same_settings(cli: Cli, started: list[list[str]]):
    assert cli("ui").code == 0
    flags = settings_of(started[0])
    stored = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    found = {}
    for section, values in stored.items():
        for name, value in values.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            for last, content in inner:
                key = ".".join(filter(None, (section, name, last)))
                found[key] = str(content).lower() if isinstance(content, bool) else str(content)
    assert found == {name: flags[name] for name in found}
    assert set(flags) - set(found) == {"server.port", "server.fileWatcherType"}
