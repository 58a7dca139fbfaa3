"""Folders that are expensive to create: created once for all processes of a run and later runs.

They stay where they were created, because bundles contain the paths of their base and data.
"""

import hashlib
import shutil
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    *("numpy", "openvino", "peft", "safetensors", "scikit-learn", "scipy", "tokenizers"),
    *("torch", "transformers"),
)
# No cached model depends on these.
EXCLUDED = ("cli", "service", "ui")
COMPLETE, GENERATIONS = "made", 4


class FolderCache:
    """A cache of folders, invalidated by changes of the source, the libraries or the processor."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def folder(self, name: str, make: FunctionType) -> Path:
        """The folder of a name, created by ``make`` if it is missing or incomplete."""
        code = Path(make.__code__.co_filename).read_bytes()
        folder = self._generation / f"{name}-{hashlib.sha256(code).hexdigest()[:8]}"
        with FileLock(f"{folder}.lock"):
            if not (folder / COMPLETE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                (folder / COMPLETE).touch()
        return folder

    @cached_property
    def _generation(self) -> Path:
        """The folder for the current fingerprint; the oldest generations are deleted."""
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
    """A hash of everything that affects the contents: code, versions and processor capabilities."""
    import torch

    found = hashlib.sha256(torch.backends.cpu.get_cpu_capability().encode())
    for library in LIBRARIES:
        found.update(f"{library} {version(library)}\n".encode())
    package = ROOT / "src" / "patclass"
    sources = [path for path in package.rglob("*") if path.suffix in (".py", ".j2", ".css", ".tsv")]
    sources = [path for path in sources if path.relative_to(package).parts[0] not in EXCLUDED]
    sources += [ROOT / "tests" / name for name in ("conftest.py", "helpers.py")]
    for path in sorted(sources):
        found.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]
