"""Files and folders that appear whole or not at all. Knows nothing of their content."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from patclass.core.errors import OutputError, PatclassError, cannot_write


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def parse_json(data: bytes) -> Any:
    """The value that a file in UTF-8 holds.

    :raises ValueError: if it is no JSON, nests without end, or has a number that is none.
    """
    try:
        text = data.decode("utf-8")
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as problem:
        raise ValueError("its values are nested too deeply") from problem


def _finite(literal: str) -> float:
    """JSON has no infinity and no NaN, but Python would read both, and write them again."""
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal} is no finite number")
    return number


def file_sha256(path: Path, error: type[PatclassError] = PatclassError) -> str:
    """SHA-256 of a file, in hexadecimal.

    :param error: what to raise, as the caller knows what the file is part of.
    :raises PatclassError: of that class, if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror}.") from problem


def sync(path: Path) -> None:
    """Make a file or folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def user_cache(name: str) -> Path:
    """A folder for ``name`` in the user's folder of caches; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "patclass" / name


def check_writable(target: Path) -> None:
    """Fail now rather than after hours of work if ``target`` could not be written.

    :raises OutputError: if its folder cannot be made or written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".patclass-", dir=target.parent):
            pass
    except OSError as problem:
        raise cannot_write(target, problem) from problem


@contextmanager
def file_lock(path: Path, blocking: bool = True) -> Iterator[None]:
    """Hold a lock file; the operating system releases it if the process dies.

    It excludes other threads as well, and is never deleted: two could be locked then.

    :param blocking: wait for another holder of the lock.
    :raises filelock.Timeout: if it is held elsewhere and ``blocking`` is False.
    :raises OutputError: if the lock file cannot be written.
    """
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(blocking=blocking)
    except Timeout:
        raise
    except OSError as problem:
        raise cannot_write(path, problem) from problem
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``target`` that replaces it if the block succeeds.

    The path keeps the suffix of ``target``, because writers choose the format by it.

    :raises OutputError: if the disk is full or the folder cannot be written.
    """
    check_writable(target)
    partial = target.with_name(f".{target.stem}.partial-{os.getpid()}{target.suffix}")
    try:
        yield partial
        sync(partial)
        partial.replace(target)
        sync(target.parent)
    except OSError as problem:
        raise cannot_write(target, problem) from problem
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, marker: str) -> Iterator[Path]:
    """Yield a temporary folder next to ``target`` that replaces it if the block succeeds.

    An existing ``target`` is kept as ``<target>.previous``, but only if it holds ``marker``
    (that is, was written by this function's caller) or is empty.

    :raises OutputError: if something else stands there, or writing fails.
    """
    check_writable(target)
    check_replaceable(target, marker)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        # In a container every process may have the number of one that was killed here.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        for path in sorted(partial.rglob("*")):
            sync(path)
        sync(partial)
        _swap(partial, target)
    except OSError as problem:
        raise cannot_write(target, problem) from problem
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(target: Path, marker: str) -> None:
    """Refuse to put a folder over something that is not of the same kind.

    :raises OutputError: if it or its ``.previous`` is a file, or a folder with other things.
    """
    for place in (target, previous_of(target)):
        check_own(place, marker)


def check_own(place: Path, marker: str) -> None:
    """Refuse to touch what patclass has not made.

    :raises OutputError: if ``place`` is a file, or a folder with things but without ``marker``.
    """
    if not place.exists() or (place / marker).is_file():
        return
    if not place.is_dir() or any(place.iterdir()):
        raise OutputError(
            f"{place} exists and was not made by patclass; nothing there was touched. Choose "
            "another path for the result, or move it away."
        )


def previous_of(target: Path) -> Path:
    """Where the folder that ``target`` replaces is kept."""
    return target.with_name(f"{target.name}.previous")


def _swap(new: Path, target: Path) -> None:
    previous = previous_of(target)
    replaced = target.exists() and any(target.iterdir())  # an empty folder just gives way
    if replaced:
        if previous.exists():
            shutil.rmtree(previous)
        target.rename(previous)
    try:
        new.rename(target)
    except OSError:
        if replaced:
            previous.rename(target)
        raise
    sync(target.parent)
