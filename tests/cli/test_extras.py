"""The error of a command whose extra is not installed."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from helpers import ROOT
from patclass.cli.main import EXTRAS, main
from test_imports import MODULE_NAMES

# A process in which modules are not installed: the same error wherever they are imported.
WITHOUT = """
import sys

MISSING = sys.argv.pop(1).split(",")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from patclass.cli.main import main, run
"""
RUN = f"{WITHOUT}\nrun()\n"
HELP = f"""{WITHOUT}
for command in sys.argv[1:]:
    try:
        main([command, "--help"], "patclass")
    except SystemExit as end:
        assert end.code == 0, command
"""

Without = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_without(tmp_path: Path) -> Without:
    """Run the command line without some modules, in a folder with one patent."""
    (tmp_path / "patents.csv").write_text("text\nA loom with a shedding device.\n")

    def run(
        modules: Iterable[str], *arguments: str, script: str = RUN
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", script, ",".join(modules), *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("torch", ["train", "--data", "sample"], "train"),
        ("torch", ["export", "shipped", "-o", "nowhere"], "export"),
        pytest.param(
            *("nncf", ["export", "shipped", "-o", "nowhere"], "export"),
            marks=pytest.mark.full,  # found missing only after torch has been loaded
        ),
        ("sklearn", ["evaluate", "shipped", "--data", "sample"], "train"),
        ("fastapi", ["serve"], "serve"),
        ("sqlalchemy", ["serve"], "serve"),
        ("sqlalchemy", ["store", "status"], "store"),
        ("alembic", ["feedback", "export", "-o", "feedback.jsonl"], "store"),
        ("openvino", ["export", "shipped", "-o", "nowhere"], "export"),
        ("torch", ["predict", "A loom.", "--model", "shipped"], "train"),
        ("httpx", ["predict", "--number", "EP1000000A1", "--model", "shipped"], "offices"),
        ("lxml", ["predict", "--number", "EP1000000A1", "--model", "shipped"], "offices"),
        ("httpx", ["serve", "--offices", "--model", "shipped"], "offices"),
        ("pyarrow", ["classify", "patents.csv", "-o", "answers.csv"], "train"),
    ],
)
def test_a_missing_extra_is_reported_in_one_line(
    module: str, arguments: list[str], extra: str, run_without: Without
):
    done = run_without([module], *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    what = f"error: 'patclass {arguments[0]}' needs {module}: pip install 'patclass[{extra}]'\n"
    assert done.stderr == what


def test_one_missing_module_of_several_is_reported(run_without: Without):
    done = run_without(EXTRAS["train"], "train", "--data", "sample")
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*pip install 'patclass\[train\]'\n", done.stderr)


def test_a_look_up_needs_no_other_extra(run_without: Without):
    """It ends with the error about keys, as the environment has none."""
    others = set().union(*EXTRAS.values()) - EXTRAS["offices"]
    done = run_without(others, "predict", "--number", "EP1000000A1", "--model", "shipped")
    assert done.returncode == 2
    assert "PATCLASS_OFFICES_EPO_KEY" in done.stderr


@pytest.mark.parametrize("module", ["secrets", "patclass.service.keys"])
def test_any_other_missing_module_raises(module: str, run_without: Without):
    done = run_without([module], "keys", "list")
    assert done.returncode == 1
    assert f"ModuleNotFoundError: No module named '{module}'" in done.stderr


def test_help_needs_no_extra(run_without: Without):
    modules = set().union(*EXTRAS.values())
    done = run_without(modules, *main.commands, script=HELP)
    assert done.returncode == 0, done.stderr
    for command in main.commands:
        assert f"Usage: patclass {command} " in done.stdout


def test_the_modules_of_the_extras_match_the_project_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(extras) == {*EXTRAS, "all"}
    for extra, modules in EXTRAS.items():
        entries = set(extras[extra])
        for name in EXTRAS:
            if f"patclass[{name}]" in entries:
                entries = entries - {f"patclass[{name}]"} | set(extras[name])
        names = {re.split(r"[<>=[]", entry)[0] for entry in entries}
        assert modules == {MODULE_NAMES.get(name, name) for name in names}
