"""Folders that take long to make: made once, for all processes of a run and for later runs.

What is kept lies where it was made, as bundles name the places of their base and of their data.
"""

import hashlib
import shutil
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import torch
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    *("numpy", "openvino", "peft", "safetensors", "scikit-learn", "scipy", "tokenizers"),
    *("torch", "transformers"),
)
# No model is made of these.
APART = ("cli", "service", "ui")
MADE, GENERATIONS = "made", 4


class Kept:
    """A cache of folders; another source, library or processor makes them anew."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def folder(self, name: str, make: FunctionType) -> Path:
        """The folder of a name, made by ``make`` if it is not there or was not finished."""
        code = Path(make.__code__.co_filename).read_bytes()
        folder = self._generation / f"{name}-{hashlib.sha256(code).hexdigest()[:8]}"
        with FileLock(f"{folder}.lock"):
            if not (folder / MADE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                (folder / MADE).touch()
        return folder

    @cached_property
    def _generation(self) -> Path:
        """The folder of all that is made by the same code; the oldest generations go."""
        folder = self._home / _fingerprint()
        with FileLock(self._home / "generations.lock"):
            folder.mkdir(exist_ok=True)
            folder.touch()
            known = [path for path in self._home.iterdir() if path.is_dir()]
            known.sort(key=lambda path: path.stat().st_mtime)
            for old in known[:-GENERATIONS]:
                shutil.rmtree(old, ignore_errors=True)
        return folder


def _fingerprint() -> str:
    """Of all that decides what is made: code, versions, and what the processor can do."""
    found = hashlib.sha256(torch.backends.cpu.get_cpu_capability().encode())
    for library in LIBRARIES:
        found.update(f"{library} {version(library)}\n".encode())
    package = ROOT / "src" / "patclass"
    sources = [path for path in package.rglob("*") if path.suffix in (".py", ".j2", ".css", ".tsv")]
    sources = [path for path in sources if path.relative_to(package).parts[0] not in APART]
    sources += [ROOT / "tests" / name for name in ("conftest.py", "helpers.py")]
    for path in sorted(sources):
        found.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]
