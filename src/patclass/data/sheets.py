"""Rows of spreadsheets: XLSX, XLS and ODS. Knows cells, not what they mean."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetVisibleEnum,
)

from patclass.core.errors import DataError
from patclass.data.columns import known_names
from patclass.data.delimited import HEADER_LINES, trimmed, unique_names


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

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The number and the fields of each row after the header; empty rows are left out."""
        lines = self.cells.to_python(skip_empty_area=False)
        for number, row in enumerate(lines, 1):
            values = [plain_value(cell) for cell in row]
            if number > self.header and any(value not in ("", None) for value in values):
                fields = dict(zip(self.columns, values, strict=False))
                # Remarks may stand right of the columns that have names.
                for place, value in enumerate(values[len(fields) :], len(fields) + 1):
                    if value not in ("", None):
                        fields[f"column {place}"] = value
                yield number, fields


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
