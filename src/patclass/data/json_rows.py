"""Rows of JSON: lines, or one document with a list of patents. Knows no labels."""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from patclass.core.errors import DataError
from patclass.data.columns import columns_by_role
from patclass.data.encoding import SAMPLE
from patclass.data.formats import estimated_records, opened, table_suffix
from patclass.data.table import Row, Table
from patclass.data.text import SURROGATE

# Rows by which the columns of JSON lines are recognised.
_FIRST_ROWS = 100


def json_table(path: Path, sample: bytes) -> Table:
    """Recognise a file of JSON.

    :param sample: its beginning.
    :raises DataError: if it is one document and broken.
    """
    if _is_json_lines(path, sample) or table_suffix(path.name) in (".jsonl", ".ndjson"):
        form, read = "read as JSON lines", partial(_read_jsonl, path)
        estimate = partial(estimated_records, path, lambda file: filter(bytes.strip, file))
    else:
        values = _json_values(path)
        form, read = "read as one JSON document", partial(_read_json, values)
        estimate = partial(len, values)
    first = islice(read(None), _FIRST_ROWS)
    columns = tuple(dict.fromkeys(key for row in first for key in row.fields))
    return Table(path, columns, {}, form, read, estimate=estimate)


def _is_json_lines(path: Path, sample: bytes) -> bool:
    """Whether the first line is a whole value that is no list of rows."""
    text = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return False
    line, end, rest = text.partition(b"\n")
    if not end:
        return len(sample) >= SAMPLE and _has_lines(path)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return not line.rstrip().endswith((b"{", b"[", b","))
    return bool(rest.strip()) or _rows_within(value) is None


def _has_lines(path: Path) -> bool:
    """Whether anything follows the first line of a file."""
    with opened(path) as (_, file):
        while block := file.read(SAMPLE):
            _, end, rest = block.partition(b"\n")
            if end:
                return bool((rest or file.read(SAMPLE)).strip())
    return False


def _read_jsonl(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    with opened(path) as (_, file):
        number = 0
        for place, line in enumerate(file, 1):
            if line.strip():
                number += 1
                yield _json_row(number, line, place)


def _json_row(number: int, line: bytes, place: int) -> Row:
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Row(number, error="undecodable: not UTF-8", line=place)
    except (ValueError, RecursionError) as problem:
        return Row(number, error=f"undecodable: not JSON ({problem})", line=place)
    # In UTF-8, only an escape can stand for half a pair.
    return _object_row(number, fields, place, b"\\u" in line)


def _object_row(number: int, fields: object, line: int | None = None, escapes: bool = True) -> Row:
    if not isinstance(fields, dict):
        return Row(number, error="undecodable: not a JSON object", line=line)
    text = json.dumps(fields, ensure_ascii=False) if escapes else ""
    if SURROGATE.search(text):
        known = json.loads(SURROGATE.sub("\ufffd", text))
        return Row(number, known, "undecodable: half a surrogate pair", line)
    return Row(number, fields, None, line)


def _json_values(path: Path) -> list[Any]:
    """The rows of one JSON document: a list, or an object with a list of objects in it."""
    with opened(path) as (_, file):
        try:
            value = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{path} is not JSON: {problem}.") from problem
    return value if isinstance(value, list) else (_rows_within(value) or [value])


def _read_json(values: Sequence[Any], wanted: Collection[str] | None) -> Iterator[Row]:
    for number, fields in enumerate(values, 1):
        yield _object_row(number, dict(fields) if isinstance(fields, dict) else fields)


def _rows_within(value: object) -> list[Any] | None:
    """The longest list of objects in an object, such as ``{"patents": [...]}``."""
    if not isinstance(value, dict):
        return None
    lists = [
        part
        for part in value.values()
        if isinstance(part, list) and part and all(isinstance(item, dict) for item in part)
    ]
    # A patent of its own has such lists too, of its inventors and codes.
    if not lists or columns_by_role([key for key in value if isinstance(key, str)]):
        return None
    return max(lists, key=len)
