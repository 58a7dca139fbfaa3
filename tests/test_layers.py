"""The layers of the packages and forbidden calls, checked in the source."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"torch.save", "torch.load", "eval", "exec"}
FORBIDDEN_FLAGS = {"trust_remote_code": True, "allow_pickle": True, "weights_only": False}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.glob("patclass/**/*.py"))}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import of a module, including those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def forbidden(module: str, source: str) -> list[str]:
    """The constructs of ``module`` that could execute code from a data file."""
    tree = ast.parse(source)
    wrong = [
        f"{module}:{line} imports {name}"
        for line, name in imports(tree)
        if name.split(".")[0] in FORBIDDEN_MODULES or name in FORBIDDEN_CALLS
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
            wrong.append(f"{module}:{node.lineno} calls {ast.unparse(node.func)}")
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_FLAGS:
            harmless = isinstance(node.value, ast.Constant) and (
                node.value.value is not FORBIDDEN_FLAGS[node.arg]
            )
            if not harmless:
                wrong.append(f"{module}:{node.value.lineno} passes {ast.unparse(node)}")
    return wrong


def long_functions(module: str, source: str) -> list[str]:
    return [
        f"{module}.{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]


# Of a command that is started, and in the page's and the model card's words on commands.
FLAGS_ALLOWED = ("patclass.cli", "patclass.ui.", "patclass.evaluation.pages")


def flags(module: str, source: str) -> list[str]:
    """The texts of a library module that name a flag, which only the command line knows."""
    if module.startswith(FLAGS_ALLOWED):
        return []
    return [
        f"{module}:{node.lineno} says {node.value!r}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"(?<![\w-])--[a-z].*\s|\s--[a-z]", node.value)
    ]


def source_of(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


def test_imports_respect_the_contracts():
    """The layers of pyproject.toml, checked by import-linter."""
    done = subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_nothing_unpickles_or_executes_the_contents_of_a_file(module: str):
    assert forbidden(module, source_of(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_short(module: str):
    lines = source_of(module).count("\n")
    assert lines <= MAX_MODULE_LINES, f"{module} has {lines} lines"
    assert long_functions(module, source_of(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_messages_name_settings_and_no_flags(module: str):
    assert flags(module, source_of(module)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "from torch import save",
        "torch.load('x')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=flag)",
    ],
)
def test_the_check_finds_forbidden_calls(source: str):
    assert len(forbidden("patclass.model.base", source)) == 1


def test_the_check_finds_a_flag():
    source = "raise ModelError(f'--max-tokens {tokens}: choose less, or --restart')"
    assert len(flags("patclass.model.base", source)) == 2
    assert not flags("patclass.cli.train", source)


def test_the_check_finds_a_long_function():
    source = "def long():\n" + "    pass\n" * MAX_FUNCTION_LINES
    assert long_functions("patclass.core.files", source) == [
        "patclass.core.files.long has 61 lines"
    ]
