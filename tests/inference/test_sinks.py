"""Result files, read back with independent readers."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from patclass.core.errors import DataError
from patclass.inference.files import open_sink
from patclass.inference.prediction import COLUMNS

TOP = [
    {"label": "H", "name": "Electricity", "confidence": 0.75},
    {"label": "A", "name": "Human Necessities", "confidence": 0.25},
]
GOOD = dict.fromkeys(COLUMNS) | {
    "id": "EP1",
    "label": "H",
    "name": "Electricity",
    "confidence": 0.75,
    "level": "section",
    "sure": False,
    "section": "H",
    "section_confidence": 0.75,
    "top": TOP,
    "read_share": 0.0,
    "warnings": [{"code": "few_words", "message": "the text has only one word"}],
}
BAD = dict.fromkeys(COLUMNS) | {"id": 'odd, "id"\tünd\nmore', "error": "no text"}


def write(path: Path, *chunks: list[dict[str, Any]]) -> Path:
    with open_sink(path) as sink:
        for chunk in chunks:
            sink.write(chunk)
    return path


def read_csv(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_csv_has_all_columns_and_json_in_top(tmp_path: Path, suffix: str, delimiter: str):
    good, bad = read_csv(write(tmp_path / f"out{suffix}", [GOOD], [BAD]), delimiter)
    assert tuple(good) == COLUMNS
    assert (good["id"], good["label"], float(good["confidence"])) == ("EP1", "H", 0.75)
    assert json.loads(good["top"]) == TOP
    assert json.loads(good["warnings"]) == GOOD["warnings"]
    assert (good["sure"], float(good["read_share"])) == ("False", 0)
    assert good["error"] == good["class"] == good["label_set"] == ""
    assert bad["id"] == BAD["id"]
    assert (bad["label"], bad["top"], bad["error"]) == ("", "", "no text")


def test_json_lines_omit_empty_cells(tmp_path: Path):
    good = GOOD | {"neighbours": ()}
    lines = write(tmp_path / "out.jsonl", [good], [BAD]).read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {key: value for key, value in GOOD.items() if value is not None}
    assert json.loads(lines[0])["sure"] is False
    assert json.loads(lines[0])["read_share"] == 0
    assert json.loads(lines[1]) == {"id": BAD["id"], "error": "no text"}
    assert "ü" in lines[1]


def test_parquet_keeps_types_and_nulls(tmp_path: Path):
    table = pq.read_table(write(tmp_path / "out.parquet", [GOOD], [BAD]))
    assert tuple(table.column_names) == COLUMNS
    assert table.to_pylist() == [GOOD, BAD]


def test_parquet_has_the_same_columns_when_all_rows_fail(tmp_path: Path):
    good = pq.read_schema(write(tmp_path / "good.parquet", [GOOD]))
    bad = pq.read_schema(write(tmp_path / "bad.parquet", [BAD]))
    assert good.equals(bad)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_file_without_rows_is_readable(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"out{suffix}")
    if suffix == ".parquet":
        assert pq.read_table(path).num_rows == 0
    else:
        assert len(path.read_text(encoding="utf-8").splitlines()) == (suffix != ".jsonl")


def test_an_unknown_suffix_is_an_error_that_names_the_known_ones(tmp_path: Path):
    with pytest.raises(DataError, match=r"'\.xlsx' is no known format; use \.csv"):
        write(tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path):
    assert read_csv(write(tmp_path / "OUT.CSV", [GOOD]), ",")[0]["id"] == "EP1"
