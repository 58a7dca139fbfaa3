"""``patclass serve``: its flags, and what it refuses at startup."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import Run
from helpers import ROOT, Cli
from patclass.cli.serve import serve
from patclass.service.keys import KeyFile, Role
from patclass.service.settings import ServiceSettings

FLAGS = [f"--{name.replace('_', '-')}" for name in ServiceSettings.model_fields]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PATCLASS_KEYS", "PATCLASS_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def startup_settings(monkeypatch: pytest.MonkeyPatch) -> list[ServiceSettings]:
    """The settings with which a server would be started; none is started."""
    found: list[ServiceSettings] = []
    monkeypatch.setattr("patclass.service.app.serve", lambda settings, _: found.append(settings))
    return found


@pytest.fixture(scope="module")
def help_text() -> str:
    result = CliRunner().invoke(serve, ["--help"], prog_name="patclass serve")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("flag", [*FLAGS, "--model", "--device"])
def test_the_help_lists_each_flag(help_text: str, flag: str):
    assert f"  {flag} " in help_text or f", {flag} " in help_text or f"  {flag}\n" in help_text


@pytest.mark.parametrize(
    "part",
    [
        *("POST /predict", "/v1/classify", "/docs", "SIGHUP", "/v1/models/reload", "loopback"),
        *("patclass export", "patclass keys create", "PATCLASS_KEYS", "PATCLASS_MODEL"),
        *("[default: 9000]", "[default: 100000]", "[default: 4000000]", "[default: 127.0.0.1]"),
    ],
)
def test_the_help_says_how_to_start(help_text: str, part: str):
    assert part in " ".join(help_text.split())


def test_help_describes_each_setting_as_the_settings_do(help_text: str):
    plain = " ".join(help_text.split())
    for name, info in ServiceSettings.model_fields.items():
        assert " ".join((info.description or name).split()[:4]) in plain


def startup_error(cli: Cli, *flags: object) -> str:
    """The one-line error of a refused start."""
    outcome = cli("serve", *flags)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--port", "70000"), ("--port", "-1"), ("--port", "http")),
        *(("--max-chars", "0"), ("--max-chars", "2000000"), ("--max-chars", "many")),
        *(("--max-items", "0"), ("--max-items", "1.5"), ("--max-body-bytes", "10")),
        *(("--queue-tokens", "0"), ("--queue-tokens", "all")),
        *(("--deadline", "0"), ("--deadline", "601"), ("--deadline", "nan"), ("--deadline", "1s")),
    ],
)
def test_an_invalid_value_is_named(cli: Cli, flag: str, value: str):
    assert f"{flag} {value!r}: expected " in startup_error(cli, flag, value)


@pytest.mark.parametrize("flags", [("--device", "abacus"), ("--max-itmes", "3"), ("extra",)])
def test_an_unknown_flag_is_reported_with_the_usage(cli: Cli, flags: tuple[str, ...]):
    outcome = cli("serve", *flags)
    assert outcome.code == 2
    assert outcome.err.startswith("Usage: ")
    assert flags[-1] in outcome.err or flags[0] in outcome.err


@pytest.mark.parametrize(
    ("models", "name"),
    [(("a", "b"), "default"), (("x=a", "x=b"), "x"), (("default=a", "b"), "default")],
)
def test_two_models_of_the_same_name_are_refused(cli: Cli, models: tuple[str, ...], name: str):
    flags = [part for model in models for part in ("--model", model)]
    assert f"two models '{name}'" in startup_error(cli, *flags)


def error_of_process(done: "subprocess.CompletedProcess[str]") -> str:
    """The one-line error of a process that ended; the log consists of JSON objects."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    plain_lines = [line for line in lines if not line.startswith('{"time": ')]
    (line,) = [line for line in plain_lines if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert plain_lines[-1] == line
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_a_public_address_without_keys_is_refused(patclass: Run, host: str):
    line = error_of_process(patclass("serve", "--host", host))
    for way in (f"--host {host}", "patclass keys create", "--keys", "--insecure"):
        assert way.strip() in line


@pytest.mark.parametrize(
    "damage",
    ["flipped", *(pytest.param(name, marks=pytest.mark.full) for name in ("empty", "garbage"))],
)
def test_a_broken_bundle_stops_the_process_with_a_one_line_error(
    patclass: Run, tree_bundle: Path, tmp_path: Path, damage: str
):
    folder = tmp_path / "model"
    named = str(folder)
    if damage == "empty":
        folder.mkdir()
    if damage in ("flipped", "garbage"):
        shutil.copytree(tree_bundle, folder)
    if damage == "flipped":
        named, weights = "head.safetensors was altered", folder / "head.safetensors"
        content = bytearray(weights.read_bytes())
        content[100] ^= 1
        weights.write_bytes(content)
    if damage == "garbage":
        (folder / "manifest.json").write_text("{", encoding="utf-8")
        named = "manifest.json is damaged"
    line = error_of_process(patclass("serve", "--port", 0, "--model", folder))
    assert named in line


def test_one_broken_bundle_of_two_stops_the_process(
    patclass: Run, tree_bundle: Path, tmp_path: Path
):
    models = ("--model", f"bad={tmp_path / 'nosuch'}", "--model", f"good={tree_bundle}")
    assert "nosuch is not a bundle" in error_of_process(patclass("serve", "--port", 0, *models))


def test_a_port_in_use_stops_the_process(patclass: Run, tree_bundle: Path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        done = patclass("serve", "--port", held.getsockname()[1], "--model", tree_bundle)
    assert done.returncode == 2
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_script_of_the_original_description_has_the_same_flags(help_text: str):
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "serve.py", "--help"],
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: serve.py [OPTIONS]")
    for flag in FLAGS:
        assert flag in done.stdout
    assert len(done.stdout.splitlines()) >= len(help_text.splitlines()) - 10


def test_the_key_file_can_be_set_by_the_environment(
    cli: Cli,
    startup_settings: list[ServiceSettings],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    store = KeyFile(tmp_path / "mine.json")
    store.create("search team", Role.USER)
    monkeypatch.setenv("PATCLASS_KEYS", str(store.path))
    for flags in ((), ("--keys", "other.json"), ("--insecure",)):
        assert cli("serve", *flags, "--host", "0.0.0.0").code == 0
    assert [settings.keys for settings in startup_settings] == [
        store.path,
        Path("other.json"),
        None,
    ]


def test_an_empty_environment_variable_sets_no_key_file(
    cli: Cli, startup_settings: list[ServiceSettings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATCLASS_KEYS", "")
    assert cli("serve").code == 0
    assert startup_settings[0].keys is None


def test_every_flag_reaches_the_settings(cli: Cli, startup_settings: list[ServiceSettings]):
    flags = [
        *("--host", "::1", "--port", "0", "--keys", "k.json", "--insecure", "--cors", "http://a"),
        *("--cors", "http://b", "--max-chars", "7", "--max-items", "8", "--max-body-bytes", "9000"),
        *("--queue-tokens", "10", "--deadline", "1.5", "--log-texts", "--trace"),
        *("--offices", "--max-numbers", "5", "--allowed-hosts", "a.example"),
        *("--trusted-proxies", "10.0.0.0/8", "--trusted-proxies", "::1"),
        *(
            "--store",
            "f.db",
            "--keep-texts",
            "--feedback-rate",
            "12",
            "--window",
            "50",
            "--shadow",
            "candidate",
        ),
    ]
    assert cli("serve", *flags).code == 0
    (settings,) = startup_settings
    assert settings.model_dump() == {
        **{"host": "::1", "port": 0, "keys": Path("k.json"), "insecure": True},
        **{"cors": ("http://a", "http://b"), "max_chars": 7, "max_items": 8},
        **{"max_body_bytes": 9_000, "queue_tokens": 10, "deadline": 1.5},
        **{"log_texts": True, "trace": True, "store": Path("f.db")},
        **{"keep_texts": True, "feedback_rate": 12, "window": 50},
        **{"shadow": Path("candidate"), "offices": True, "max_numbers": 5},
        **{"allowed_hosts": ("a.example",), "trusted_proxies": ("10.0.0.0/8", "::1")},
    }


def test_without_flags_the_settings_are_the_defaults(
    cli: Cli, startup_settings: list[ServiceSettings]
):
    assert cli("serve").code == 0
    assert startup_settings == [ServiceSettings()]
