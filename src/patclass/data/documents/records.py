"""Files of patent documents as streams of single documents, in bounded memory.

Formats are told by content, not by suffix. Knows where a document begins and ends, not what is in
it; a document that is cut off or too large is one error, and the next one is read again.
"""

import codecs
import gzip
import io
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, cast

from patclass.core.errors import DataError
from patclass.data.documents.odp import BAG
from patclass.data.documents.xml import ROOTS

Form = Literal["XML", "Green Book", "Open Data Portal", "PDF"]

# What is looked at to tell the format of a file, in bytes, and the files of an archive.
_SAMPLE, _LOOKED_AT = 1 << 16, 1_000

# No publication is larger; sequence listings of 60 MB exist.
MAX_DOCUMENT = 1 << 27

_BLOCK = 1 << 20

_PREFIX = rb"(?:[A-Za-z_][\w.-]{0,30}:)?"
_START = re.compile(
    rb"<(" + _PREFIX + rb"(?:" + b"|".join(re.escape(root.encode()) for root in ROOTS) + rb"))"
    rb"(?=[\s>])"
)
# A start tag is not longer than this, so that one across two blocks is found.
_MAX_TAG = 200

_GREENBOOK_START = re.compile(rb"(?:^|(?<=\n))PATN[ \t]*\r?\n")
_ENCODING = re.compile(rb"""<\?xml[^>]{0,100}encoding=["']([A-Za-z0-9._-]{1,40})["']""")

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)

# Packed files within packed files: a week of the USPTO is a TAR or ZIP of ZIPs.
_MAX_DEPTH = 3


@dataclass(frozen=True)
class Record:
    """The bytes of one document, in UTF-8 where it is text, or why it has none.

    :param source: the name of its file, with that of its archive.
    """

    source: str
    form: Form
    content: bytes = b""
    error: str | None = None


def form_of(sample: bytes) -> Form | None:
    """The format of a file of patent documents by its beginning; None if it is none."""
    if sample.startswith(b"%PDF"):
        return "PDF"
    plain = _sample_text(sample)
    # Tables may quote documents, so these must begin the file, with what stands around them.
    if plain.startswith(b"<") and _START.search(plain):
        return "XML"
    if _GREENBOOK_START.search(plain[:4096]) and re.search(rb"\nWKU  ", plain):
        return "Green Book"
    return "Open Data Portal" if BAG.encode() in plain and plain[:1] == b"{" else None


def _sample_text(sample: bytes) -> bytes:
    encoding = _encoding_of(sample)
    if encoding is None:
        return sample.removeprefix(codecs.BOM_UTF8).lstrip()
    return sample.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n").encode()


def _encoding_of(sample: bytes) -> str | None:
    """The encoding of an XML file where that is not UTF-8."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if sample.startswith(b"<\x00"):
        return "utf-16-le"
    match = _ENCODING.match(sample.lstrip(codecs.BOM_UTF8))
    if match is None:
        return None
    name = match[1].decode().lower()
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    # Chinese offices name the older of two standards and use the newer.
    found = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252"}.get(found, found)
    return None if found in ("utf-8", "ascii", "utf-16") else found


def is_archive(path: Path) -> bool:
    """Whether a file packs others, by its name."""
    return bool(_suffix(path.name))


def _suffix(name: str) -> str:
    lower = name.lower()
    found = (".tar.gz", ".tgz", ".tar", ".zip", ".gz")
    return next((suffix for suffix in found if lower.endswith(suffix)), "")


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


def _unpacked(name: str, file: BinaryIO, depth: int) -> Iterator[tuple[str, BinaryIO]]:
    """The name and content of a file, or of all files packed in it, one after the other."""
    suffix = _suffix(name)
    if not suffix or depth >= _MAX_DEPTH:
        yield name, file
    elif suffix == ".zip":
        with _seekable(file, depth) as seekable, zipfile.ZipFile(seekable) as archive:
            for info in archive.infolist():
                if not info.is_dir() and not info.filename.startswith("__MACOSX"):
                    with archive.open(info) as member:
                        inner = f"{name}/{PurePosixPath(info.filename).name}"
                        yield from _unpacked(inner, cast(BinaryIO, member), depth + 1)
    elif suffix == ".gz":
        with gzip.open(file) as plain:
            yield from _unpacked(name[: -len(".gz")], cast(BinaryIO, plain), depth + 1)
    else:
        with tarfile.open(fileobj=file, mode="r|*") as tar:
            for entry in tar:
                part = tar.extractfile(entry) if entry.isfile() else None
                if part is not None:
                    inner = f"{name}/{PurePosixPath(entry.name).name}"
                    yield from _unpacked(inner, cast(BinaryIO, part), depth + 1)


@contextmanager
def _seekable(file: BinaryIO, depth: int) -> Iterator[BinaryIO]:
    """A file in which any place can be read: itself, or a copy of one within an archive."""
    if depth == 0:
        yield file
        return
    with tempfile.SpooledTemporaryFile(1 << 24) as copy:
        while block := file.read(_BLOCK):
            copy.write(block)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def read_records(path: Path) -> Iterator[Record]:
    """The documents of a file, archive by archive; files that hold none are left out.

    :raises DataError: if the file cannot be read or is damaged.
    """
    with damage_named(path), path.open("rb") as file:
        yield from split_file(path.name, file)


def split_file(name: str, file: BinaryIO) -> Iterator[Record]:
    """The documents of an open file or archive; none if it holds none."""
    for inner, part in _unpacked(name, file, 0):
        yield from split_records(inner, part)


def split_records(name: str, file: BinaryIO) -> Iterator[Record]:
    """The documents of an open file that is no archive; none if it holds none."""
    sample = _read(file, _SAMPLE)
    form = form_of(sample)
    if form is not None:
        yield from _records(name, form, _Joined(sample, file))


def first_form(path: Path) -> Form | None:
    """The format of the first document of a file; None if it holds none.

    :raises DataError: as ``read_records``.
    """
    with damage_named(path), path.open("rb") as file:
        parts = _unpacked(path.name, file, 0)
        forms = (form_of(_read(part, _SAMPLE)) for _, part in parts)
        return next(filter(None, islice(forms, _LOOKED_AT)), None)


def _read(file: BinaryIO, size: int) -> bytes:
    """So many bytes, or all if there are fewer; archives give fewer at a time."""
    parts, missing = [], size
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class _Joined(io.RawIOBase):
    """A file again from its beginning, of which a sample was read."""

    def __init__(self, sample: bytes, file: BinaryIO) -> None:
        self._sample, self._file = sample, file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        sample, self._sample = self._sample, b""
        return sample or self._file.read(size)

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        found = self.read(len(buffer))
        if len(found) > len(buffer):
            found, self._sample = found[: len(buffer)], found[len(buffer) :]
        buffer[: len(found)] = found
        return len(found)


def _records(name: str, form: Form, file: _Joined) -> Iterator[Record]:
    if form in ("PDF", "Open Data Portal"):
        content = _read(cast(BinaryIO, file), MAX_DOCUMENT + 1)
        error = _too_large() if len(content) > MAX_DOCUMENT else None
        yield Record(name, form, b"" if error else content, error)
        return
    split = _split_xml if form == "XML" else _split_greenbook
    for content, error in split(_blocks(file)):
        yield Record(name, form, content, error)


def _blocks(file: _Joined) -> Iterator[bytes]:
    """The text of a file in UTF-8."""
    first = file.read()
    encoding = _encoding_of(first)
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    block = first
    while block:
        yield decoder.decode(block).encode() if decoder else block
        block = file.read(_BLOCK)


def _too_large() -> str:
    return f"larger than {MAX_DOCUMENT >> 20} MB"


_Split = Iterator[tuple[bytes, str | None]]


def _split_xml(blocks: Iterator[bytes]) -> _Split:
    """Each element of ``ROOTS``, or why it has no end."""
    buffer, place = b"", 0
    while True:
        match = _START.search(buffer, place)
        if match is None:
            block = next(blocks, b"")
            if not block:
                return
            buffer, place = buffer[max(place, len(buffer) - _MAX_TAG) :] + block, 0
            continue
        place, closing = match.start(), b"</" + match[1] + b">"
        searched, dropped = place, False
        while (end := buffer.find(closing, searched)) < 0:
            block = next(blocks, b"")
            if not block:
                yield b"", _too_large() if dropped else f"cut off: no {closing.decode()}"
                return
            if len(buffer) - place > MAX_DOCUMENT:
                place, dropped = len(buffer) - _MAX_TAG, True
            searched = max(0, len(buffer) - place - _MAX_TAG)
            buffer, place = buffer[place:] + block, 0
        stop = end + len(closing)
        again = _next_start(buffer, match[1], place + 1, end)
        if dropped:
            yield b"", _too_large()
        elif again is not None:
            yield b"", f"cut off: the next document begins before {closing.decode()}"
            stop = again
        else:
            yield buffer[place:stop], None
        place = stop


def _next_start(buffer: bytes, tag: bytes, start: int, end: int) -> int | None:
    while (start := buffer.find(b"<" + tag, start, end)) >= 0:
        if buffer[start + len(tag) + 1 : start + len(tag) + 2] in (b" ", b">", b"\n", b"\r"):
            return start
        start += 1
    return None


def _split_greenbook(blocks: Iterator[bytes]) -> _Split:
    """Each part of a file from a line ``PATN`` to the next."""
    buffer = b""
    for block in blocks:
        buffer += block
        starts = [match.start() for match in _GREENBOOK_START.finditer(buffer)]
        for start, end in pairwise(starts):
            yield buffer[start:end], None
        buffer = buffer[starts[-1] :] if starts else buffer
        if len(buffer) > MAX_DOCUMENT:
            yield b"", _too_large()
            buffer = b""
    if _GREENBOOK_START.match(buffer):
        yield buffer, None
