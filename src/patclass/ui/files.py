"""Documents and tables that a person uploads, and tables of answers. Knows files, no service."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl import load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from pypdf import PdfReader

from patclass.core.errors import DataError
from patclass.data.rows import ID_COLUMNS, Row, read_rows
from patclass.data.text import FIELDS
from patclass.ui.client import Trouble
from patclass.ui.wording import trust

DOCUMENT_SUFFIXES = ("pdf", "txt")

# As many characters as the service takes by default; no model reads so far.
MAX_CHARACTERS = 100_000


def text_of_document(name: str, content: bytes) -> str:
    """The text of a document by its name's suffix.

    :raises Trouble: if it is no such document, or holds no text.
    """
    suffix = name.rpartition(".")[2].lower()
    if suffix not in DOCUMENT_SUFFIXES:
        raise Trouble(
            "input", f"'{name}' is no PDF and no TXT file. Drop one of these, or paste the text."
        )
    text = _of_pdf(name, content) if suffix == "pdf" else _of_txt(name, content)
    if not text.strip():
        why = "It may be a scan: a picture of a text." if suffix == "pdf" else "It is empty."
        raise Trouble("input", f"No text was found in '{name}'. {why} Paste the text instead.")
    return text[:MAX_CHARACTERS]


def _of_txt(name: str, content: bytes) -> str:
    text = decoded(content)
    if text is None:
        raise Trouble(
            "input", f"'{name}' is no text in UTF-8. Save it as UTF-8, or paste the text."
        )
    return text


def decoded(content: bytes) -> str | None:
    """The text of a file in UTF-8, in UTF-16 with its mark, or from an old Windows; else None."""
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _of_pdf(name: str, content: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Trouble("input", f"'{name}' is protected by a password. Paste its text instead.")
        return _up_to_limit(page.extract_text() for page in reader.pages)
    except Trouble:
        raise
    except Exception as problem:  # the library raises exceptions of many kinds
        raise Trouble(
            "input", f"'{name}' is damaged, or no PDF. Open it and paste its text instead."
        ) from problem


def _up_to_limit(pages: Iterator[str]) -> str:
    found = ""
    while len(found) < MAX_CHARACTERS and (page := next(pages, None)) is not None:
        found += page + "\n"
    return found


TABLE_SUFFIXES = ("csv", "tsv", "xlsx", "jsonl", "parquet")
MAX_ROWS = 50_000

# What a column may stand for, in the order in which it is shown.
ROLES = ("id", "text", *FIELDS)

# Other names that columns of patents have in the wild, in lower case.
_ALSO = {
    "id": (*ID_COLUMNS, "number", "publication", "patent", "application_number", "lens_id", "nr"),
    "text": ("text", "full_text", "fulltext", "content", "body"),
    "title": ("title", "invention_title", "title_en", "titel"),
    "abstract": ("abstract", "summary", "abstract_en", "zusammenfassung"),
    "claims": ("claims", "claim", "first_claim", "claims_en"),
    "description": ("description", "desc", "detailed_description"),
}


# Characters of the long fields; no model reads so far, and the service refuses far longer texts.
_MOST = {"claims": 20_000, "description": 50_000}


@dataclass(frozen=True)
class Table:
    """What was dropped: its columns, and rows that could be read or say why not."""

    name: str
    columns: list[str]
    rows: list[Row]


def read_table(name: str, content: bytes) -> Table:
    """Read a table by its name's suffix.

    :raises Trouble: if it is no such file, is damaged, empty, or too long.
    """
    suffix = name.rpartition(".")[2].lower()
    if suffix not in TABLE_SUFFIXES:
        known = ", ".join(kind.upper() for kind in TABLE_SUFFIXES)
        raise Trouble("input", f"'{name}' is none of {known}. Save your table as one of these.")
    rows = _xlsx_rows(name, content) if suffix == "xlsx" else _file_rows(name, suffix, content)
    if len(rows) > MAX_ROWS:
        raise Trouble(
            "input",
            f"'{name}' has more than {MAX_ROWS:,} rows. Split it, or use the "
            "command 'patclass classify', which knows no limit.",
        )
    columns = list(dict.fromkeys(key for row in rows for key in row.fields))
    if not columns:
        raise Trouble("input", f"'{name}' has no rows. The first line is to name the columns.")
    return Table(name, columns, rows)


def guess_columns(columns: Sequence[str]) -> dict[str, str | None]:
    """Which column stands for what, by its name; None for what none stands for."""
    by_name = {column.strip().lower().replace(" ", "_"): column for column in reversed(columns)}
    return {
        role: next((by_name[name] for name in _ALSO[role] if name in by_name), None)
        for role in ROLES
    }


def patent_of(row: Row, chosen: Mapping[str, str | None]) -> dict[str, str | None]:
    """The fields that the service reads of a row."""
    fields = {role: row.fields.get(column) for role, column in chosen.items() if column}
    patent = {
        role: str(value)[: _MOST.get(role)]
        for role, value in fields.items()
        if not _is_missing(value)
    }
    return {**patent, "id": patent.get("id", str(row.number))[:200]}


def answers_table(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The answers as people read them, one row each; those that failed say why."""
    rows = []
    for result in results:
        if result["error"] is not None:
            rows.append({"Patent": result["id"], "Failed because": result["error"]["message"]})
            continue
        rows.append(
            {
                "Patent": result["id"],
                "Code": result["label"],
                "Title of the code": result["name"],
                "Confidence": result["confidence"],
                "In words": trust(result["confidence"], result["sure"]),
                "Section": result["section"],
                "Class": result["class"],
                "Class confidence": result["class_confidence"],
                "Subclass": result["subclass"],
                "Subclass confidence": result["subclass_confidence"],
                "Read": result["read"],
                "Remarks": "; ".join(result["warnings"]),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("Patent", "Code", "Title of the code", "Confidence", "In words", "Section", "Class"),
    *("Class confidence", "Subclass", "Subclass confidence", "Read", "Remarks", "Failed because"),
]

# A cell that begins so is a formula to a spreadsheet, which would run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(table: pd.DataFrame) -> bytes:
    """For spreadsheets as well: UTF-8 with its mark, and no cell a formula."""
    text: str = _harmless(table).to_csv(index=False)
    return text.encode("utf-8-sig")


def as_xlsx(table: pd.DataFrame) -> bytes:
    """A workbook of one sheet."""
    sink = io.BytesIO()
    with pd.ExcelWriter(sink, engine="openpyxl") as writer:
        _harmless(table).to_excel(writer, sheet_name="patents", index=False)
        sheet = writer.sheets["patents"]
        sheet.freeze_panes = "A2"
        for letter, width in zip(
            "ABCDEFGHIJKLM", (16, 9, 44, 12, 24, 9, 9, 12, 10, 12, 9, 60, 40), strict=True
        ):
            sheet.column_dimensions[letter].width = width
    return sink.getvalue()


def as_parquet(table: pd.DataFrame) -> bytes:
    """Columns with their types."""
    sink = io.BytesIO()
    table.to_parquet(sink, index=False)
    return sink.getvalue()


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.select_dtypes(include=["object", "string"]).columns
    return table.assign(**{name: table[name].map(_quoted, na_action="ignore") for name in texts})


def _quoted(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub(" ", value)  # which no workbook can hold
    return f"'{text}" if text.startswith(_FORMULA) else text


def _file_rows(name: str, suffix: str, content: bytes) -> list[Row]:
    if suffix in ("csv", "tsv"):
        content = _plain(name, content, suffix)
    with tempfile.NamedTemporaryFile(suffix=f".{suffix}") as file:
        file.write(content)
        file.flush()
        try:
            return list(islice(read_rows(Path(file.name)), MAX_ROWS + 1))
        except DataError as problem:
            raise Trouble("input", str(problem).replace(file.name, f"'{name}'")) from problem


def _plain(name: str, content: bytes, suffix: str) -> bytes:
    """A CSV in UTF-8 with commas, whatever a spreadsheet has made of it."""
    text = decoded(content)
    if text is None:
        raise Trouble("input", f"'{name}' is not a text in UTF-8. Save it as UTF-8, or as XLSX.")
    header = text.partition("\n")[0]
    if suffix == "tsv" or header.count(";") <= header.count(","):
        return text.encode()
    sink = io.StringIO()
    try:
        csv.writer(sink).writerows(csv.reader(io.StringIO(text), delimiter=";"))
    except csv.Error as problem:
        raise Trouble("input", f"'{name}' is damaged: {problem}. Save it anew.") from problem
    return sink.getvalue().encode()


def _xlsx_rows(name: str, content: bytes) -> list[Row]:
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        lines = sheet.iter_rows(values_only=True)
        header = ["" if cell is None else str(cell) for cell in next(lines, ())]
        filled = (cells for cells in lines if any(cell is not None for cell in cells))
        rows = [
            Row(number, {key: cell for key, cell in zip(header, cells, strict=False) if key})
            for number, cells in enumerate(islice(filled, MAX_ROWS + 1), start=1)
        ]
    except Exception as problem:  # the library raises what zip, XML and its own code raise
        raise Trouble(
            "input", f"'{name}' is damaged, or no workbook. Open it and save it as XLSX or CSV."
        ) from problem
    book.close()
    return rows


def _is_missing(value: object) -> bool:
    return value is None or value == "" or value != value
