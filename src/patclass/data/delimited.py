"""Delimited text as programs write it: encoding, delimiter, header and records. Knows no roles.

No line is lost: quotation marks that do not fit are read as text, and a record that cannot be told
from the next ones is an error with its line number.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from patclass.core.errors import DataError
from patclass.data.columns import known_names
from patclass.data.encoding import SAMPLE, encoding_of
from patclass.data.text import SURROGATE

DELIMITERS = (",", ";", "\t", "|")

# Above the names of the columns, exports have titles, searches and empty lines.
HEADER_LINES = 20

# A cell longer than this, or over more lines, is taken for a quotation mark that is not closed.
_MAX_CELL = 4_000_000
_MAX_LINES = 20_000
csv.field_size_limit(_MAX_CELL)

# Stands for the delimiter where a table has one column only.
_NO_DELIMITER = "\x1f"

_ENCODING_NAMES = {
    **{"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252", "utf-32": "UTF-32"},
    **{"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"},
}


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    :param header: the line of the column names, counted from 1.
    :param header_end: the last line of the header, whose cells may have several.
    """

    encoding: str
    delimiter: str
    header: int
    header_end: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        names = {"\t": "tab", _NO_DELIMITER: "one column"}
        delimiter = names.get(self.delimiter, f"'{self.delimiter}'")
        return f"{delimiter}, {self.encoding_name}, header in line {self.header}"

    @property
    def encoding_name(self) -> str:
        """The encoding as it is usually written."""
        return _ENCODING_NAMES.get(self.encoding, self.encoding)


@dataclass(frozen=True)
class Record:
    """The cells of a record, or why it cannot be used.

    :param line: its first line, counted from 1.
    :param cells: as many as there are columns; if there is an error, what is known of them.
    """

    line: int
    cells: tuple[str, ...] = ()
    error: str | None = None


def _errors(encoding: str) -> str:
    """How undecodable bytes are read: as surrogates, by which rows with them are found."""
    return "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"


def recognise(
    sample: bytes,
    suffix: str = "",
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Dialect:
    """Find encoding, delimiter and header of a file by its beginning.

    The header is the line with the most usual names of columns, else the first line with as many
    cells as those after it.

    :param suffix: of the file; decides between delimiters that fit equally well.
    :param encoding: if it is known; likewise the delimiter.
    :raises DataError: if no header has the given delimiter.
    """
    encoding = encoding or encoding_of(sample)
    text = sample.decode(encoding, errors=_errors(encoding)).replace("\x00", " ")
    lines = list(io.StringIO(text, newline=""))
    if len(sample) >= SAMPLE and len(lines) > 1:
        lines.pop()  # cut off
    usual = "\t" if suffix == ".tsv" else ","
    stated = _stated_delimiter(lines[0]) if lines else None
    if (known := delimiter or stated) is not None:
        candidates: tuple[str, ...] = (known,)
    else:
        candidates = tuple(sorted(DELIMITERS, key=lambda each: each != usual))
    found = [_header(lines, each, stated is not None) for each in candidates]
    best = max(found, key=lambda header: header.score)
    if len(best.cells) < 2 and delimiter is not None:
        raise DataError(
            f"delimiter {delimiter!r} stands in none of the first {HEADER_LINES} lines; leave it "
            "out, it is then recognised.",
            setting="delimiter",
        )
    delimiter = candidates[found.index(best)]
    if len(best.cells) < 2 and stated is None:
        delimiter = _NO_DELIMITER
    return Dialect(encoding, delimiter, best.line, best.end, unique_names(best.cells))


def _stated_delimiter(line: str) -> str | None:
    """The delimiter in a first line such as ``sep=;``, which spreadsheets write."""
    text = line.strip('\r\n\ufeff"')
    return text[4] if len(text) == 5 and text.lower().startswith("sep=") else None


@dataclass(frozen=True)
class _Header:
    """A row that may name the columns, over some lines, and how well it does."""

    line: int
    end: int
    cells: list[str]
    score: tuple[int, ...] = ()


def _header(lines: Sequence[str], delimiter: str, skip_first: bool) -> _Header:
    """The best header under a delimiter."""
    best = _Header(1, 1, [])
    rows = list(_sample_rows(lines, delimiter))
    for place, row in enumerate(rows[:HEADER_LINES]):
        if row.line > HEADER_LINES or (skip_first and row.line == 1):
            continue
        count = len(row.cells)
        after = [len(trimmed(other.cells, count)) for other in rows[place + 1 : place + 21]]
        same = sum(cells == count for cells in after) if count > 1 else 0
        fits = count > 1 and 2 * same >= len(after)
        score = (known_names(row.cells), fits, count if fits else 0, -row.line)
        if any(map(str.strip, row.cells)) and score > best.score:
            best = replace(row, score=score)
    return best


def _sample_rows(lines: Sequence[str], delimiter: str) -> Iterator[_Header]:
    reader = csv.reader(iter(lines[:200]), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = []
        yield _Header(line, reader.line_num, cells)


def unique_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Names of columns: without spaces around them, numbered where they are empty or repeated."""
    names: list[str] = []
    for place, cell in enumerate(trimmed([cell.strip("\ufeff \t\r\n") for cell in cells], 0), 1):
        name = SURROGATE.sub("\ufffd", cell) or f"column {place}"
        number, base = 2, name
        while name in names:
            name, number = f"{base} ({number})", number + 1
        names.append(name)
    return tuple(names)


def trimmed(cells: Sequence[str], count: int) -> list[str]:
    """The cells without empty ones beyond ``count``."""
    end = len(cells)
    while end > count and not cells[end - 1].strip():
        end -= 1
    return list(cells[:end])


def read_records(file: BinaryIO, dialect: Dialect) -> Iterator[Record]:
    """The records after the header, one for each line that is not part of a quoted cell.

    Empty lines are left out. Cells that a record lacks are empty.
    """
    encoding = dialect.encoding
    text = io.TextIOWrapper(file, encoding=encoding, errors=_errors(encoding), newline="")
    try:
        yield from _records(_Lines(text), dialect)
    finally:
        text.detach()  # the file is closed by who opened it


def _records(lines: "_Lines", dialect: Dialect) -> Iterator[Record]:
    while lines.number < dialect.header_end and lines.take() is not None:
        pass
    while (first := lines.take()) is not None:
        if not first.strip("\r\n"):
            continue
        line = lines.number
        cells = _quoted_record(first, lines, dialect)
        if cells is None:
            cells = _plain_record(first, dialect)
        yield _record(line, cells, dialect)


def _record(line: int, cells: Sequence[str], dialect: Dialect) -> Record:
    count = len(dialect.columns)
    if len(cells) != count:
        cells = trimmed(cells, count)
    error = "more cells than the header has columns" if len(cells) > count else None
    if any(not cell.isascii() and SURROGATE.search(cell) for cell in cells):
        cells = [SURROGATE.sub("\ufffd", cell) for cell in cells]
        error = error or f"undecodable: not {dialect.encoding_name}"
    return Record(line, (*cells[:count], *[""] * (count - len(cells))), error)


class _Lines:
    """Lines of a text that can be looked ahead at."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._ahead: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        """The next line; None at the end."""
        line = self._ahead.popleft() if self._ahead else self._read()
        self.number += line is not None
        return line

    def peek(self, place: int) -> str | None:
        """The line ``place`` lines after the next one; None if there is none."""
        while len(self._ahead) <= place:
            line = self._read()
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[place]

    def skip(self, count: int) -> None:
        """Leave out lines that were looked at."""
        for _ in range(count):
            self._ahead.popleft()
        self.number += count

    def _read(self) -> str | None:
        line = self._text.readline(_MAX_CELL)
        return (line.replace("\x00", " ") if "\x00" in line else line) or None


def _quoted_record(first: str, lines: _Lines, dialect: Dialect) -> list[str] | None:
    """The cells of a record that begins with a line; None if its quotation marks do not fit."""
    if '"' not in first:
        return first.rstrip("\r\n").split(dialect.delimiter)
    used = 0

    def more() -> Iterator[str]:
        nonlocal used
        yield first
        while used < _MAX_LINES and (line := lines.peek(used)) is not None:
            used += 1
            yield line

    try:
        cells = next(csv.reader(more(), delimiter=dialect.delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None
    if used and _has_swallowed(
        cells, [lines.peek(place) or "" for place in range(used - 1)], dialect
    ):
        return None
    lines.skip(used)
    return cells


def _has_swallowed(cells: Sequence[str], inner: Sequence[str], dialect: Dialect) -> bool:
    """Whether a quotation mark that was not closed has taken other records into a cell.

    A record with as many cells as there are columns is trusted, unless every line within it looks
    like a record of a table of at least three columns.

    :param inner: the lines of the record without the first and the last.
    """
    columns = len(dialect.columns)
    filled = [line for line in inner if line.strip()]
    # A quotation mark in a line within would have ended the cell, or doubled, is part of it.
    alike = sum(line.count(dialect.delimiter) == columns - 1 and '"' not in line for line in filled)
    if len(trimmed(cells, columns)) == columns:
        return columns > 2 and len(filled) > 1 and alike == len(filled)
    return columns > 1 and 2 * alike > len(filled)


def _plain_record(line: str, dialect: Dialect) -> list[str]:
    """The cells of one line, quotation marks within them being text."""
    cells = line.rstrip("\r\n").split(dialect.delimiter)
    return [_unquoted(cell) for cell in cells]


def _unquoted(cell: str) -> str:
    """A cell without the quotation marks around it, if both are there."""
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return cell
