"""Result files, read back with independent readers."""

import csv
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.data.cells import spreadsheet_text
from patclass.data.rows import open_table
from patclass.data.table import Row, Table
from patclass.inference.prediction import file_columns
from patclass.inference.sinks import OwnColumns, open_sink

TOP = [
    {"label": "H", "name": "Electricity", "confidence": 0.75},
    {"label": "A", "name": "Human Necessities", "confidence": 0.25},
]
COLUMNS = file_columns()
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
            sink.write([Row(1)] * len(chunk), chunk)
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


# The columns of the input


def joined(table: Table, target: Path, columns: list[str] | None = None) -> Path:
    """The rows of a table with one answer for each, as ``classify`` writes them."""
    rows = list(table.read(None))
    answers = [GOOD | {"id": table.with_roles(row).id} for row in rows]
    with open_sink(target, OwnColumns.of(table, columns)) as sink:
        sink.write(rows, answers)
    return target


def table_of(path: Path, text: str) -> Table:
    path.write_text(text, encoding="utf-8", newline="")
    return open_table(path)


def test_the_columns_of_the_input_come_first_as_they_were(tmp_path: Path):
    table = table_of(tmp_path / "in.csv", 'No.,title,note\n"EP1","A ""smart"" loom",a=1+1\n')
    (row,) = read_csv(joined(table, tmp_path / "out.csv"), ",")
    assert tuple(row) == ("No.", "title", "note", *COLUMNS)
    assert (row["No."], row["title"], row["note"]) == ("EP1", 'A "smart" loom', "a=1+1")
    assert (row["id"], row["label"]) == ("1", "H")


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_no_cell_and_no_name_of_a_column_is_a_formula(tmp_path: Path, suffix: str, delimiter: str):
    table = table_of(tmp_path / "in.csv", "id,title,=a,'=a\n=1+1,-0.5,@SUM(1),＝2\n")
    (row,) = read_csv(joined(table, tmp_path / f"out{suffix}"), delimiter)
    assert tuple(row)[:4] == ("id", "title", "'=a", "'=a (input)")
    assert list(row.values())[:4] == ["'=1+1", "-0.5", "'@SUM(1)", "'＝2"]
    line = json.loads(joined(table, tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert (line["id"], line["=a"]) == ("=1+1", "@SUM(1)")
    assert pq.read_table(joined(table, tmp_path / "out.parquet"))["=a"].to_pylist() == ["@SUM(1)"]


def test_a_column_with_the_name_of_an_answer_is_renamed(tmp_path: Path):
    header = "label,label (input),id,confidence"
    table = table_of(tmp_path / "in.csv", f"{header}\nmine,other,EP1,high\n")
    (row,) = read_csv(joined(table, tmp_path / "out.csv"), ",")
    own = ("label (input)", "label (input) (input)", "id", "confidence (input)")
    assert tuple(row) == (*own, *(name for name in COLUMNS if name != "id"))
    assert [row[name] for name in own] == ["mine", "other", "EP1", "high"]
    assert (row["label"], row["confidence"]) == ("H", "0.75")


def test_an_id_is_written_once_and_empty_ones_are_numbered(tmp_path: Path):
    table = table_of(tmp_path / "in.csv", 'title,id\na,"EP1\nEP2"\nb,\n')
    rows = read_csv(joined(table, tmp_path / "out.csv"), ",")
    assert list(rows[0])[:3] == ["title", "id", "label"]
    assert [row["id"] for row in rows] == ["EP1\nEP2", "2"]


def test_chosen_columns_are_written_in_their_order(tmp_path: Path):
    table = table_of(tmp_path / "in.csv", "a,b,c\n1,2,3\n")
    (row,) = read_csv(joined(table, tmp_path / "out.csv", ["c", "a"]), ",")
    assert tuple(row) == ("c", "a", *COLUMNS)
    with pytest.raises(DataError, match=r"columns 'd': in\.csv has no such column; it has 'a'"):
        OwnColumns.of(table, ["a", "d"])


TYPED = pa.table(
    {
        "id": [1, None],
        "year": pa.array([2006, None], pa.int16()),
        "filed": pa.array([date(2026, 1, 31), None]),
        "at": pa.array([datetime(2026, 1, 31, 12), None], pa.timestamp("ms")),
        "share": pa.array([0.5, float("nan")], pa.float32()),
        "codes": pa.array([["A61K", "H04W"], []]),
        "party": pa.array([{"name": "Ö", "no": 1}, None]),
        "office": pa.array(["EP", "US"]).dictionary_encode(),
        "raw": pa.array([b"\xff", b""]),
    }
)


def test_parquet_keeps_the_types_of_parquet(tmp_path: Path):
    pq.write_table(TYPED, tmp_path / "in.parquet")
    table = open_table(tmp_path / "in.parquet")
    found = pq.read_table(joined(table, tmp_path / "out.parquet"))
    own = TYPED.column_names
    assert found.column_names == [*own, *(name for name in COLUMNS if name != "id")]
    assert found["id"].to_pylist() == ["1", "2"]
    for name in own[1:]:
        kind = TYPED.schema.field(name).type
        assert found.schema.field(name).type == (pa.string() if name == "office" else kind), name
        assert repr(found[name].to_pylist()) == repr(TYPED[name].to_pylist()), name


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_typed_values_can_be_written_as_text(tmp_path: Path, suffix: str):
    pq.write_table(TYPED, tmp_path / "in.parquet")
    path = joined(open_table(tmp_path / "in.parquet"), tmp_path / f"out{suffix}")
    if suffix == ".csv":
        first, second = read_csv(path, ",")
        assert (first["filed"], first["year"], second["year"]) == ("2026-01-31", "2006", "")
        assert json.loads(first["codes"]) == ["A61K", "H04W"]
    else:
        first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        assert (first["party"], second["share"]) == ({"name": "Ö", "no": 1}, None)
        assert first["codes"] == ["A61K", "H04W"]


LATE = '{"title": "a", "codes": ["A61K"]}\n' * 100 + '{"title": "b", "late": 1}\n'


def test_json_lines_keep_columns_of_late_lines(tmp_path: Path):
    path = joined(table_of(tmp_path / "in.jsonl", LATE), tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (lines[0]["codes"], lines[-1]["late"], "codes" in lines[-1]) == (["A61K"], 1, False)


def test_columns_of_late_lines_are_counted_where_they_cannot_be_written(tmp_path: Path):
    table = table_of(tmp_path / "in.jsonl", LATE)
    own = OwnColumns.of(table)
    with open_sink(tmp_path / "out.csv", own) as sink:
        rows = list(table.read(None))
        sink.write(rows, [GOOD] * len(rows))
    assert own.late == {"late"}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet='a,;"\t\r\n =é', max_size=6), min_size=1, max_size=5))
def test_any_cells_of_a_csv_file_are_read_back_without_formulas(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
):
    folder = tmp_path_factory.mktemp("sinks")
    rows = [Row(number, {"title": "x", "note": cell}) for number, cell in enumerate(cells, 1)]
    own = OwnColumns({"title": "title", "note": "note"})
    with open_sink(folder / "out.csv", own) as sink:
        sink.write(rows, [GOOD] * len(rows))
    found = read_csv(folder / "out.csv", ",")
    safe = list(map(spreadsheet_text, cells))
    assert [text.removeprefix("'") for text in safe] == cells
    assert [row["note"] for row in found] == safe
    assert [row.fields["note"] for row in open_table(folder / "out.csv").rows()] == safe
