"""Rows of spreadsheets: XLSX, XLS and ODS. Knows cells, not what they mean.

A workbook of a kilobyte may state a cell so far away that no memory holds the sheet, and its
library then ends the process; so it is read in one of its own, which leaves the rows in a file.
"""

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetVisibleEnum,
)

from patclass.core.bounded import Limits, call
from patclass.core.errors import DataError
from patclass.data.columns import MAX_COLUMNS, known_names
from patclass.data.delimited import HEADER_LINES, trimmed, unique_names
from patclass.data.formats import seekable

# The largest sheet of a spreadsheet program.
MAX_ROWS = 1_048_576

# A workbook of 40 MB takes 350 MB and 4 seconds.
_LIMITS = Limits(memory=4 << 30, seconds=300, remedy="Split it, or save it as CSV.")


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook with its header.

    :param header: the row of the column names, counted from 1.
    :param names: of all sheets of the workbook.
    :param alike: the names of other visible sheets with the same columns, which are not read.
    """

    name: str
    names: tuple[str, ...]
    header: int
    columns: tuple[str, ...]
    cells: CalamineSheet
    alike: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = f" ({', '.join(map(repr, self.alike))} with the same columns not read)"
        name = f"sheet '{self.name}'{others if self.alike else ''}"
        return f"{name}, header in row {self.header}"

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """The number and the cells of each row after the header; empty rows are left out."""
        before = [""] * (self.cells.start or (0, 0))[1]
        for number, row in enumerate(self.cells.iter_rows(), 1):
            values = [*before, *map(plain_value, row)]
            if number > self.header and any(value not in ("", None) for value in values):
                yield number, values


@dataclass(frozen=True)
class StoredSheet:
    """A sheet whose rows stand in a file, which is deleted with the last reference to this.

    :param form: in words, how the sheet was read.
    :param names: of all sheets of the workbook.
    :param count: of the rows.
    """

    form: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    count: int
    file: Path = field(repr=False)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The number and the fields of each row."""
        with self.file.open(encoding="utf-8") as file:
            for text in file:
                number, values = json.loads(text)
                yield number, fields_of(self.columns, values)


def fields_of(columns: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """The cells of a row by the names of its columns; the last ones may be missing."""
    fields = dict(zip_longest(columns, values[: len(columns)], fillvalue=""))
    # Remarks may stand right of the columns that have names.
    for place, value in enumerate(values[len(columns) :], len(columns) + 1):
        if value not in ("", None):
            fields[f"column {place}"] = value
    return fields


def read_sheet(path: Path, wanted: str | None = None) -> StoredSheet:
    """The sheet of ``open_sheet``, read in a process with limits.

    :raises DataError: as ``open_sheet``, or if it takes too much memory or time.
    """
    folder = Path(tempfile.mkdtemp(prefix="patclass-"))
    target = folder / "rows.jsonl"
    try:
        found = call(
            store_sheet, _LIMITS, str(path), path=str(path), target=str(target), wanted=wanted
        )
        columns, names = tuple(found["columns"]), tuple(found["names"])
        sheet = StoredSheet(found["form"], names, columns, found["count"], target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(sheet, shutil.rmtree, folder, ignore_errors=True)
    return sheet


def store_sheet(path: str, target: str, wanted: str | None) -> dict[str, Any]:
    """Write the rows of a sheet to a file as JSON lines, and return what else is known of it.

    :raises DataError: as ``open_sheet``.
    """
    count = 0
    with seekable(Path(path)) as (_, file), open(target, "w", encoding="utf-8") as rows:
        sheet = open_sheet(path, file, wanted)
        for number, values in sheet.rows():
            while values[-1] in ("", None):
                values.pop()
            rows.write(json.dumps([number, values], ensure_ascii=False, default=str) + "\n")
            count += 1
    return {"form": str(sheet), "names": sheet.names, "columns": sheet.columns, "count": count}


def open_sheet(name: str, file: BinaryIO, wanted: str | None = None) -> Sheet:
    """The visible sheet with the most usual names of columns, else the first that is not empty.

    A hidden one is read if it is wanted, or if no visible one has cells.

    :param name: of the file, for messages.
    :param wanted: the name of the sheet to take.
    :raises DataError: if it is no workbook, is encrypted or empty, or has no such sheet.
    """
    try:
        book = CalamineWorkbook.from_filelike(file)
        names = book.sheet_names if wanted is None else [wanted]
        if not set(names) <= set(book.sheet_names):
            raise DataError(
                f"{name} has no sheet '{wanted}'; it has {', '.join(book.sheet_names)}.",
                setting="sheet",
            )
        sheets = [_with_header(book, sheet) for sheet in names]
    except PasswordError as problem:
        raise DataError(f"{name} is protected by a password; save it without one.") from problem
    except (CalamineError, OSError, ValueError) as problem:
        raise DataError(
            f"{name} is damaged or not a workbook ({problem}); save it as XLSX or CSV."
        ) from problem
    filled = [sheet for sheet in sheets if sheet.columns]
    if not filled:
        raise DataError(f"{name} is empty; expected a header and at least one row.")
    hidden = _hidden(book)
    best = max(filled, key=lambda sheet: (sheet.name not in hidden, known_names(sheet.columns)))
    alike = [
        sheet.name
        for sheet in filled
        if sheet.columns == best.columns and sheet is not best and sheet.name not in hidden
    ]
    return replace(best, alike=tuple(alike))


def _hidden(book: CalamineWorkbook) -> set[str]:
    return {
        sheet.name for sheet in book.sheets_metadata if sheet.visible != SheetVisibleEnum.Visible
    }


def _with_header(book: CalamineWorkbook, name: str) -> Sheet:
    cells = book.get_sheet_by_name(name)
    row, column = cells.end or (0, 0)
    if row >= MAX_ROWS or column >= MAX_COLUMNS:
        raise ValueError(
            f"cells up to row {row + 1:,} and column {column + 1:,}, of at most {MAX_ROWS:,} and "
            f"{MAX_COLUMNS:,}"
        )
    lines = cells.to_python(skip_empty_area=False, nrows=HEADER_LINES)
    rows = [[str(plain_value(cell) or "") for cell in row] for row in lines]
    header = max(range(len(rows)), key=lambda row: _score(rows, row), default=0)
    columns: Sequence[str] = rows[header] if rows else ()
    return Sheet(name, tuple(book.sheet_names), header + 1, unique_names(columns), cells)


def _score(rows: Sequence[Sequence[str]], row: int) -> tuple[int, int, int]:
    """Known names first, then the number of cells, then the earliest row."""
    return known_names(rows[row]), len(trimmed(rows[row], 0)), -row


def plain_value(cell: Any) -> Any:
    """A cell as other formats have it: whole numbers without a point, dates as in ISO 8601."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell.isoformat() if hasattr(cell, "isoformat") else cell
