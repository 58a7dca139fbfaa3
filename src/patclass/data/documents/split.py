"""Files of patent documents as streams of single documents, in bounded memory.

Formats are told by content, not by suffix. Knows where a document begins and ends, not what is in
it; a document that is cut off or too large is one error, and the next one is read again.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, Literal

from patclass.data.documents.uspto import BAG
from patclass.data.documents.xml import ROOTS
from patclass.data.packed import damage_named, unpacked

Form = Literal["XML", "Green Book", "Open Data Portal", "PDF"]

# What is looked at to tell the format of a file, in bytes, and the files of an archive.
_SAMPLE, _LOOKED_AT = 1 << 16, 100

# No publication is larger; sequence listings of 60 MB exist.
MAX_DOCUMENT = 1 << 27

TOO_LARGE = f"larger than {MAX_DOCUMENT >> 20} MB"
CUT_OFF = "cut off: it has no end"

_BLOCK = 1 << 20

_PREFIX = rb"(?:[A-Za-z_][\w.-]{0,30}:)?"
_START = re.compile(rb"<(" + _PREFIX + rb"(?:" + ROOTS + rb")) (?=[\s>/])", re.VERBOSE)
_EMPTY = re.compile(rb"[^<>]{0,2000}/>")

# A start tag is not longer than this, so that one across two blocks is found.
_MAX_TAG = 200

_GREENBOOK_START = re.compile(rb"(?:^|(?<=\n))PATN[ \t]*\r?\n")
_ENCODING = re.compile(rb"""<\?xml[^>]{0,100}encoding=["']([A-Za-z0-9._-]{1,40})["']""")


@dataclass(frozen=True)
class RawDocument:
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


def raw_documents(path: Path) -> Iterator[RawDocument]:
    """The documents of a file, archive by archive; files that hold none are left out.

    :raises DataError: if the file cannot be read or is damaged.
    """
    with damage_named(path), path.open("rb") as file:
        yield from split_file(path.name, file)


def split_file(name: str, file: BinaryIO) -> Iterator[RawDocument]:
    """The documents of an open file or archive; none if it holds none.

    :raises DataError: if an archive within it is too large.
    """
    for inner, part in unpacked(name, file):
        sample = _read(part, _SAMPLE)
        form = form_of(sample)
        if form is not None:
            yield from _documents(inner, form, sample, part)


def forms_of(path: Path) -> Iterator[tuple[str, Form | None]]:
    """The names and formats of the first files that are packed in one, or of itself.

    No more of them is read than is asked for.

    :raises DataError: as ``raw_documents``.
    """
    with damage_named(path), path.open("rb") as file:
        for name, part in islice(unpacked(path.name, file), _LOOKED_AT):
            yield name, form_of(_read(part, _SAMPLE))


def _read(file: BinaryIO, size: int) -> bytes:
    """So many bytes, or all if there are fewer; archives give fewer at a time."""
    parts, missing = [], size
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _documents(name: str, form: Form, sample: bytes, rest: BinaryIO) -> Iterator[RawDocument]:
    if form in ("PDF", "Open Data Portal"):
        content = sample + _read(rest, MAX_DOCUMENT)
        error = TOO_LARGE if len(content) > MAX_DOCUMENT else None
        yield RawDocument(name, form, b"" if error else content, error)
        return
    split = _split_xml if form == "XML" else _split_greenbook
    for content, error in split(_blocks(sample, rest)):
        yield RawDocument(name, form, content, error)


def _blocks(sample: bytes, rest: BinaryIO) -> Iterator[bytes]:
    """The text of a file in UTF-8."""
    encoding = _encoding_of(sample)
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    block = sample
    while block:
        yield decoder.decode(block).encode() if decoder else block
        block = rest.read(_BLOCK)


_Parts = Iterator[tuple[bytes, str | None]]


def _split_xml(blocks: Iterator[bytes]) -> _Parts:
    """Each element of ``ROOTS``, or why it has no end."""
    buffer, place = b"", 0
    # An end tag that was found for a document which was cut off is that of a later one.
    closed: tuple[bytes, int] = (b"", 0)
    while True:
        match = _START.search(buffer, place)
        if match is None:
            block = next(blocks, b"")
            if not block:
                return
            buffer, place = buffer[max(place, len(buffer) - _MAX_TAG) :] + block, 0
            closed = (b"", 0)
            continue
        empty = _EMPTY.match(buffer, match.end())
        if empty is not None:
            yield buffer[match.start() : empty.end()], None
            place = empty.end()
            continue
        place, closing = match.start(), b"</" + match[1] + b">"
        searched, dropped = closed[1] if closed[0] == closing else place, False
        while (end := buffer.find(closing, searched)) < 0:
            block = next(blocks, b"")
            if not block:
                yield b"", TOO_LARGE if dropped else CUT_OFF
                return
            if len(buffer) - place > MAX_DOCUMENT:
                place, dropped = len(buffer) - _MAX_TAG, True
            searched = max(0, len(buffer) - place - _MAX_TAG)
            buffer, place = buffer[place:] + block, 0
        again = _next_start(buffer, match[1], place + 1, end)
        closed = (b"", 0) if again is None or dropped else (closing, end)
        if dropped:
            yield b"", TOO_LARGE
        elif again is not None:
            yield b"", CUT_OFF
        else:
            yield buffer[place : end + len(closing)], None
        place = end + len(closing) if dropped or again is None else again


def _next_start(buffer: bytes, tag: bytes, start: int, end: int) -> int | None:
    while (start := buffer.find(b"<" + tag, start, end)) >= 0:
        if buffer[start + len(tag) + 1 : start + len(tag) + 2] in (b" ", b">", b"\n", b"\r"):
            return start
        start += 1
    return None


def _split_greenbook(blocks: Iterator[bytes]) -> _Parts:
    """Each part of a file from a line ``PATN`` to the next."""
    buffer, searched = b"", 0
    for block in blocks:
        buffer += block
        starts = [match.start() for match in _GREENBOOK_START.finditer(buffer, searched)]
        for start, end in pairwise([0, *starts] if _GREENBOOK_START.match(buffer) else starts):
            if end > start:
                yield buffer[start:end], None
        buffer = buffer[starts[-1] :] if starts else buffer
        if len(buffer) > MAX_DOCUMENT:
            yield b"", TOO_LARGE
            buffer = b""
        searched = max(0, len(buffer) - _MAX_TAG)
    if _GREENBOOK_START.match(buffer):
        yield buffer, None
