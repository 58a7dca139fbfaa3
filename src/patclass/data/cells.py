"""Cells of a table as text, as JSON and in a spreadsheet. Knows values, no columns and no files."""

import json
import math
import re
import unicodedata
from typing import Any

# Values of one JSON text: each takes a hundred bytes, so that a text of brackets fills any memory.
MAX_VALUES = 30_000_000

# What may stand before the first character that a spreadsheet looks at.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f\ufeff\u200b-\u200f\u2060-\u2064]*")
_FORMULA, _BREAKS = "=+-@", ("\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?\s?%?")


def spreadsheet_text(text: str) -> str:
    """A text as a cell of CSV or TSV that no spreadsheet evaluates: a formula gets an apostrophe.

    Numbers stay as they are. A formula begins with one of ``=+-@``, also in a full-width or another
    form, which some programs take for the same; a tab or the end of a line may begin another cell.
    """
    if not text or text[0].isalnum():  # as nearly all are
        return text
    start = _BLANK.match(text)
    first = text[start.end() if start else 0 :][:1]
    begins = unicodedata.normalize("NFKC", first)[:1] in tuple(_FORMULA)
    if (begins or text.startswith(_BREAKS)) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text.

    :raises ValueError: if it is none, or has more than ``MAX_VALUES`` values.
    :raises RecursionError: if it is nested too deeply.
    """
    marks = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if len(text) > MAX_VALUES and sum(map(text.count, marks)) > MAX_VALUES:  # type: ignore[arg-type]
        raise ValueError(f"more than {MAX_VALUES:,} values; save it as JSON lines")
    return json.loads(text)


def cell_text(value: Any) -> str | None:
    """A cell as text: lists and records are written as JSON, empty ones as an empty cell."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return cell_json(value) if value else None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def cell_json(value: Any) -> str:
    """One line of JSON, in which a number that is none is null."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=cell_text)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=cell_text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
