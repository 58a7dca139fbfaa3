"""Cells of a table as text and as JSON."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.data.cells import cell_json, cell_text, json_value, spreadsheet_text


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


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "-", "\t=1", "\rx", "\nx", " =1", "\ufeff=1"),
        *("＝1+1", "＋1+1", "－1+1", "＠SUM(A1)", "\u200b＝1", "\x00=1", "-0.5x", "+49 89 1234"),
        *("﹦1", "-2+cmd|' /C calc'!A0", "=", "- a pump"),
    ],
)
def test_a_text_that_a_spreadsheet_would_evaluate_gets_an_apostrophe(text: str):
    assert spreadsheet_text(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["", "a=1", "1+1", "-0.5", "+1", "-1,234.50", "-1e-05", "-5%", "'=1", "(=1", "é", " a", "EP-1"],
)
def test_other_texts_and_numbers_stay_as_they_are(text: str):
    assert spreadsheet_text(text) == text


@given(st.text(max_size=8))
def test_no_text_is_a_formula_afterwards(text: str):
    safe = spreadsheet_text(text)
    assert safe in (text, f"'{text}")
    assert not safe.startswith(("=", "@", "\t", "\r", "\n", "＝", "＠"))
    assert spreadsheet_text(safe) == safe


def test_a_json_text_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.data.cells.MAX_VALUES", 5)
    assert json_value("[1, 2, 3]") == [1, 2, 3]
    for text in ("[1,2,3,4,5,6,7]", b"[[],[],[],[]]"):
        with pytest.raises(ValueError, match="more than 5 values"):
            json_value(text)
