"""Records of delimited text, one for each line that is not part of a quoted cell. Knows no roles.

No line is lost: quotation marks that do not fit are read as text, and a record that cannot be told
from the next ones is an error with its line number. Where that may be wrong, the record says so.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Literal

from patclass.data.delimited import MAX_CELL, Dialect, trimmed
from patclass.data.encoding import errors_of
from patclass.data.text import SURROGATE

# A cell over more lines is taken for a quotation mark that is not closed.
_MAX_LINES = 20_000

# Characters of a record of several lines; as the lines, so that what is looked ahead at is bounded.
_MAX_RECORD = 4 * MAX_CELL

# Quotation marks of more lines than this are not looked for in the quick way.
_QUICK_LINES = 1_000

TOO_MANY_CELLS = "more cells than the header has columns"

# Why a record may not be what its author wrote.
Doubt = Literal["quotes", "joined", "short", "long"]


# Not frozen, which would take several times as long for each of millions.
@dataclass(slots=True)
class Record:
    """The cells of a record, or why it cannot be used.

    :param line: its first line, counted from 1.
    :param cells: as many as there are columns; if there is an error, what is known of them.
    :param doubt: why it may be read in another way than it was written.
    :param lines: how many lines it has.
    """

    line: int
    cells: tuple[str, ...] = ()
    error: str | None = None
    doubt: Doubt | None = None
    lines: int = 1


@dataclass
class Doubts:
    """The records of a file that may be read in another way than they were written, by reason."""

    counts: dict[Doubt, int] = field(default_factory=dict)
    first: dict[Doubt, Record] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count a record, if there is a doubt."""
        if record.doubt is not None:
            self.counts[record.doubt] = self.counts.get(record.doubt, 0) + 1
            self.first.setdefault(record.doubt, record)

    def clear(self) -> None:
        """Forget all records, before the file is read again."""
        self.counts.clear()
        self.first.clear()

    def notes(self) -> tuple[str, ...]:
        """One line for each reason."""
        return tuple(
            _NOTES[doubt].format(
                count="1 record" if self.counts[doubt] == 1 else f"{self.counts[doubt]:,} records",
                line=self.first[doubt].line,
                last=self.first[doubt].line + self.first[doubt].lines - 1,
            )
            for doubt in _NOTES
            if doubt in self.counts
        )


_NOTES: dict[Doubt, str] = {
    "joined": "{count} of several lines may be more, e.g. lines {line} to {last}, read as one; "
    "check the quotation marks there",
    "quotes": "{count} with quotation marks that do not fit, e.g. line {line}; they are read as "
    "text",
    "short": "{count} with fewer cells than the header has columns, e.g. line {line}; the last "
    "columns are empty there",
    "long": "{count} with more cells than the header has columns, e.g. line {line}; each is an "
    "error",
}


def read_records(file: BinaryIO, dialect: Dialect) -> Iterator[Record]:
    """The records after the header, one for each line that is not part of a quoted cell.

    Empty lines are left out. Cells that a record lacks are empty.
    """
    encoding = dialect.encoding
    text = io.TextIOWrapper(file, encoding=encoding, errors=errors_of(encoding), newline="")
    try:
        yield from _records(_Lines(text), dialect)
    finally:
        text.detach()  # the file is closed by who opened it


def _records(lines: "_Lines", dialect: Dialect) -> Iterator[Record]:
    delimiter, count = dialect.delimiter, len(dialect.columns)
    while lines.number < dialect.header_end and lines.take() is not None:
        pass
    while (first := lines.take()) is not None:
        line = lines.number
        if '"' in first:
            cells = _quoted_record(first, lines, dialect)
        else:
            text = first.rstrip("\r\n")
            if not text:
                continue
            cells = text.split(delimiter)
        if cells is not None and len(cells) == count and lines.number == line and first.isascii():
            yield Record(line, tuple(cells))  # as nearly all are
        else:
            yield _record(line, cells, first, lines.number - line + 1, dialect)


def _record(line: int, found: list[str] | None, first: str, lines: int, dialect: Dialect) -> Record:
    """A record, checked.

    :param found: its cells; None if its quotation marks do not fit.
    :param first: its first line.
    """
    cells: Sequence[str] = _plain_record(first, dialect) if found is None else found
    count = len(dialect.columns)
    doubt: Doubt | None = "quotes" if found is None else None
    if lines > 1 and any(_looks_like(text, cells, dialect) for text in _inner_lines(cells)):
        doubt = "joined"
    if len(cells) != count:
        cells = trimmed(cells, count)
        doubt = doubt or ("short" if len(cells) < count else "long" if len(cells) > count else None)
    error = TOO_MANY_CELLS if len(cells) > count else None
    if _has_surrogates(cells):
        cells = [SURROGATE.sub("\ufffd", cell) for cell in cells]
        error = error or f"undecodable: not {dialect.encoding_name}"
    return Record(line, (*cells[:count], *[""] * (count - len(cells))), error, doubt, lines)


def _has_surrogates(cells: Sequence[str]) -> bool:
    try:
        "".join(cells).encode()  # several times as fast as a search
    except UnicodeEncodeError:
        return True
    return False


def _inner_lines(cells: Sequence[str]) -> Iterator[str]:
    """The lines within the cells of a record, without the first of each."""
    for cell in cells:
        yield from re.split(r"\r\n|\r|\n", cell)[1:]


def _looks_like(line: str, cells: Sequence[str], dialect: Dialect) -> bool:
    """Whether a line within a cell is like a record: as many cells, and such an id as this one's.

    Long texts have as many commas by chance; that the first cell is alike too is rare.
    """
    if line.count(dialect.delimiter) != len(dialect.columns) - 1:
        return False
    return _shape(line.split(dialect.delimiter)[0]) == _shape(cells[0])


def _shape(cell: str) -> str:
    """A cell with its letters and digits made alike: ``EP1000`` and ``US7`` are ``a9``."""
    text = re.sub(r"[^\W\d_]+", "a", cell.strip().strip('"')[:40])
    return re.sub(r"\d+", "9", text)


class _Lines:
    """Lines of a text that can be looked ahead at."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._readline = text.readline
        self._ahead: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        """The next line; None at the end."""
        line = self._ahead.popleft() if self._ahead else self._readline(MAX_CELL)
        if not line:
            return None
        self.number += 1
        return line.replace("\x00", " ") if "\x00" in line else line

    def peek(self, place: int) -> str | None:
        """The line ``place`` lines after the next one; None if there is none."""
        while len(self._ahead) <= place:
            line = self._read()
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[place]

    def ahead(self, count: int) -> list[str]:
        """The next lines, which were looked at."""
        return list(islice(self._ahead, count))

    def skip(self, count: int) -> None:
        """Leave out lines that were looked at."""
        for _ in range(count):
            self._ahead.popleft()
        self.number += count

    def _read(self) -> str | None:
        line = self._readline(MAX_CELL)
        return (line.replace("\x00", " ") if "\x00" in line else line) or None


def _quoted_record(first: str, lines: _Lines, dialect: Dialect) -> list[str] | None:
    """The cells of a record that begins with a line; None if its quotation marks do not fit."""
    cells, used = _quick_record(first, lines, dialect.delimiter)
    if cells is None:
        cells, used = _strict_record(first, lines, dialect.delimiter)
    if cells is None or (used and _has_swallowed(cells, lines.ahead(used - 1), dialect)):
        return None
    lines.skip(used)
    return cells


def _quick_record(first: str, lines: _Lines, delimiter: str) -> tuple[list[str] | None, int]:
    """The same as ``_strict_record`` if each quotation mark stands where it should, else None.

    Twice as fast, as a text is divided at its quotation marks and not read by characters.
    """
    used, marks, size = 0, first.count('"'), len(first)
    while marks % 2:
        line = lines.peek(used) if used < _QUICK_LINES else None
        if line is None or (size := size + len(line)) > MAX_CELL:
            return None, 0
        used, marks = used + 1, marks + line.count('"')
    text = first if not used else "".join([first, *lines.ahead(used)])
    before, quoted, *others = text.rstrip("\r\n").split('"')
    cells = before.split(delimiter)
    if cells[-1]:
        return None, 0
    for place in range(0, len(others) - 1, 2):
        between = others[place]
        if not between:
            quoted += '"' + others[place + 1]  # a doubled mark
        elif between[0] == between[-1] == delimiter:
            cells[-1] = quoted
            cells += between[1:].split(delimiter)
            quoted = others[place + 1]
        else:
            return None, 0
    cells[-1] = quoted
    if after := others[-1]:
        if after[0] != delimiter:
            return None, 0
        cells += after[1:].split(delimiter)
    return cells, used


def _strict_record(first: str, lines: _Lines, delimiter: str) -> tuple[list[str] | None, int]:
    """The cells of a record and how many lines it has beyond the first; None if it is not one."""
    used, size = 0, len(first)

    def more() -> Iterator[str]:
        nonlocal used, size
        yield first
        while used < _MAX_LINES and size < _MAX_RECORD:
            line = lines.peek(used)
            if line is None:
                return
            used, size = used + 1, size + len(line)
            yield line

    try:
        return next(csv.reader(more(), delimiter=delimiter, strict=True)), used
    except (csv.Error, StopIteration):
        return None, 0


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
