"""Write the three files of requirements from what is installed here.

requirements.txt is the closure of the project's dependencies and all of its extras,
requirements-serve.txt of what a service needs, requirements-dev.txt of what tests need in addition.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DEV = (
    "hypothesis",
    "import-linter",
    "mypy",
    "playwright",
    "pytest",
    "pytest-xdist",
    "pyyaml",
    "ruff",
    "schemathesis",
    "setuptools",
)
# The extras in the image of the service.
SERVICE = ("serve", "store", "postgres", "offices")
TORCH_FIRST = "Install torch first, so that a CPU wheel at hand is taken."


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: list[str]) -> dict[str, str]:
    """All packages that ``names`` need here, with their versions."""
    found: dict[str, str] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        key = canonical(requirement.name)
        if key in found:
            continue
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError as problem:
            raise SystemExit(f"{requirement} is not installed; install it first") from problem
        # A local build tag such as +cpu names one machine's wheel, not the release.
        found[key] = package.version.split("+")[0]
        for text in package.requires or ():
            needed = Requirement(text)
            extras = ({"extra": extra} for extra in requirement.extras or {""})
            if needed.marker is None or any(needed.marker.evaluate(e) for e in extras):
                waiting.append(needed)
    return found


def external(names: list[str]) -> list[str]:
    """Without entries such as patclass[store], which stand for another extra of this project."""
    return [name for name in names if not name.startswith("patclass[")]


def pinned(packages: dict[str, str]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))


def write(name: str, about: str, content: str) -> None:
    (ROOT / name).write_text(f"# Written by 'make lock'. {about}\n{content}", encoding="utf-8")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    product = closure(core + external([name for names in extras.values() for name in names]))
    tests = {name: pin for name, pin in closure(list(DEV)).items() if name not in product}
    torch = pinned({"torch": product.pop("torch")})
    write("requirements.txt", TORCH_FIRST, torch + pinned(product))
    write(
        "requirements-serve.txt",
        "What a service needs, and no more.",
        pinned(closure(core + external([name for part in SERVICE for name in extras[part]]))),
    )
    write(
        "requirements-dev.txt",
        "What the tests need in addition.",
        "-r requirements.txt\n" + pinned(tests),
    )


if __name__ == "__main__":
    main()
