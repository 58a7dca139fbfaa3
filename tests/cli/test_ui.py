"""``patclass ui``: what it starts, and with which settings."""

import os
import runpy
import tomllib

import pytest
import streamlit
from streamlit.web.server.app_discovery import discover_asgi_app

from conftest import ROOT
from helpers import Cli
from patclass.ui.categories import VARIABLE
from patclass.ui.client import ADDRESS_VARIABLE
from patclass.ui.server import LOOPBACK_NAMES, MIDDLEWARE, SCRIPT

Settings = dict[str, object]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings with which the page would have been started."""
    found: list[Settings] = []

    def start(app: streamlit.App, config: Settings) -> None:
        assert app.script_path.is_file()
        assert app._user_middleware == list(MIDDLEWARE)
        found.append(config)

    monkeypatch.setattr(streamlit.App, "run", start)
    monkeypatch.setenv(ADDRESS_VARIABLE, "http://before")
    return found


def test_it_runs_the_page_on_loopback_without_telemetry(cli: Cli, started: list[Settings]):
    done = cli("ui")
    assert (done.code, done.err) == (0, "http://127.0.0.1:8501\n")
    (settings,) = started
    assert settings["server.address"] == "127.0.0.1"
    assert settings["browser.gatherUsageStats"] is False
    assert settings["client.showErrorDetails"] == "none"
    assert settings["server.allowedHosts"] == []
    assert settings["client.allowedOrigins"] == []


def test_the_address_of_the_service_is_passed_on(cli: Cli, started: list[Settings]):
    done = cli("ui", "--api", "https://patents.example", "--port", "80", "--host", "::")
    assert (done.code, done.err) == (0, "http://[::]:80\n")
    assert os.environ[ADDRESS_VARIABLE] == "https://patents.example"
    assert (started[0]["server.port"], started[0]["server.address"]) == (80, "::")


def test_categories_can_be_switched_off(
    cli: Cli, started: list[Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, "1")
    assert cli("ui").code == 0
    assert os.environ[VARIABLE] == "1"
    assert cli("ui", "--no-categories").code == 0
    assert os.environ[VARIABLE] == "0"


def test_names_are_allowed_besides_those_of_loopback(cli: Cli, started: list[Settings]):
    assert cli("ui", "--allowed-hosts", "a.example", "--allowed-hosts", "*.b.example").code == 0
    assert started[0]["server.allowedHosts"] == [*LOOPBACK_NAMES, "a.example", "*.b.example"]


def test_it_ends_without_an_error_when_it_is_stopped(
    cli: Cli, started: list[Settings], monkeypatch: pytest.MonkeyPatch
):
    def stopped(app: streamlit.App, config: Settings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(streamlit.App, "run", stopped)
    assert cli("ui").code == 0


def test_streamlit_run_has_the_same_page_and_settings(cli: Cli, started: list[Settings]):
    assert cli("ui").code == 0
    stored = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    found = {}
    for section, values in stored.items():
        for name, value in values.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            for last, content in inner:
                found[".".join(filter(None, (section, name, last)))] = content
    assert found == {name: started[0][name] for name in found}
    own = {"server.port", "server.fileWatcherType", "server.allowedHosts"}
    assert set(started[0]) - set(found) == own
    script = ROOT / "src" / "frontend.py"
    assert discover_asgi_app(script).import_string == "frontend:app"
    app = runpy.run_path(str(script))["app"]
    assert (app.script_path, app._user_middleware) == (SCRIPT, list(MIDDLEWARE))
