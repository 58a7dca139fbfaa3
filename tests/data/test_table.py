"""Options that overrule what is recognised of a table."""

from pathlib import Path

import pytest
from openpyxl import Workbook

from patclass.core.errors import DataError
from patclass.core.settings import TABLE_SETTINGS, DataSettings
from patclass.data.rows import open_table
from patclass.data.sources import open_source
from patclass.data.table import Row, TableOptions


def rows(path: Path, **options: str) -> list[Row]:
    return list(open_table(path, TableOptions(**options)).rows())


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_the_settings_of_a_run_are_the_options():
    assert set(TABLE_SETTINGS) == set(TableOptions.__dataclass_fields__)
    assert TableOptions.of(DataSettings(title="Betreff", sheet="B")) == (
        TableOptions(title="Betreff", sheet="B")
    )


def test_the_name_of_a_setting_in_older_bundles_is_read():
    assert DataSettings.model_validate({"code_column": "CPC"}).codes == "CPC"


def test_a_stated_column_replaces_the_recognised_one(tmp_path: Path):
    path = written(tmp_path / "a.csv", "nr,title,Betreff,cpc,FI\n1,Loom,Webstuhl,A61K,D03D\n")
    table = open_table(path, TableOptions(title="Betreff", codes="FI"))
    assert table.recognised.endswith("; id: nr, title: Betreff, codes: FI")
    assert table.columns == ("nr", "title", "Betreff", "cpc", "FI")
    (row,) = table.rows()
    assert (row.fields["title"], row.fields["codes"], row.id) == ("Webstuhl", "D03D", "1")
    (row,) = table.read(None)
    assert row.fields["title"] == "Loom"


def test_a_column_that_does_not_exist_is_named_with_the_others(tmp_path: Path):
    path = written(tmp_path / "a.csv", "id,title\n1,Loom\n")
    expected = r"abstract 'Kurz': a\.csv has no such column; it has 'id', 'title'\."
    with pytest.raises(DataError, match=expected) as caught:
        rows(path, abstract="Kurz")
    assert caught.value.settings == ("abstract",)


@pytest.mark.parametrize("wanted", [None, ("title",)])
def test_designs_and_withdrawn_patents_are_errors(tmp_path: Path, wanted: tuple[str] | None):
    table = open_table(
        written(
            tmp_path / "a.tsv",
            "patent_id\tpatent_type\ttitle\twithdrawn\n"
            "D912345\tdesign\tChair\t0\n11646472\tutility\tPump\t0\n4000001\tutility\tRoad\t1\n",
        )
    )
    found = [row.error for row in table.rows(wanted)]
    assert found == [
        "a design patent, which has a drawing instead of a text",
        None,
        "withdrawn or deleted",
    ]
    assert [table.with_roles(row).error for row in table.read(None)] == found


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t", "TAB"])
def test_a_delimiter_may_be_named(tmp_path: Path, delimiter: str):
    path = written(tmp_path / "a.csv", "id,b\ttitle,c\n1,2\t3,4\n")
    (row,) = rows(path, delimiter=delimiter)
    assert row.fields == {"id,b": "1,2", "title,c": "3,4"}


def test_any_single_character_may_divide_cells(tmp_path: Path):
    path = written(tmp_path / "a.txt", "id^title\n1^Loom, with a reed\n")
    assert [row.fields for row in rows(path, delimiter="^")] == [
        {"id": "1", "title": "Loom, with a reed"}
    ]


@pytest.mark.parametrize("delimiter", ["", "::", '"', "\n"])
def test_what_is_no_delimiter_is_refused(delimiter: str):
    with pytest.raises(DataError, match="expected one character, such as ';', or 'tab'"):
        TableOptions(delimiter=delimiter)


def test_a_delimiter_that_the_file_lacks_is_refused(tmp_path: Path):
    path = written(tmp_path / "a.csv", "id,title\n1,Loom\n")
    with pytest.raises(DataError, match=r"delimiter ';' stands in none .* leave it out") as caught:
        rows(path, delimiter=";")
    assert caught.value.settings == ("delimiter",)


@pytest.mark.parametrize(
    "encoding", ["cp1252", "shift_jis", "gb18030", "utf-16-le", "UTF8", "iso8859-15"]
)
def test_a_stated_encoding_is_used(tmp_path: Path, encoding: str):
    title = "織機" if encoding in ("shift_jis", "gb18030") else "Gerät"
    path = written(tmp_path / "a.csv", f"id,title\n1,{title}\n", encoding)
    assert [row.fields["title"] for row in rows(path, encoding=encoding)] == [title]


def test_a_mark_does_not_become_a_part_of_the_first_name(tmp_path: Path):
    path = written(tmp_path / "a.csv", '"id","title"\n1,Loom\n', "utf-8-sig")
    assert open_table(path, TableOptions(encoding="utf-8")).columns == ("id", "title")


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "idna", "hex", ""])
def test_an_unknown_encoding_is_refused(encoding: str):
    with pytest.raises(DataError, match="is not known; use a name such as utf-8") as caught:
        TableOptions(encoding=encoding)
    assert caught.value.settings == ("encoding",)


def test_what_cannot_be_decoded_is_an_error_of_its_row(tmp_path: Path):
    path = written(tmp_path / "a.csv", "id,title\n1,Gerät\n2,Loom\n", "cp1252")
    assert [row.error for row in rows(path, encoding="utf-8")] == [
        "undecodable: not UTF-8",
        None,
    ]


def workbook(path: Path) -> Path:
    book = Workbook()
    book.active.append(["id", "title"])
    book.active.append(["1", "Loom"])
    other = book.create_sheet("other")
    other.append(["number", "name"])
    other.append(["2", "Pump"])
    book.save(path)
    return path


def test_a_stated_sheet_is_read(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx")
    table = open_table(path, TableOptions(sheet="other", title="name"))
    assert [row.fields["title"] for row in table.rows()] == ["Pump"]
    assert table.sheets == ("Sheet", "other")


def test_an_unknown_sheet_is_named_with_the_others(tmp_path: Path):
    with pytest.raises(DataError, match=r"has no sheet 'x'; it has Sheet, other"):
        rows(workbook(tmp_path / "a.xlsx"), sheet="x")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.csv", {"sheet": "x"}),
        ("a.xlsx", {"delimiter": ";"}),
        ("a.xlsx", {"encoding": "cp1252"}),
        ("a.jsonl", {"encoding": "cp1252"}),
    ],
)
def test_an_option_that_does_not_apply_is_refused(
    tmp_path: Path, name: str, options: dict[str, str]
):
    path = tmp_path / name
    if path.suffix == ".xlsx":
        workbook(path)
    else:
        written(path, '{"title": "Loom"}\n' if path.suffix == ".jsonl" else "id,title\n1,Loom\n")
    (option,) = options
    with pytest.raises(DataError, match=rf"{option} does not apply to {name}.*leave it out"):
        rows(path, **options)


def test_the_options_apply_to_every_file_of_a_folder(tmp_path: Path):
    for name in ("train.csv", "test.csv"):
        written(tmp_path / name, "nr;Betreff\n1;Webstuhl\n")
    source = open_source(str(tmp_path), TableOptions(title="Betreff"))
    assert "title" in source.columns
    assert [row.fields["title"] for row in source.splits["test"]()] == ["Webstuhl"]
