"""The order of the packages, and what no module may do, read from the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"

# Each entry may import entries on lines above its own, never its neighbours. The package
# itself only names what inference offers; its entry point only starts the command line.
ORDER = [
    {"core"},
    {"cpc"},
    {"data", "store"},
    {"model"},
    {"engines"},
    {"predictor"},
    {"evaluation"},
    {"monitoring"},
    {"bundle"},
    {"training", "inference", "export"},
    {"learning"},
    {"service", "ui"},
    {"cli", "__init__"},
    {"__main__"},
]
RANK = {package: rank for rank, packages in enumerate(ORDER) for package in packages}

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"torch.save", "torch.load", "eval", "exec"}
FORBIDDEN_FLAGS = {"trust_remote_code": True, "allow_pickle": True, "weights_only": False}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.glob("patclass/**/*.py"))}


def package_of(module: str) -> str:
    """The entry of ``ORDER`` that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def upward_imports(module: str, source: str) -> list[str]:
    """The imports of ``module`` that do not run downwards."""
    here = package_of(module)
    wrong = []
    for line, name in imports(ast.parse(source)):
        if name.split(".")[0] != "patclass" or name == "patclass.__version__":
            continue
        there = package_of(name)
        if there != here and (there not in RANK or RANK[there] >= RANK[here]):
            wrong.append(f"{module}:{line} ({here}) imports {name} ({there})")
    return wrong


def forbidden(module: str, source: str) -> list[str]:
    """What ``module`` does that could run code out of a data file."""
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


def source_of(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


def test_every_package_has_a_place_in_the_order():
    assert {package_of(module) for module in MODULES} == set(RANK)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module: str):
    assert upward_imports(module, source_of(module)) == []


def reachable(module: str) -> set[str]:
    """All modules of patclass that ``module`` imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for _, name in imports(ast.parse(source_of(waiting.pop()))):
            for imported in (name, name.rpartition(".")[0]):
                if imported in MODULES and imported not in found:
                    found.add(imported)
                    waiting.append(imported)
    return found


@pytest.mark.parametrize("package", ["training", "evaluation", "inference", "export"])
def test_only_the_loop_and_the_service_need_a_database(package: str):
    modules = [module for module in MODULES if package_of(module) == package]
    assert not {m for module in modules for m in reachable(module) if package_of(m) == "store"}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_unpickles_or_runs_code_of_a_file(module: str):
    assert forbidden(module, source_of(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_short(module: str):
    lines = source_of(module).count("\n")
    assert lines <= MAX_MODULE_LINES, f"{module} has {lines} lines"
    assert long_functions(module, source_of(module)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("patclass.data.rows", "from patclass.model.base import resolve_base"),
        ("patclass.data.rows", "def late():\n    import patclass.cli.main"),
        ("patclass.training.run", "from patclass.inference import load"),
        ("patclass.export.run", "from patclass.training.run import train"),
        ("patclass.inference.classifier", "from patclass.service.keys import KeyFile"),
        ("patclass.bundle.bundle", "from patclass import load"),
        ("patclass.core.config", "from patclass.cpc.tree import LabelTree"),
        ("patclass.cpc.tree", "from patclass.data.corpus import Example"),
        ("patclass.engines.base", "from patclass.predictor.pipeline import Pipeline"),
        ("patclass.predictor.scored", "from patclass.bundle import read_bundle"),
        ("patclass", "from patclass.cli import run"),
    ],
)
def test_the_check_finds_an_import_that_runs_upwards(module: str, source: str):
    assert len(upward_imports(module, source)) == 1


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
def test_the_check_finds_what_is_forbidden(source: str):
    assert len(forbidden("patclass.model.base", source)) == 1


def test_the_check_finds_a_long_function():
    source = "def long():\n" + "    pass\n" * MAX_FUNCTION_LINES
    assert long_functions("patclass.core.files", source) == [
        "patclass.core.files.long has 61 lines"
    ]
