import io
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from patclass.core.errors import DataError
from patclass.data.rows import open_table
from patclass.data.sheets import Sheet, fields_of, open_sheet

ROWS = [["id", "title", "year"], ["EP1", "Loom", 2006], ["EP2", "Pump", 2007.5]]


def workbook(**sheets: list[list[object]]) -> io.BytesIO:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    sink = io.BytesIO()
    book.save(sink)
    sink.seek(0)
    return sink


def rows_of(sheet: Sheet) -> list[tuple[int, dict[str, object]]]:
    return [(number, fields_of(sheet.columns, values)) for number, values in sheet.rows()]


def test_the_rows_have_plain_values():
    sheet = open_sheet("a.xlsx", workbook(first=[*ROWS, [None, "Seat", date(2026, 1, 31)]]))
    assert sheet.columns == ("id", "title", "year")
    assert rows_of(sheet) == [
        (2, {"id": "EP1", "title": "Loom", "year": 2006}),
        (3, {"id": "EP2", "title": "Pump", "year": 2007.5}),
        (4, {"id": "", "title": "Seat", "year": "2026-01-31"}),
    ]


@pytest.mark.parametrize(
    "before", [[], [[None]], [["Report"], [None], ["Query", "ti=pump"], [None]]]
)
def test_the_header_is_found_below_other_rows(before: list[list[object]]):
    sheet = open_sheet("a.xlsx", workbook(first=[*before, *ROWS]))
    assert sheet.header == len(before) + 1
    assert [fields["id"] for _, fields in rows_of(sheet)] == ["EP1", "EP2"]


def test_the_sheet_with_usual_names_is_taken_unless_another_is_wanted():
    book = {"notes": [["made by", "me"], ["on", "Monday"]], "patents": ROWS}
    assert open_sheet("a.xlsx", workbook(**book)).name == "patents"
    assert open_sheet("a.xlsx", workbook(**book), "notes").columns == ("made by", "me")
    with pytest.raises(DataError, match=r"a\.xlsx has no sheet 'x'; it has notes, patents"):
        open_sheet("a.xlsx", workbook(**book), "x")


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_read_only_if_it_is_wanted(state: str):
    book = load_workbook(
        workbook(old=[[*ROWS[0], "abstract"], ["EP9", "Seat", 1999, "x"]], new=ROWS)
    )
    book["old"].sheet_state = state
    sink = io.BytesIO()
    book.active = 1
    book.save(sink)
    assert open_sheet("a.xlsx", io.BytesIO(sink.getvalue())).name == "new"
    assert open_sheet("a.xlsx", io.BytesIO(sink.getvalue()), "old").name == "old"


def test_other_sheets_with_the_same_columns_are_named(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(one=ROWS, notes=[["by", "me"]], two=ROWS).getvalue())
    line = open_table(path).recognised
    assert "read from sheet 'one' ('two' with the same columns not read), header in row 1" in line


@pytest.mark.parametrize("content", [b"no workbook", b"PK\x03\x04broken"])
def test_what_is_no_workbook_is_refused(content: bytes):
    with pytest.raises(DataError, match=r"a\.xlsx is damaged or not a workbook"):
        open_sheet("a.xlsx", io.BytesIO(content))


def test_cells_right_of_the_named_columns_are_kept():
    sheet = open_sheet("a.xlsx", workbook(first=[*ROWS, ["EP3", "Seat", 2008, None, "new"]]))
    assert [fields for _, fields in rows_of(sheet)][-1]["column 5"] == "new"
    assert "column 4" not in rows_of(sheet)[-1][1]


def test_an_empty_workbook_is_refused():
    with pytest.raises(DataError, match=r"a\.xlsx is empty"):
        open_sheet("a.xlsx", workbook(first=[]))


def test_a_workbook_is_recognised_by_its_content(tmp_path: Path):
    path = tmp_path / "export.csv"
    path.write_bytes(workbook(first=ROWS).getvalue())
    table = open_table(path)
    assert table.recognised == (
        "export.csv: read from sheet 'first', header in row 1; id, title, date: year"
    )
    assert [row.fields["date"] for row in table.rows()] == [2006, 2007.5]
