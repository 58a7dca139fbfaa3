"""Rows of JSON: lines, or one document that has a list of patents somewhere. Knows no labels."""

import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from patclass.core.errors import DataError
from patclass.data.cells import json_value
from patclass.data.columns import columns_by_role
from patclass.data.encoding import SAMPLE, decoded, encoding_of, errors_of, is_wide, name_of
from patclass.data.formats import estimated_records, opened, table_suffix
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


# Answers of search engines have their rows so deep.
_MAX_LEVELS = 3

# An object that has none of these is not known to be a patent.
_TEXTS = {"text", "title", "abstract", "claims"}


def rows_within(value: object, levels: int = _MAX_LEVELS) -> list[Any] | None:
    """The rows in an object: a list of objects, columns, or objects by their numbers.

    None if the object is a row itself.
    """
    if not isinstance(value, dict):
        return None
    found = _split_rows(value) or _column_rows(value) or _rows_by_id(value)
    # A patent of its own has lists of objects too, of its inventors and codes.
    if found or columns_by_role([key for key in value if isinstance(key, str)]):
        return found
    lists = [_hits(part) for part in value.values() if _is_list_of_objects(part)]
    if lists:
        return max(lists, key=len)
    inner = [rows_within(part, levels - 1) for part in value.values()] if levels else []
    return max(filter(None, inner), key=len, default=None)


def _is_list_of_objects(part: object) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(item, dict) for item in part)


def _hits(items: list[Any]) -> list[Any]:
    """Objects without what a search engine says of them."""
    if all(isinstance(item.get("_source"), dict) for item in items):
        return [{"id": item.get("_id"), **item["_source"]} for item in items]
    return items


def _split_rows(value: Mapping[str, Any]) -> list[Any] | None:
    """The rows of ``{"columns": [...], "data": [[...], ...]}``, as pandas writes it."""
    columns, data = value.get("columns"), value.get("data")
    if not (isinstance(columns, list) and isinstance(data, list) and data):
        return None
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        return None
    return [dict(zip(map(str, columns), row, strict=True)) for row in data]


def _column_rows(value: Mapping[str, Any]) -> list[Any] | None:
    """The rows of ``{"id": [...], "title": [...]}``, of lists or of numbered objects."""
    roles = columns_by_role(list(value))
    names = [roles[role] for role in ("text", "title", "abstract") if role in roles]
    if not names:
        return None
    columns = {name: _cells(part) for name, part in value.items()}
    lengths = {-1 if cells is None else len(cells) for cells in columns.values()}
    # A list of one title may be that of one patent.
    if len(lengths) != 1 or min(lengths) < 2:
        return None
    texts = [cell for name in names for cell in columns[name] or ()]
    if not all(cell is None or isinstance(cell, str) for cell in texts):
        return None
    rows = zip(*(cells or () for cells in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _cells(part: object) -> list[Any] | None:
    if isinstance(part, dict) and list(part) == [str(place) for place in range(len(part))]:
        return list(part.values())
    return part if isinstance(part, list) else None


def _rows_by_id(value: Mapping[str, Any]) -> list[Any] | None:
    """The rows of ``{"US1": {...}, "US2": {...}}``."""
    rows = [part for part in value.values() if isinstance(part, dict)]
    if len(rows) != len(value) or not all(_is_patent(row) for row in rows):
        return None
    if not all(any(map(str.isdigit, key)) for key in value):
        return rows or None  # a patent under the name of what it is
    return [{"id": key, **row} for key, row in value.items()]


def _is_patent(row: Mapping[str, Any]) -> bool:
    return bool(columns_by_role([key for key in row if isinstance(key, str)]).keys() & _TEXTS)


def plain_record(fields: dict[str, Any]) -> dict[str, Any]:
    """A row; of a record of Lens, with number, title, codes and claims as in other tables."""
    biblio = fields.get("biblio")
    if not isinstance(biblio, dict) or not isinstance(fields.get("doc_number"), str):
        return fields
    parts = (fields.get(name) for name in ("jurisdiction", "doc_number", "kind"))
    found: dict[str, Any] = {
        "publication_number": "".join(part for part in parts if isinstance(part, str)),
        "title": biblio.get("invention_title"),
        "cpc": _symbols(biblio.get("classifications_cpc")),
        "ipc": _symbols(biblio.get("classifications_ipcr")),
    }
    added = {name: part for name, part in found.items() if part and name not in fields}
    claims = fields.get("claims")
    if isinstance(claims, list) and all(isinstance(part, dict) for part in claims):
        added["claims"] = [_claims(part) for part in claims]
    return fields | added


def _symbols(classifications: object) -> object:
    if isinstance(classifications, dict):
        return classifications.get("classifications")
    return classifications


def _claims(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims in one language as one text."""
    if not isinstance(part.get("claims"), list):
        return part
    texts: list[Any] = []
    for claim in part["claims"]:
        text = claim.get("claim_text") if isinstance(claim, dict) else claim
        texts += text if isinstance(text, list) else [text]
    return {"text": "\n".join(map(str, filter(None, texts))), "lang": part.get("lang")}
