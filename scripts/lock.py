"""Write requirements.txt and requirements-dev.txt from what is installed here.

Runtime requirements are the closure of the project's dependencies; the others are for tests.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DEV = ("hypothesis", "mypy", "pytest", "ruff", "setuptools")


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


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = closure(project["dependencies"])
    development = {k: v for k, v in closure(list(DEV)).items() if k not in runtime}
    torch = f"torch=={runtime.pop('torch')}\n"
    head = "# Written by 'make lock'. Install torch first, so that a CPU wheel at hand is taken.\n"
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(runtime.items()))
    (ROOT / "requirements.txt").write_text(head + torch + pins, encoding="utf-8")
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(development.items()))
    head = "# Written by 'make lock': what the tests need besides the product.\n"
    (ROOT / "requirements-dev.txt").write_text(
        head + "-r requirements.txt\n" + pins, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
