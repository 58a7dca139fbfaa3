"""Cells of a table as text and as JSON. Knows values, no columns and no files."""

import json
import math
from typing import Any


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
