"""Uploaded documents and tables, and the table of results as a download. Knows no service."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils import get_column_letter
from pandas.api.types import is_numeric_dtype

from patclass.core.errors import DataError
from patclass.data.cleaning import as_text
from patclass.data.columns import free_name
from patclass.data.documents import Document, RejectedDocument, documents_of
from patclass.data.encoding import decoded
from patclass.data.formats import TABLE_SUFFIXES as SUFFIXES
from patclass.data.formats import is_table, table_suffix
from patclass.data.rows import open_table
from patclass.data.table import Row, TableOptions, cell_text, first_line
from patclass.data.text import FIELDS
from patclass.ui.client import PageError, Patent
from patclass.ui.formatting import confidence_level

DOCUMENT_SUFFIXES = ("pdf", "xml", "sgml", "sgm", "json", "zip", "txt")
TABLE_SUFFIXES = tuple(suffix.removeprefix(".") for suffix in (*SUFFIXES, ".gz", ".zip"))

# The default limit of the service; no model reads that far.
MAX_CHARACTERS = 100_000
MAX_ROWS = 50_000
# Characters of the long fields, which together stay below the limit of the service.
_MAX_FIELD_CHARACTERS = {"claims": 20_000, "description": 50_000}

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

# A spreadsheet evaluates a cell that begins with one of these as a formula.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def patent_of_document(name: str, content: bytes) -> Patent:
    """The fields of a document of a patent office, or the text of another one.

    :raises PageError: if it cannot be read, has no text, or holds several patents.
    """
    try:
        documents = list(islice(documents_of(content, name), 2))
    except DataError as problem:
        raise PageError("invalid_input", str(problem)) from problem
    if len(documents) > 1:
        raise PageError(
            "invalid_input", f"'{name}' holds several patents. Upload it under 'Classify a file'."
        )
    if not documents:
        return _txt_text(name, content)
    (document,) = documents
    if isinstance(document, RejectedDocument):
        raise PageError(
            "invalid_input", f"'{name}' was not read: {document.reason}. Paste its text."
        )
    return _fields_of(document)


def _fields_of(document: Document) -> Patent:
    if not (document.title or document.abstract or document.claims):
        return document.description[:MAX_CHARACTERS]
    fields = {
        "id": document.id,
        "title": document.title,
        "abstract": document.abstract,
        "claims": " ".join(document.claims),
        "description": document.description,
    }
    return {role: text[: _MAX_FIELD_CHARACTERS.get(role)] for role, text in fields.items() if text}


def _txt_text(name: str, content: bytes) -> str:
    if not name.lower().endswith(".txt"):
        raise PageError(
            "invalid_input",
            f"'{name}' is not a document of a patent office, a PDF or a text file. Upload one of "
            "these, or paste the text.",
        )
    try:
        text = decoded(content)
    except DataError as problem:
        raise PageError(
            "invalid_input",
            f"The encoding of '{name}' is not supported. Save it as UTF-8, or paste the text.",
        ) from problem
    if not text.strip():
        raise PageError("invalid_input", f"'{name}' is empty. Paste the text instead.")
    return text[:MAX_CHARACTERS]


@dataclass(frozen=True)
class UploadedTable:
    """An uploaded table; a row that cannot be read has an ``error``.

    :param roles: the column of each role that one was recognised for.
    :param form: in words, how the file is written.
    :param options: those of delimiter, encoding and sheet that apply to the file.
    :param sheets: of a workbook, all of them.
    :param doubts: what of the rows may have been read wrongly, a line each.
    """

    name: str
    columns: list[str]
    roles: dict[str, str]
    form: str
    rows: list[Row]
    options: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def own_cells(self) -> bytes:
        """The cells of all rows as Parquet, a fraction of their size as objects."""
        columns = {name: [row.fields.get(name) for row in self.rows] for name in self.columns}
        table = pa.table({name: _array(values) for name, values in columns.items()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()


_PLAIN_TYPES = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date),
    pa.types.is_string,
)


def _array(values: list[Any]) -> pa.Array:
    """The values of a column; as text if they are of several types, or of none of a spreadsheet."""
    try:
        array = pa.array(values)
        if any(is_plain(array.type) for is_plain in _PLAIN_TYPES):
            return array
    except (pa.ArrowException, ValueError, OverflowError):
        pass
    return pa.array(map(cell_text, values), pa.string())


def read_table(
    name: str,
    content: bytes,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> UploadedTable:
    """Read a table by the suffix of its name.

    :param delimiter: overrules what is recognised; likewise encoding and sheet.
    :raises PageError: if the format is not supported, or the file is damaged, empty or too long.
    """
    if not is_table(Path(name)):
        formats = ", ".join(suffix.upper() for suffix in TABLE_SUFFIXES)
        raise PageError("invalid_input", f"'{name}' is not in a supported format ({formats}).")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{_suffixes(name)}"
        path.write_bytes(content)
        try:
            options = TableOptions(delimiter=delimiter, encoding=encoding, sheet=sheet)
            table = open_table(path, options)
            rows = list(islice(table.read(None), MAX_ROWS + 1))
        except DataError as problem:
            message = str(problem).replace(str(path), f"'{name}'")
            raise PageError("invalid_input", message) from problem
    if len(rows) > MAX_ROWS:
        raise PageError(
            "invalid_input",
            f"'{name}' has more than {MAX_ROWS:,} rows. Split it, or use the command "
            "'patclass classify', which has no limit.",
        )
    if not rows:
        raise PageError(
            "invalid_input", f"'{name}' has no rows. The first line must contain column names."
        )
    return UploadedTable(
        name=name,
        columns=list(table.columns),
        roles=dict(table.roles),
        form=table.form,
        rows=rows,
        options=table.options,
        sheets=table.sheets,
        doubts=table.doubts(),
    )


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
    patent = {
        role: text[: _MAX_FIELD_CHARACTERS.get(role)] for role, text in values.items() if text
    }
    id_column = mapping.get("id")
    number = first_line(row.fields.get(id_column)) if id_column else ""
    return {**patent, "id": (number or str(row.number))[:200]}


def results_table(results: Sequence[Mapping[str, Any]], own: bytes | None = None) -> pd.DataFrame:
    """One row per result with the columns ``COLUMNS``; of a failed result only id and error.

    :param own: the cells of the file as ``UploadedTable.own_cells``; they come first. A column with
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
    names: list[str] = []
    for name in cells.column_names:
        names.append(free_name(name, (*COLUMNS, *names)))
    # Types of Arrow keep whole numbers whole where some are missing.
    table: pd.DataFrame = cells.rename_columns(names).to_pandas(types_mapper=pd.ArrowDtype)
    return pd.concat([table, found], axis=1)


def as_csv(table: pd.DataFrame) -> bytes:
    """UTF-8 with a byte order mark, as spreadsheets expect; no cell is a formula."""
    text: str = _without_formulas(table).to_csv(index=False)
    return text.encode("utf-8-sig")


def as_xlsx(table: pd.DataFrame) -> bytes:
    """A workbook of one sheet; no cell is a formula."""
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer, engine="openpyxl") as writer:
        _without_formulas(table).to_excel(writer, sheet_name="patents", index=False)
        sheet = writer.sheets["patents"]
        sheet.freeze_panes = "A2"
        for place, name in enumerate(table.columns, 1):
            sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(name, _OWN_WIDTH)
    return buffer.getvalue()


def as_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with typed columns."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    texts = [name for name in table.columns if not is_numeric_dtype(table[name].dtype)]
    safe = table.assign(**{name: table[name].map(_escaped, na_action="ignore") for name in texts})
    names: list[str] = []
    for name in table.columns:
        names.append(free_name(str(_escaped(name)), names))
    return safe.set_axis(names, axis="columns")


def _escaped(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value)  # not allowed in a workbook
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text
