"""Write the files of requirements and docs/licences.md from what is installed here.

requirements.txt is the closure of the project's dependencies and all of its extras,
requirements-serve.txt of what a service needs, requirements-dev.txt of what tests need in addition,
each with the hashes of all files of each release. requirements-torch.txt has torch alone, without
hashes: which of its builds is right depends on the machine. requirements-tools.txt is what makes
and checks these files.
"""

import re
import subprocess
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DEV = (
    "hypothesis",
    "import-linter",
    "kubernetes-validate",
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
ABOUT = {
    "requirements.txt": "What the product needs, but torch.",
    "requirements-torch.txt": "Without hashes, as its builds differ by machine.",
    "requirements-serve.txt": "What a service needs, and no more.",
    "requirements-dev.txt": "What the tests need in addition.",
    "requirements-tools.txt": "What 'make lock', 'make audit' and 'make sbom' run.",
}
TOOLS = ("cyclonedx-bom", "pip-audit", "uv")
UV = ROOT / "build" / "tools" / "bin" / "uv"  # from requirements-tools.txt
COPYLEFT = re.compile(r"GPL|MPL|Mozilla", re.IGNORECASE)
LICENCES = """# Licences

Written by `make lock` from the metadata of the installed packages. patclass itself is under the
Apache License 2.0. None of the packages is part of it: each is installed from its own release, and
the container image contains those of the service.

Under licences with conditions for changed copies (weak copyleft), used as they are, are:

{copyleft}

psycopg (LGPL) is only in the extra `postgres` and in the image, where it can be exchanged like any
other package.

Two files of the package have the texts of others: `cpc/cpc.tsv` the titles of the CPC (EPO and
USPTO), `cpc/groups.txt.xz` those of the groups of the IPC (WIPO), made by `scripts/group_titles.py`
from the table of
[asgeissler/patent-data-explore](https://github.com/asgeissler/patent-data-explore) (MIT).
"""


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


def hashed(requirements: str, *flags: str) -> str:
    """Requirements with the hashes of all files of their releases, as the index has them."""
    command = [str(UV), "pip", "compile", "-", "--generate-hashes", "--universal", "--no-config"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--quiet", *flags]
    pipe = subprocess.PIPE
    done = subprocess.run(command, input=requirements, stdout=pipe, text=True, check=True)
    return done.stdout


def write(name: str, about: str, content: str) -> None:
    (ROOT / name).write_text(f"# Written by 'make lock'. {about}\n{content}", encoding="utf-8")


def licence(package: Distribution) -> str:
    """What a package's metadata say about its licence, in a few words."""
    found = package.metadata.get("License-Expression")
    classifiers = package.metadata.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    text = (package.metadata.get("License") or "").strip().split("\n")[0]
    licence = found or (text if 0 < len(text) < 40 else "") or ", ".join(named)
    return licence or "see its files"


def licences(product: dict[str, str], service: dict[str, str], tests: dict[str, str]) -> str:
    """The page that lists the licence of every dependency."""
    names = {name: licence(distribution(name)) for name in sorted(product | tests)}
    found = [f"- {name}: {names[name]}" for name in names if COPYLEFT.search(names[name])]
    rows = [
        f"| {name} | {(product | tests)[name]} | {licence} | "
        f"{'service' if name in service else 'product' if name in product else 'tests'} |"
        for name, licence in names.items()
    ]
    head = ["| package | version | licence | needed by |", "|---|---|---|---|"]
    return "\n".join([LICENCES.format(copyleft="\n".join(found)), *head, *rows]) + "\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    product = closure(core + external([name for names in extras.values() for name in names]))
    tests = {name: pin for name, pin in closure(list(DEV)).items() if name not in product}
    service = closure(core + external([name for part in SERVICE for name in extras[part]]))
    page = licences(product, service, tests)
    (ROOT / "docs" / "licences.md").write_text(page, encoding="utf-8")
    torch = pinned({"torch": product.pop("torch")})
    write("requirements-torch.txt", ABOUT["requirements-torch.txt"], torch)
    files = {"requirements.txt": product, "requirements-serve.txt": service}
    for name, packages in (files | {"requirements-dev.txt": tests}).items():
        before = "-r requirements.txt\n" if packages is tests else ""
        write(name, ABOUT[name], before + hashed(pinned(packages), "--no-deps"))
    write("requirements-tools.txt", ABOUT["requirements-tools.txt"], hashed("\n".join(TOOLS)))


if __name__ == "__main__":
    main()
