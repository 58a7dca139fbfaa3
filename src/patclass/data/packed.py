"""Packed files: .gz, .zip and .tar, also one within another. Knows nothing of their content.

What unpacks to far more than texts do is not unpacked to its end.
"""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self, TypeVar, cast

from patclass.core.errors import DataError

Result = TypeVar("Result")

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

# Texts are packed to a tenth, tables of few different rows to a fiftieth. Of one file with all that
# is packed in it, so much is unpacked: in bytes, and for each byte of it.
MAX_UNPACKED, MAX_RATIO = 1 << 28, 200

# Names and notes of an archive are read as a whole; in bytes.
_MAX_TAR_HEADER = 1 << 20
_TAR_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)

_BLOCK = 1 << 20


class _DamagedError(Exception):
    """A library has read what no archive has."""


_DAMAGED = (
    *(
        _DamagedError,
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        lzma.LZMAError,
    ),
    EOFError,
)


def _checked(read: Callable[..., Result], *arguments: object) -> Result:
    """What a library reads of an archive, whose errors are of many types."""
    try:
        return read(*arguments)
    except (ValueError, IndexError, OverflowError, struct.error) as problem:
        raise _DamagedError(str(problem)) from problem


def zip_of(file: Path | BinaryIO) -> zipfile.ZipFile:
    """A file packed as .zip, to be closed; within ``damage_named``."""
    return _checked(zipfile.ZipFile, file)


def member_of(archive: zipfile.ZipFile, name: str | zipfile.ZipInfo) -> BinaryIO:
    """A file packed in another, to be closed; within ``damage_named``."""
    return cast(BinaryIO, _checked(archive.open, name))


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


class Allowance:
    """How much may be unpacked of a file, of all that is packed in it together."""

    def __init__(self, name: object, size: int) -> None:
        """Of a file with a name for messages, and its size in bytes."""
        self._name, self._most = name, MAX_UNPACKED + MAX_RATIO * size
        self._left = self._most

    def spend(self, size: int) -> None:
        """Count bytes that were unpacked.

        :raises DataError: if they are more than are left.
        """
        self._left -= max(0, size)
        if self._left < 0:
            raise DataError(
                f"{self._name} unpacks to more than {self._most >> 20:,} MB, {MAX_RATIO} times its "
                "size and more, as no table or document does. If it is what you mean, unpack it "
                "and give what is in it."
            )

    def metered(self, file: BinaryIO) -> BinaryIO:
        """An unpacked file, of which what is read is counted."""
        return cast(BinaryIO, io.BufferedReader(_Metered(file, self), 1 << 16))


class _Metered(io.RawIOBase):
    def __init__(self, file: BinaryIO, allowance: Allowance) -> None:
        self._file, self._allowance = file, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        self._allowance.spend(len(block))
        buffer[: len(block)] = block
        return len(block)


class _TarEntry(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        """An entry, unless it is a name or note that is too long."""
        entry = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        if entry.type in _TAR_HEADERS and entry.size > _MAX_TAR_HEADER:
            raise tarfile.ReadError(f"a name or note of {entry.size:,} bytes")
        return entry


def unpacked(name: str, file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """The name and content of a file, or of all files packed in it, one after the other.

    :param file: one in which any place can be read.
    :raises DataError: if more is packed in it than ``Allowance`` has, or an archive within it is
        larger than ``MAX_INNER``.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return _unpacked(name, file, Allowance(name, size))


def _unpacked(
    name: str, file: BinaryIO, allowance: Allowance, depth: int = 0
) -> Iterator[tuple[str, BinaryIO]]:
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    if not suffix or depth >= _MAX_DEPTH:
        yield name, file
    elif suffix == ".zip":
        with _any_place(name, file, depth) as readable, zip_of(readable) as archive:
            for info in archive.infolist():
                if not info.filename.endswith("/") and not info.filename.startswith("__MACOSX"):
                    with member_of(archive, info) as member:
                        inner = f"{name}/{PurePosixPath(info.filename).name}"
                        part = allowance.metered(member)
                        yield from _unpacked(inner, part, allowance, depth + 1)
    elif suffix in _COMPRESSED:
        with _COMPRESSED[suffix](file) as plain:
            part = allowance.metered(cast(BinaryIO, plain))
            yield from _unpacked(name[: -len(suffix)], part, allowance, depth + 1)
    else:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_TarEntry) as tar:
            while (entry := _checked(tar.next)) is not None:
                allowance.spend(entry.size)
                content = tar.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    inner = f"{name}/{PurePosixPath(entry.name).name}"
                    yield from _unpacked(inner, cast(BinaryIO, content), allowance, depth + 1)


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
