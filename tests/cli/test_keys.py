"""``patclass keys``: its output, its streams and its help."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from helpers import run_script
from patclass.cli.serve import keys
from patclass.core.errors import ConfigError
from patclass.service.keys import DEFAULT_FILE, KeyFile, Role

LIGHT = """
import sys
import patclass.cli.serve
print("patclass.service.keys" in sys.modules, "fastapi" in sys.modules)
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PATCLASS_KEYS", raising=False)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments, prog_name="patclass keys")


def run_keys(*arguments: str) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_create_prints_only_the_key_on_standard_output():
    result = run_keys("create", "search team")
    assert re.fullmatch(r"pk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\n", result.stdout)
    assert "cannot be shown again" in result.stderr
    assert DEFAULT_FILE in result.stderr
    found = KeyFile(Path(DEFAULT_FILE)).check(result.stdout.strip())
    assert found is not None
    assert (found.name, found.role) == ("search team", Role.USER)


@pytest.mark.parametrize("role", Role)
def test_create_assigns_the_requested_role(role: Role):
    key = run_keys("create", "x", "--role", role.value).stdout.strip()
    found = KeyFile(Path(DEFAULT_FILE)).check(key)
    assert found is not None
    assert found.role == role


def test_the_role_choices_match_the_roles():
    (role,) = (option for option in keys.commands["create"].params if option.name == "role")
    assert isinstance(role.type, click.Choice)
    assert list(role.type.choices) == list(Role)
    result = call("create", "x", "--role", "root")
    assert result.exit_code == 2
    assert "'user', 'admin'" in result.stderr


def test_list_prints_a_table_without_secrets():
    made = [run_keys("create", "search team"), run_keys("create", "operations", "--role", "admin")]
    output = run_keys("list").stdout
    head, first, second = output.splitlines()
    assert head.split() == ["id", "role", "created", "name"]
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(rf"[0-9a-f]{{8}}  user   {time}  search team", first)
    assert re.fullmatch(rf"[0-9a-f]{{8}}  admin  {time}  operations", second)
    assert {line.index(word) for line, word in ((head, "name"), (first, "search team"))} == {39}
    for key, line in zip(made, (first, second), strict=True):
        _, id, secret = key.stdout.strip().split("_", 2)
        assert line.startswith(id)
        assert secret not in output


def test_list_without_keys_says_how_to_create_one():
    result = run_keys("list")
    assert result.stdout == ""
    assert f"no keys in {DEFAULT_FILE}" in result.stderr
    assert "patclass keys create" in result.stderr


def test_revoke_removes_the_key():
    key = run_keys("create", "search team").stdout.strip()
    id = key.split("_")[1]
    assert f"{id} is revoked" in run_keys("revoke", id).stdout
    assert KeyFile(Path(DEFAULT_FILE)).check(key) is None
    assert "no keys" in run_keys("list").stderr


def test_revoke_of_an_unknown_id_is_an_error_that_lists_the_known_ones():
    id = run_keys("create", "search team").stdout.split("_")[1]
    result = call("revoke", "nosuch")
    assert isinstance(result.exception, ConfigError)
    assert "nosuch" in str(result.exception)
    assert id in str(result.exception)


def test_an_invalid_name_is_an_error_and_creates_no_file(tmp_path: Path):
    result = call("create", "")
    assert isinstance(result.exception, ConfigError)
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_flag_takes_precedence_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATCLASS_KEYS", str(tmp_path / "named" / "keys.json"))
    run_keys("create", "by environment")
    run_keys("create", "by flag", "--keys", "other.json")
    assert "by environment" in run_keys("list").stdout
    assert "by flag" not in run_keys("list").stdout
    output = run_keys("list", "--keys", "other.json").stdout
    assert "by flag" in output
    run_keys("revoke", output.splitlines()[1].split()[0], "--keys", "other.json")
    assert "no keys in other.json" in run_keys("list", "--keys", "other.json").stderr
    assert "by environment" in run_keys("list").stdout
    assert not (tmp_path / DEFAULT_FILE).exists()


def test_help_lists_the_commands_with_examples():
    output = run_keys("--help").stdout
    for name in ("create", "list", "revoke"):
        assert re.search(rf"^  {name} ", output, re.MULTILINE)
        assert f"    patclass keys {name}" in output


@pytest.mark.parametrize("name", keys.commands)
def test_help_of_each_command_mentions_its_flags_and_has_an_example(name: str):
    output = run_keys(name, "--help").stdout
    options = [one for one in keys.commands[name].params if isinstance(one, click.Option)]
    assert [flag for one in options for flag in one.opts if flag not in output] == []
    assert "PATCLASS_KEYS" in output
    assert f"    patclass keys {name}" in output


def test_help_needs_no_service():
    assert run_script(LIGHT).split() == ["False", "False"]
