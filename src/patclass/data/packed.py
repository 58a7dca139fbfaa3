"""Packed files: .gz, .zip and .tar, also one within another. Knows nothing of their content."""

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from patclass.core.errors import DataError

_COMPRESSED: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip", *_COMPRESSED)

# A week of the USPTO is a TAR or ZIP of ZIPs.
_MAX_DEPTH = 3

# Of an archive within another, which is copied to be read; in bytes.
MAX_INNER = 1 << 30

_BLOCK = 1 << 20
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    EOFError,
)


@contextmanager
def damage_named(path: object) -> Iterator[None]:
    """Errors of reading in the block, with the name of the file.

    :raises DataError: if the file cannot be read or is damaged.
    """
    try:
        yield
    except _DAMAGED as problem:
        raise DataError(f"{path} is damaged: {problem}. Make or download it again.") from problem
    except (OSError, RuntimeError, NotImplementedError) as problem:
        # zipfile raises the latter for encrypted members and for methods that it lacks.
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(f"cannot read {path}: {reason}.") from problem


def unpacked(name: str, file: BinaryIO, depth: int = 0) -> Iterator[tuple[str, BinaryIO]]:
    """The name and content of a file, or of all files packed in it, one after the other.

    :param file: if it is packed as .zip, one in which any place can be read.
    :raises DataError: if an archive within it is larger than ``MAX_INNER``.
    """
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    if not suffix or depth >= _MAX_DEPTH:
        yield name, file
    elif suffix == ".zip":
        with _any_place(name, file, depth) as readable, zipfile.ZipFile(readable) as archive:
            for info in archive.infolist():
                if not info.is_dir() and not info.filename.startswith("__MACOSX"):
                    with archive.open(info) as member:
                        inner = f"{name}/{PurePosixPath(info.filename).name}"
                        yield from unpacked(inner, cast(BinaryIO, member), depth + 1)
    elif suffix in _COMPRESSED:
        with _COMPRESSED[suffix](file) as plain:
            yield from unpacked(name[: -len(suffix)], cast(BinaryIO, plain), depth + 1)
    else:
        with tarfile.open(fileobj=file, mode="r|*") as tar:
            for entry in tar:
                part = tar.extractfile(entry) if entry.isfile() else None
                if part is not None:
                    inner = f"{name}/{PurePosixPath(entry.name).name}"
                    yield from unpacked(inner, cast(BinaryIO, part), depth + 1)


@contextmanager
def _any_place(name: str, file: BinaryIO, depth: int) -> Iterator[BinaryIO]:
    if depth == 0:
        yield file
        return
    with seekable_copy(name, file, MAX_INNER) as copy:
        yield copy


@contextmanager
def seekable_copy(name: str, file: BinaryIO, limit: int | None = None) -> Iterator[BinaryIO]:
    """A copy in which any place can be read, in memory or, if it is large, in a temporary file.

    :param limit: in bytes.
    :raises DataError: if it is larger than that.
    """
    with tempfile.SpooledTemporaryFile(1 << 24) as copy:
        while block := file.read(_BLOCK):
            copy.write(block)
            if limit is not None and copy.tell() > limit:
                raise DataError(
                    f"{name} is larger than {limit >> 20:,} MB; unpack it, and give its files."
                )
        copy.seek(0)
        yield cast(BinaryIO, copy)
