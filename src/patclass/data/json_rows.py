"""Rows of JSON: lines, or one document with a list of patents. Knows no labels."""

import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from patclass.core.errors import DataError
from patclass.data.cells import json_value
from patclass.data.encoding import SAMPLE, decoded, encoding_of, errors_of, is_wide, name_of
from patclass.data.formats import estimated_records, opened, table_suffix
from patclass.data.json_shapes import plain_record, rows_within
from patclass.data.table import Row, Table
from patclass.data.text import SURROGATE

# Rows by which the columns of JSON lines are recognised.
_FIRST_ROWS = 100

_BEGINNING = re.compile(r'\ufeff?\s*(\[\s*)?\{\s*"[^"\n]*"\s*:')

# A line is read as a whole; no patent is longer, with its sequence listings.
MAX_LINE = 1 << 26

# Lists and objects within each other; whoever reads or writes a row may then recurse.
_MAX_DEPTH = 100


def json_table(path: Path, sample: bytes) -> Table:
    """Recognise a file of JSON.

    :param sample: its beginning.
    :raises DataError: if it is one document and broken.
    """
    encoding = encoding_of(sample)
    if _is_json_lines(path, sample, encoding) or table_suffix(path.name) in (".jsonl", ".ndjson"):
        form, read = "read as JSON lines", partial(_read_jsonl, path, encoding)
        estimate = partial(estimated_records, path, partial(_filled_lines, encoding))
    else:
        values = _json_values(path)
        form, read = "read as one JSON document", partial(_read_json, values)
        estimate = partial(len, values)
    form += "" if name_of(encoding) == "UTF-8" else f", {name_of(encoding)}"
    first = islice(read(None), _FIRST_ROWS)
    columns = tuple(dict.fromkeys(key for row in first for key in row.fields))
    return Table(path, columns, {}, form, read, estimate=estimate)


def is_json(sample: bytes) -> bool:
    """Whether a file begins as an object of JSON or a list of them, which no header does."""
    text = sample[:10_000].decode(encoding_of(sample), errors="replace")
    return _BEGINNING.match(text) is not None


def _is_json_lines(path: Path, sample: bytes, encoding: str) -> bool:
    """Whether the first line is a whole value that is no list of rows."""
    text = sample.decode(encoding, errors_of(encoding)).lstrip("\ufeff \t\r\n")
    if text.startswith("["):
        return False
    line, end, rest = text.partition("\n")
    if not end:
        return len(sample) >= SAMPLE and _has_lines(path, encoding)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return not line.rstrip().endswith(("{", "[", ","))
    return bool(rest.strip()) or rows_within(value) is None


def _has_lines(path: Path, encoding: str) -> bool:
    """Whether a file has more than one line."""
    with opened(path) as (_, file):
        return len(list(islice(_filled_lines(encoding, file), 2))) > 1


def _lines(encoding: str, file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, or parts of longer ones; of one in UTF-16 or UTF-32, in UTF-8."""
    if not is_wide(encoding):
        yield from iter(partial(file.readline, MAX_LINE), b"")
        return
    text = io.TextIOWrapper(file, encoding, errors=errors_of(encoding), newline="\n")
    try:
        yield from map(str.encode, iter(partial(text.readline, MAX_LINE), ""))
    finally:
        text.detach()  # the file is closed by who opened it


def _filled_lines(encoding: str, file: BinaryIO) -> Iterator[bytes]:
    return filter(bytes.strip, _lines(encoding, file))


def _read_jsonl(path: Path, encoding: str, wanted: Collection[str] | None) -> Iterator[Row]:
    with opened(path) as (_, file):
        lines = enumerate(_lines(encoding, file), 1)
        filled = ((place, line) for place, line in lines if line.strip())
        for number, (place, line) in enumerate(filled, 1):
            yield _json_row(number, line, encoding, place)


def _json_row(number: int, line: bytes, encoding: str, place: int) -> Row:
    try:
        fields = json_value(
            line.decode(
                "utf-8-sig" if is_wide(encoding) or name_of(encoding) == "UTF-8" else encoding
            )
        )
    except UnicodeDecodeError:
        return Row(number, error=f"undecodable: not {name_of(encoding)}", line=place)
    except (ValueError, RecursionError) as problem:
        return Row(number, error=f"undecodable: not JSON ({_reason(problem)})", line=place)
    # In no encoding of text, other than by an escape, there is half a pair.
    return _object_row(number, fields, place, b"\\u" in line)


def _object_row(number: int, fields: object, line: int | None = None, escapes: bool = True) -> Row:
    if not isinstance(fields, dict):
        return Row(number, error="undecodable: not a JSON object", line=line)
    if _is_too_deep(fields):
        return Row(number, error=f"undecodable: nested more than {_MAX_DEPTH} deep", line=line)
    text = json.dumps(fields, ensure_ascii=False) if escapes else ""
    if SURROGATE.search(text):
        known = json.loads(SURROGATE.sub("\ufffd", text))
        return Row(number, known, "undecodable: half a surrogate pair", line)
    return Row(number, plain_record(fields), None, line)


def _is_too_deep(value: object) -> bool:
    """Whether lists and objects are within each other deeper than is read."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [each for part in parts for each in part if isinstance(each, (dict, list))]
        if not level:
            return False
    return True


def _reason(problem: Exception) -> str:
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)


def _json_values(path: Path) -> list[Any]:
    """The rows of one JSON document: a list, or those within an object, which may be one itself."""
    with opened(path) as (_, file):
        try:
            value = json_value(decoded(file.read()))
        except DataError as problem:
            raise DataError(f"{path} is {problem}") from problem
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{path} is not JSON: {_reason(problem)}.") from problem
    return value if isinstance(value, list) else (rows_within(value) or [value])


def _read_json(values: Sequence[Any], wanted: Collection[str] | None) -> Iterator[Row]:
    for number, fields in enumerate(values, 1):
        yield _object_row(number, dict(fields) if isinstance(fields, dict) else fields)
