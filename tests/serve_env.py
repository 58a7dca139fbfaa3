"""The environment of the service image, created by the commands of the Dockerfile."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import pytest
from filelock import FileLock

from helpers import full

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stage:
    """One stage of a Dockerfile: its name, its base, and its instructions in order."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.steps if name == instruction]

    def one(self, instruction: str) -> str:
        (rest,) = self.all(instruction)
        return rest

    def exec_form(self, instruction: str) -> list[str]:
        """The words of CMD or HEALTHCHECK, which must be written as a JSON list."""
        words = json.loads(self.one(instruction).partition("CMD ")[2] or self.one(instruction))
        assert all(isinstance(word, str) for word in words)
        return words


def stages() -> dict[str, Stage]:
    """The stages of the Dockerfile by name."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in filter(str.strip, text.splitlines()):
        name, _, rest = line.partition(" ")
        if name == "ARG" and not found:  # of the bases
            continue
        if name == "FROM":
            base, name = rest.split(" AS ")
            found[name] = stage = Stage(name, base)
        else:
            stage.steps.append((name, " ".join(rest.split())))
    return found


def options(words: list[str]) -> dict[str, str]:
    """The options before the arguments of an instruction, without their dashes."""
    return dict(word[2:].split("=", 1) for word in words if word.startswith("--"))


def copies(stage: Stage) -> list[tuple[list[str], str]]:
    """The sources and the target of each COPY from the build context."""
    lines = [shlex.split(rest) for rest in stage.all("COPY")]
    return [(words[:-1], words[-1]) for words in lines if not options(words)]


def mounts(stage: Stage) -> list[dict[str, str]]:
    """The mounts of each RUN of the stage."""
    found = (word for rest in stage.all("RUN") for word in shlex.split(rest))
    values = [word.removeprefix("--mount=") for word in found if word.startswith("--mount=")]
    return [dict(pair.split("=") for pair in value.split(",")) for value in values]


def commands(stage: Stage) -> list[str]:
    """The shell command of each RUN."""
    return [re.sub(r"^(--mount=\S+ )*", "", rest) for rest in stage.all("RUN")]


def _place(source: str, target: Path) -> None:
    """Place a file or folder of the repository where COPY or a mount places it."""
    if (ROOT / source).is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / source, target, ignore=ignore)
    else:
        shutil.copy(ROOT / source, target)


def _shell(command: str, folder: Path, binaries: Path) -> None:
    """Run a command of the Dockerfile with these binaries; skip without a package index."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PIP_RETRIES": "1"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode and "connection broken by" in done.stdout + done.stderr:
        pytest.skip("no package index is available, so the image's packages cannot be installed")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _pip(stage: Stage, what: str) -> list[str]:
    return [command for command in commands(stage) if command.startswith(f"pip {what} ")]


def _lock_installed(home: Path) -> None:
    """Create the environment of the packages in the lock file."""
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    for mount in mounts(stages()["serve"]):
        if mount.get("from") != "export":
            _place(mount["source"], home / mount["target"])
    _shell(_pip(stages()["serve"], "install")[0], home, home / "venv" / "bin")


def _package_installed(home: Path) -> None:
    """Install the package of this working tree into it, replacing an earlier one."""
    build, app = home / "build", home / "app"
    export, serve = stages()["export"], stages()["serve"]
    for folder in (build, app):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for sources, target in copies(export):
        for source in sources:
            _place(source, build / target)
    # The wheel is built with this environment's setuptools, as there with the pinned one.
    (wheel,) = _pip(export, "wheel")
    _shell(wheel, build, Path(sys.executable).parent)
    for mount in mounts(serve):
        if mount.get("from") == "export":
            shutil.copytree(build / Path(mount["source"]).name, app / mount["target"])
        else:
            _place(mount["source"], app / mount["target"])
    _shell("pip uninstall --yes patclass", app, home / "venv" / "bin")
    _shell(_pip(serve, "install")[1], app, home / "venv" / "bin")


def _linked(home: Path) -> None:
    """Create an environment of links to the installed packages that the lock file names."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    (packages,) = (home / "venv" / "lib").glob("python*/site-packages")
    lock = (ROOT / "requirements-serve.txt").read_text(encoding="utf-8")
    for name, pinned in re.findall(r"^([a-z0-9-]+)==([\w.]+)", lock, re.MULTILINE):
        found = distribution(name)
        assert found.version == pinned
        for file in found.files or ():
            if ".." not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                (packages / file).symlink_to(Path(str(found.locate_file(file))))
    (packages / "patclass.pth").write_text(str(ROOT / "src"), encoding="utf-8")


@pytest.fixture(scope="session")
def serve_python(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A Python with the packages of the service image, and without torch.

    In the fast lane it consists of links to the packages that are installed here. In the full lane
    it is created by the commands of the Dockerfile, and ``patclass`` is installed beside it.
    """
    if full(False, True):
        yield request.getfixturevalue("image_python")
        return
    home = tmp_path_factory.mktemp("serve")
    _linked(home)
    yield home / "venv" / "bin" / "python"


@pytest.fixture(scope="session")
def image_python(pytestconfig: pytest.Config) -> Iterator[Path]:
    """A Python environment created by the commands of the Dockerfile.

    The packages of the lock file are installed once and cached for later runs.
    """
    named = (ROOT / "Dockerfile").read_bytes() + (ROOT / "requirements-serve.txt").read_bytes()
    image = pytestconfig.cache.mkdir("patclass-image")
    home = image / hashlib.sha256(named + sys.version.encode()).hexdigest()[:16]
    with FileLock(f"{home}.lock"):
        if not (home / "installed").exists():
            for old in image.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            home.mkdir()
            _lock_installed(home)
            (home / "installed").touch()
        _package_installed(home)
        yield home / "venv" / "bin" / "python"
