"""Cells of a table as text and as JSON."""

import json
from datetime import date
from typing import Any

import pytest

from patclass.data.cells import cell_json, cell_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("a", "a"),
        ([], None),
        (["A61K", b"\xc3\x96"], '["A61K", "Ö"]'),
        ({"no": float("nan")}, '{"no": null}'),
        (b"\xc3\x96\xff", "Ö\ufffd"),
        (1.5, "1.5"),
        (date(2026, 1, 31), "2026-01-31"),
    ],
)
def test_a_cell_as_text(value: Any, text: str | None):
    assert cell_text(value) == text


def test_json_has_no_numbers_that_are_none():
    value = {"a": [float("inf"), (1.0, float("nan"))], "b": date(2026, 1, 31)}
    assert json.loads(cell_json(value)) == {"a": [None, [1.0, None]], "b": "2026-01-31"}
