"""Shapes that lists of patents have in JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from patclass.data.json_rows import rows_within
from patclass.data.rows import open_table
from patclass.data.text import TextView

ROWS = [{"id": "US1", "title": "Loom"}, {"id": "US2", "title": "Pump"}]
BY_COLUMN = {"id": ["US1", "US2"], "title": ["Loom", "Pump"]}


@pytest.mark.parametrize(
    "value",
    [
        {"patents": ROWS, "count": 2},
        BY_COLUMN,
        {name: dict(zip("01", cells, strict=True)) for name, cells in BY_COLUMN.items()},
        {"columns": ["id", "title"], "index": [0, 1], "data": [["US1", "Loom"], ["US2", "Pump"]]},
        {"US1": {"title": "Loom"}, "US2": {"title": "Pump"}},
        {"took": 3, "hits": {"total": {"value": 2}, "hits": [{"_id": "x", "_source": ROWS[0]},
                                                             {"_id": "y", "_source": ROWS[1]}]}},
        {"responseHeader": {"status": 0}, "response": {"numFound": 2, "docs": ROWS}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 1])
def test_every_shape_becomes_rows(tmp_path: Path, value: object, indent: int | None):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=indent))
    rows = [row.fields for row in open_table(path).rows()]
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS


@pytest.mark.parametrize(
    "value",
    [
        {"title": ["Loom"], "claims": ["1. A loom."]},
        {"title": "Loom", "claims": ["1.", "2."], "inventors": [{"name": "A"}, {"name": "B"}]},
        {"claims": ["1.", "2."], "cpc": ["D03D", "D03C"]},
        {"title": {"en": "Loom"}, "abstract": {"en": "A loom."}},
        {},
        {"a": {}},
        {"a": {"b": {"c": {"d": {"e": ROWS}}}}},
    ],
)
def test_one_patent_is_one_row(value: dict[str, Any]):
    assert rows_within(value) is None


def test_a_record_of_lens_is_a_row(tmp_path: Path):
    record = {
        "lens_id": "001-002-003", "jurisdiction": "EP", "doc_number": "1000001", "kind": "B1",
        "date_published": "2026-01-05",
        "biblio": {
            "invention_title": [{"text": "Webstuhl", "lang": "de"}, {"text": "Loom", "lang": "en"}],
            "classifications_cpc": {"classifications": [{"symbol": "D03D47/00"}]},
        },
        "abstract": [{"text": "A loom with a reed.", "lang": "en"}],
        "claims": [{"claims": [{"claim_text": ["1. A loom."]}, {"claim_text": ["2. A reed."]}],
                    "lang": "en"}],
    }  # fmt: skip
    path = tmp_path / "lens.json"
    path.write_text(json.dumps({"total": 1, "data": [record]}))
    table = open_table(path)
    (row,) = table.rows()
    assert row.id == "EP1000001B1"
    assert row.fields["cpc"] == [{"symbol": "D03D47/00"}]
    view = TextView(("title", "abstract", "claims"))
    text = view.text_of_patent(row.fields)
    assert [part in text for part in ("Loom", "with a reed", "1. A loom. 2. A reed.")] == [True] * 3
    assert "Webstuhl" not in text
