"""Uploaded documents and tables, and the table of results as a download. Knows no service."""

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from pypdf import PdfReader

from patclass.core.errors import DataError
from patclass.data.cleaning import as_text
from patclass.data.encoding import decoded
from patclass.data.rows import TABLE_SUFFIXES as SUFFIXES
from patclass.data.rows import Row, first_line, is_table, open_table
from patclass.data.text import FIELDS
from patclass.ui.client import PageError
from patclass.ui.formatting import confidence_level

DOCUMENT_SUFFIXES = ("pdf", "txt")
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

# A spreadsheet evaluates a cell that begins with one of these as a formula.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def text_of_document(name: str, content: bytes) -> str:
    """The text of a document, by the suffix of its name; at most ``MAX_CHARACTERS``.

    :raises PageError: if it is not a PDF or TXT file, or has no text.
    """
    suffix = name.rpartition(".")[2].lower()
    if suffix not in DOCUMENT_SUFFIXES:
        raise PageError(
            "invalid_input",
            f"'{name}' is not a PDF or TXT file. Upload one of these, or paste the text.",
        )
    text = _pdf_text(name, content) if suffix == "pdf" else _txt_text(name, content)
    if not text.strip():
        why = "It may be a scan without a text layer." if suffix == "pdf" else "The file is empty."
        raise PageError(
            "invalid_input", f"No text was found in '{name}'. {why} Paste the text instead."
        )
    return text[:MAX_CHARACTERS]


def _txt_text(name: str, content: bytes) -> str:
    try:
        return decoded(content)
    except DataError as problem:
        raise PageError(
            "invalid_input",
            f"The encoding of '{name}' is not supported. Save it as UTF-8, or paste the text.",
        ) from problem


def _pdf_text(name: str, content: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise PageError(
                "invalid_input", f"'{name}' is password-protected. Paste its text instead."
            )
        return _up_to_limit(page.extract_text() for page in reader.pages)
    except PageError:
        raise
    except Exception as problem:  # the library raises exceptions of many types
        raise PageError(
            "invalid_input", f"'{name}' is damaged or not a PDF. Paste its text instead."
        ) from problem


def _up_to_limit(pages: Iterator[str]) -> str:
    text = ""
    while len(text) < MAX_CHARACTERS and (page := next(pages, None)) is not None:
        text += page + "\n"
    return text


@dataclass(frozen=True)
class UploadedTable:
    """An uploaded table; a row that cannot be read has an ``error``.

    :param roles: the column of each role that one was recognised for.
    :param form: in words, how the file is written.
    """

    name: str
    columns: list[str]
    roles: dict[str, str]
    form: str
    rows: list[Row]


def read_table(name: str, content: bytes) -> UploadedTable:
    """Read a table by the suffix of its name.

    :raises PageError: if the format is not supported, or the file is damaged, empty or too long.
    """
    if not is_table(Path(name)):
        formats = ", ".join(suffix.upper() for suffix in TABLE_SUFFIXES)
        raise PageError("invalid_input", f"'{name}' is not in a supported format ({formats}).")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{''.join(Path(name).suffixes[-2:])}"
        path.write_bytes(content)
        try:
            table = open_table(path)
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
    return UploadedTable(name, list(table.columns), dict(table.roles), table.form, rows)


def patent_or_error(row: Row, mapping: Mapping[str, str | None]) -> dict[str, str | None] | str:
    """A patent as ``patent_of`` gives it, or why the row has none."""
    try:
        return row.error or patent_of(row, mapping)
    except DataError as problem:
        return str(problem)


def patent_of(row: Row, mapping: Mapping[str, str | None]) -> dict[str, str | None]:
    """The fields of a row as the service takes them; the row number is the default id.

    :param mapping: the column for each role.
    :raises DataError: if a field is no text.
    """
    values = {role: row.fields.get(column) for role, column in mapping.items() if column}
    patent = {
        role: (str(value) if role == "id" else as_text(value))[: _MAX_FIELD_CHARACTERS.get(role)]
        for role, value in values.items()
        if not _is_missing(value)
    }
    return {**patent, "id": (first_line(patent.get("id")) or str(row.number))[:200]}


def results_table(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per result with the columns ``COLUMNS``; of a failed result only id and error."""
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
    return pd.DataFrame(rows, columns=COLUMNS)


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
        for letter, width in zip("ABCDEFGHIJKLM", _WIDTHS.values(), strict=True):
            sheet.column_dimensions[letter].width = width
    return buffer.getvalue()


def as_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with typed columns."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.select_dtypes(include=["object", "string"]).columns
    return table.assign(**{name: table[name].map(_escaped, na_action="ignore") for name in texts})


def _escaped(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value)  # not allowed in a workbook
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def _is_missing(value: object) -> bool:
    return value is None or value == "" or value != value  # NaN differs from itself
