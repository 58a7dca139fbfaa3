"""What is read of an uploaded file, in a process of its own with limits. Knows no service.

That process starts for each file, so that little is imported here. What it leaves are files beside
the upload, and JSON.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.bounded import Limits
from patclass.core.errors import DataError
from patclass.data.cells import cell_text
from patclass.data.documents import Document, RejectedDocument, documents_of
from patclass.data.encoding import decoded
from patclass.data.rows import open_table
from patclass.data.table import Row, Table, TableOptions

# The default limit of the service; no model reads that far.
MAX_CHARACTERS = 100_000
# Characters of the long fields, which together stay below the limit of the service.
MAX_FIELD_CHARACTERS = {"claims": 20_000, "description": 50_000}

# Of a table, which the page keeps as a whole.
MAX_ROWS = 50_000
MAX_CELLS = 10_000_000
MAX_TABLE_CHARACTERS = 256_000_000

# What another value than a text counts as, by what it takes.
_NUMBER = 8

TABLE_LIMITS = Limits(3 << 30, seconds=120, remedy="Split it, or save it as CSV.")
DOCUMENT_LIMITS = Limits(2 << 30, seconds=120, remedy="Paste its text.")

# Beside a table: its rows as JSON lines, and their cells as Parquet.
LINES, CELLS = "rows.jsonl", "cells.parquet"


def store_table(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Write the rows of a table beside it, and return what else is known of it.

    :raises DataError: if it cannot be read, is empty, or too large.
    """
    file = Path(path)
    table = open_table(file, TableOptions(**options))
    rows = list(_bounded_rows(table))
    if not rows:
        raise DataError(f"{path} has no rows. The first line must contain column names.")
    with file.with_name(LINES).open("w", encoding="utf-8", errors="replace") as lines:
        for row in rows:
            values = [row.number, row.fields, row.error, row.line]
            lines.write(json.dumps(values, ensure_ascii=False, default=cell_text) + "\n")
    _write_cells(file.with_name(CELLS), table.columns, rows)
    return {
        "columns": list(table.columns),
        "roles": dict(table.roles),
        "form": table.form,
        "options": list(table.options),
        "sheets": list(table.sheets),
        "doubts": list(table.doubts()),
        "count": len(rows),
    }


def _bounded_rows(table: Table) -> Iterator[Row]:
    cells = characters = 0
    for row in table.read(None):
        cells += len(row.fields)
        characters += sum(map(_size, row.fields.values()))
        for amount, most, what in (
            (row.number, MAX_ROWS, "rows"),
            (cells, MAX_CELLS, "cells"),
            (characters, MAX_TABLE_CHARACTERS, "characters"),
        ):
            if amount > most:
                raise DataError(
                    f"{table.path} has more than {most:,} {what}. Split it, or use the command "
                    "'patclass classify', which has no such limit."
                )
        yield row


def _size(value: Any) -> int:
    """Characters of a cell, with those of its parts."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value)) + sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else _NUMBER


_PLAIN_TYPES = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date),
    pa.types.is_string,
)


def _write_cells(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    values = {name: _array([row.fields.get(name) for row in rows]) for name in columns}
    pq.write_table(pa.table(values), path, compression="zstd")


def _array(values: list[Any]) -> pa.Array:
    """The values of a column; as text if they are of several types, or of none of a spreadsheet."""
    try:
        array = pa.array(values)
        if any(is_plain(array.type) for is_plain in _PLAIN_TYPES):
            return array
    except MemoryError:
        raise
    except (pa.ArrowException, ValueError, OverflowError):
        pass
    return pa.array(map(cell_text, values), pa.string())


def patent_of_file(path: str, name: str) -> dict[str, str] | str:
    """The fields of a document of a patent office, or the text of another one.

    :raises DataError: if it cannot be read, has no text, or holds several patents.
    """
    content = Path(path).read_bytes()
    documents = list(islice(documents_of(content, name), 2))
    if len(documents) > 1:
        raise DataError(f"'{name}' holds several patents. Upload it under 'Classify a file'.")
    if not documents:
        return _text_of(content, name)
    (document,) = documents
    if isinstance(document, RejectedDocument):
        raise DataError(f"'{name}' was not read: {document.reason}. Paste its text.")
    return _fields_of(document)


def _fields_of(document: Document) -> dict[str, str] | str:
    if not (document.title or document.abstract or document.claims):
        return document.description[:MAX_CHARACTERS]
    fields = {
        "id": document.id,
        "title": document.title,
        "abstract": document.abstract,
        "claims": " ".join(document.claims),
        "description": document.description,
    }
    return {role: text[: MAX_FIELD_CHARACTERS.get(role)] for role, text in fields.items() if text}


def _text_of(content: bytes, name: str) -> str:
    if not name.lower().endswith(".txt"):
        raise DataError(
            f"'{name}' is not a document of a patent office, a PDF or a text file. Upload one of "
            "these, or paste the text."
        )
    try:
        text = decoded(content)
    except DataError as problem:
        raise DataError(
            f"The encoding of '{name}' is not supported. Save it as UTF-8, or paste the text."
        ) from problem
    if not text.strip():
        raise DataError(f"'{name}' is empty. Paste the text instead.")
    return text[:MAX_CHARACTERS]
