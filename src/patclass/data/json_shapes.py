"""Where the rows of a JSON document are, and records of Lens as rows. Knows names, no files."""

from collections.abc import Mapping
from typing import Any

from patclass.data.columns import columns_by_role

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
