"""How delimited text is written: encoding, delimiter and header. Knows no roles and no records."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from patclass.core.errors import DataError
from patclass.data.columns import MAX_COLUMNS, known_names
from patclass.data.encoding import SAMPLE, encoding_of, errors_of, name_of
from patclass.data.text import SURROGATE

DELIMITERS = (",", ";", "\t", "|")

# Above the names of the columns, exports have titles, searches and empty lines.
HEADER_LINES = 20

# A cell longer than this is taken for a quotation mark that is not closed.
MAX_CELL = 4_000_000
csv.field_size_limit(MAX_CELL)

# Stands for the delimiter where a table has one column only.
_NO_DELIMITER = "\x1f"


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
        return name_of(self.encoding)


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
    text = sample.decode(encoding, errors=errors_of(encoding)).replace("\x00", " ")
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
        score = (known_names(row.cells[:MAX_COLUMNS]), fits, count if fits else 0, -row.line)
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
    names: dict[str, int] = {}  # each with the number of the last that was named like it
    for place, cell in enumerate(trimmed([cell.strip("\ufeff \t\r\n") for cell in cells], 0), 1):
        name = base = SURROGATE.sub("\ufffd", cell) or f"column {place}"
        while name in names:
            names[base] += 1
            name = f"{base} ({names[base]})"
        names[name] = 1
    return tuple(names)


def trimmed(cells: Sequence[str], count: int) -> list[str]:
    """The cells without empty ones beyond ``count``."""
    end = len(cells)
    while end > count and not cells[end - 1].strip():
        end -= 1
    return list(cells[:end])
