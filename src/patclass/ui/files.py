"""Uploaded documents and tables, and the table of results as a download. Knows no service."""

import io
import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils import get_column_letter
from pandas.api.types import is_numeric_dtype

from patclass.core.bounded import call
from patclass.core.errors import DataError
from patclass.data.cells import spreadsheet_text
from patclass.data.cleaning import as_text
from patclass.data.columns import free_name
from patclass.data.formats import TABLE_SUFFIXES as SUFFIXES
from patclass.data.formats import is_table, table_suffix
from patclass.data.table import Row, first_line
from patclass.data.text import FIELDS
from patclass.ui.client import PageError, Patent
from patclass.ui.formatting import confidence_level
from patclass.ui.uploads import (
    CELLS,
    DOCUMENT_LIMITS,
    LINES,
    MAX_FIELD_CHARACTERS,
    TABLE_LIMITS,
    patent_of_file,
    store_table,
)

DOCUMENT_SUFFIXES = ("pdf", "xml", "sgml", "sgm", "json", "zip", "txt")
TABLE_SUFFIXES = tuple(suffix.removeprefix(".") for suffix in (*SUFFIXES, ".gz", ".zip"))

# Files that are read at once, and seconds for which another one waits.
_AT_ONCE, _WAIT = 2, 60.0
_turns = threading.BoundedSemaphore(_AT_ONCE)

# What a column may contain, in the order in which the page shows it.
ROLES = ("id", "text", *FIELDS)

# Columns of the results with the widths that a workbook gives them, in characters.
_WIDTHS = {
    "Patent": 16,
    "Code": 9,
    "Code title": 44,
    "Confidence": 12,
    "Confidence level": 16,
    "Section": 9,
    "Class": 9,
    "Class confidence": 16,
    "Subclass": 10,
    "Subclass confidence": 18,
    "Share of text read": 16,
    "Warnings": 60,
    "Error": 40,
}
COLUMNS = list(_WIDTHS)
_OWN_WIDTH = 20  # of a column of the file


def patent_of_document(name: str, content: bytes) -> Patent:
    """The fields of a document of a patent office, or the text of another one.

    :raises PageError: if it cannot be read, has no text, holds several patents, or takes too much
        memory or time.
    """
    with _stored(name, content) as path:
        given = {"path": str(path), "name": name}
        patent: Patent = call(patent_of_file, DOCUMENT_LIMITS, f"'{name}'", **given)
    return patent


@contextmanager
def _stored(name: str, content: bytes, suffixes: str = "") -> Iterator[Path]:
    """An upload as a file, whose turn it is to be read.

    :raises PageError: in place of each ``DataError``, or if others take too long.
    """
    if not _turns.acquire(timeout=_WAIT):
        raise PageError("busy", f"'{name}' was not read, as other files are being read.")
    try:
        with tempfile.TemporaryDirectory(prefix="patclass-") as folder:
            path = Path(folder) / f"upload{suffixes}"
            path.write_bytes(content)
            try:
                yield path
            except DataError as problem:
                message = str(problem).replace(str(path), f"'{name}'")
                raise PageError("invalid_input", message) from problem
    finally:
        _turns.release()


@dataclass(frozen=True)
class UploadedTable:
    """An uploaded table; a row that cannot be read has an ``error``.

    :param roles: the column of each role that one was recognised for.
    :param form: in words, how the file is written.
    :param options: those of delimiter, encoding and sheet that apply to the file.
    :param sheets: of a workbook, all of them.
    :param doubts: what of the rows may have been read wrongly, a line each.
    :param count: of the rows.
    :param lines: the rows as JSON, which takes less memory than objects.
    :param cells: the cells of all rows as Parquet, a fraction of their size.
    """

    name: str
    columns: list[str]
    roles: dict[str, str]
    form: str
    options: list[str]
    sheets: list[str]
    doubts: list[str]
    count: int
    lines: bytes
    cells: bytes

    def rows(self) -> Iterator[Row]:
        """The rows in their order."""
        for line in io.BytesIO(self.lines):
            yield Row(*json.loads(line))


def read_table(
    name: str,
    content: bytes,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> UploadedTable:
    """Read a table by the suffix of its name.

    :param delimiter: overrules what is recognised; likewise encoding and sheet.
    :raises PageError: if the format is not supported, or the file is damaged, empty, too long, or
        takes too much memory or time.
    """
    if not is_table(Path(name)):
        formats = ", ".join(suffix.upper() for suffix in TABLE_SUFFIXES)
        raise PageError("invalid_input", f"'{name}' is not in a supported format ({formats}).")
    options = {"delimiter": delimiter, "encoding": encoding, "sheet": sheet}
    with _stored(name, content, _suffixes(name)) as path:
        found = call(store_table, TABLE_LIMITS, f"'{name}'", path=str(path), options=options)
        lines, cells = (path.with_name(file).read_bytes() for file in (LINES, CELLS))
    return UploadedTable(name, **found, lines=lines, cells=cells)


def _suffixes(name: str) -> str:
    """Those of a name by which a table is read; a user may have given it any others."""
    suffix, packing = table_suffix(name), Path(name.lower()).suffix
    return suffix if packing == suffix else suffix + packing


def patent_of(row: Row, mapping: Mapping[str, str | None]) -> dict[str, str] | str:
    """The fields of a row as the service takes them, or why it has none.

    The row number is the default id.

    :param mapping: the column for each role.
    """
    if row.error is not None:
        return row.error
    try:
        values = {
            role: as_text(row.fields.get(column)) for role, column in mapping.items() if column
        }
    except DataError as problem:
        return str(problem)
    patent = {role: text[: MAX_FIELD_CHARACTERS.get(role)] for role, text in values.items() if text}
    id_column = mapping.get("id")
    number = first_line(row.fields.get(id_column)) if id_column else ""
    return {**patent, "id": (number or str(row.number))[:200]}


def results_table(results: Sequence[Mapping[str, Any]], own: bytes | None = None) -> pd.DataFrame:
    """One row per result with the columns ``COLUMNS``; of a failed result only id and error.

    :param own: the cells of the file as ``UploadedTable.cells``; they come first. A column with
        one of the names ``COLUMNS`` is renamed.
    """
    rows = []
    for result in results:
        if result["error"] is not None:
            rows.append({"Patent": result["id"], "Error": result["error"]["message"]})
            continue
        rows.append(
            {
                "Patent": result["id"],
                "Code": result["label"],
                "Code title": result["name"],
                "Confidence": result["confidence"],
                "Confidence level": confidence_level(result["confidence"], result["sure"]),
                "Section": result["section"],
                "Class": result["class"],
                "Class confidence": result["class_confidence"],
                "Subclass": result["subclass"],
                "Subclass confidence": result["subclass_confidence"],
                "Share of text read": result["read_share"],
                "Warnings": "; ".join(warning["message"] for warning in result["warnings"]),
            }
        )
    found = pd.DataFrame(rows, columns=COLUMNS)
    if own is None:
        return found
    cells = pq.read_table(io.BytesIO(own)).slice(0, len(found))
    taken, names = set(COLUMNS), []
    for name in cells.column_names:
        names.append(free_name(name, taken))
        taken.add(names[-1])
    # Types of Arrow keep whole numbers whole where some are missing.
    table: pd.DataFrame = cells.rename_columns(names).to_pandas(types_mapper=pd.ArrowDtype)
    return pd.concat([table, found], axis=1)


def as_csv(table: pd.DataFrame) -> bytes:
    """UTF-8 with a byte order mark, as spreadsheets expect; no cell is a formula."""
    text: str = _changed(table, spreadsheet_text).to_csv(index=False)
    return text.encode("utf-8-sig")


def as_xlsx(table: pd.DataFrame) -> bytes:
    """A workbook of one sheet; no cell is a formula, as texts are stored as such."""
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer, engine="openpyxl") as writer:
        _changed(table, _storable).to_excel(writer, sheet_name="patents", index=False)
        sheet = writer.sheets["patents"]
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    cell.data_type, cell.quotePrefix = "s", True  # also after it is edited
        sheet.freeze_panes = "A2"
        for place, name in enumerate(table.columns, 1):
            sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(name, _OWN_WIDTH)
    return buffer.getvalue()


def as_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with typed columns."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The table with its texts and the names of its columns changed."""

    def changed(value: object) -> object:
        return change(value) if isinstance(value, str) else value

    texts = [name for name in table.columns if not is_numeric_dtype(table[name].dtype)]
    found = table.assign(**{name: table[name].map(changed, na_action="ignore") for name in texts})
    names: dict[str, None] = {}
    for name in table.columns:
        names[free_name(change(str(name)), names)] = None
    return found.set_axis(list(names), axis="columns")


def _storable(text: str) -> str:
    """A text without characters that a workbook cannot have."""
    plain: str = ILLEGAL_CHARACTERS_RE.sub(" ", text)
    return plain
