import csv
import gzip
import json
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import office_documents as office
from patclass.core.errors import DataError
from patclass.data.encoding import encoding_of, is_wide
from patclass.data.rows import columns_of, open_table, read_rows
from patclass.data.table import Row
from patclass.data.wrong_files import check_columns, check_content

quick = settings(deadline=None, max_examples=60)

cells = st.fixed_dictionaries({"id": st.text(max_size=20), "text": st.text(max_size=20)})
json_values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property: each overwrites the previous file."""
    return tmp_path_factory.mktemp("rows")


def rows_of(path: Path, content: bytes) -> list[Row]:
    path.write_bytes(content)
    return list(read_rows(path))


def parquet(path: Path, rows: int = 600, **options: object) -> Path:
    table = pa.table(
        {
            "text": [f"text {number} of many different ones" for number in range(rows)],
            "codes": [["A61K", f"H{number % 90:02}"] for number in range(rows)],
            "year": [None if number % 2 else number for number in range(rows)],
        }
    )
    pq.write_table(table, path, **options)
    return path


# CSV and TSV


@quick
@given(st.lists(cells, min_size=1, max_size=6))
@pytest.mark.parametrize(("name", "delimiter"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_any_unicode_cells_survive_a_csv_file(
    folder: Path, name: str, delimiter: str, rows: list[dict[str, str]]
):
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    # A NUL is in no text, and no database keeps one.
    expected = [{name: text.replace("\x00", " ") for name, text in row.items()} for row in rows]
    assert [row.fields for row in read_rows(path)] == expected
    assert columns_of(path) == ["id", "text"]
    assert open_table(path).estimate() == len(rows)


@quick
@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b'"', b",", b"a,b", b"\xff,\x00", b"\r"]))
)
def test_no_bytes_of_a_csv_file_raise_anything_but_a_data_error(folder: Path, lines: list[bytes]):
    try:
        rows = rows_of(folder / "bytes.csv", b"\n".join(lines))
        columns = columns_of(folder / "bytes.csv")
    except DataError:
        rows, columns = [], []
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert all(list(row.fields) == columns for row in rows)
    assert all(isinstance(column, str) for column in columns)


def test_quotes_commas_and_newlines_stay_inside_their_cell(tmp_path: Path):
    content = b'id,text\n1,"A ""smart"" valve,\nwith a seat"\r\n2,plain\n'
    assert [row.fields for row in rows_of(tmp_path / "a.csv", content)] == [
        {"id": "1", "text": 'A "smart" valve,\nwith a seat'},
        {"id": "2", "text": "plain"},
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "A.CSV"])
def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path, name: str):
    rows = rows_of(tmp_path / name, b"\xef\xbb\xbftext\na valve\n")
    assert columns_of(tmp_path / name) == ["text"]
    assert rows == [Row(1, {"text": "a valve"})]


def test_a_csv_row_that_is_not_utf8_is_an_error_in_place(tmp_path: Path):
    content = b"id,text\n1,good\n2,caf\xe9\n3,caf\xc3\xa9\n"
    rows = rows_of(tmp_path / "a.csv", content)
    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[1] == Row(2, {"id": "2", "text": "caf\ufffd"}, "undecodable: not UTF-8")
    assert rows[2].fields["text"] == "café"


def test_a_csv_row_with_too_many_cells_is_an_error_and_one_with_too_few_has_none(tmp_path: Path):
    rows = rows_of(tmp_path / "a.csv", b"id,text\n1,a,b\n2\n3,c\n")
    assert rows[0] == Row(1, {"id": "1", "text": "a"}, "more cells than the header has columns")
    assert rows[1].fields == {"id": "2", "text": ""}
    assert rows[2].fields == {"id": "3", "text": "c"}


def test_a_cell_longer_than_the_limit_of_the_csv_module_is_read(tmp_path: Path):
    rows = rows_of(tmp_path / "a.csv", b"text\n" + b"word " * 60_000 + b"\n")
    assert [len(row.fields["text"]) for row in rows] == [300_000]


def test_tabs_separate_the_cells_of_a_tsv_file_and_commas_do_not(tmp_path: Path):
    rows = rows_of(tmp_path / "a.tsv", b"id\ttext\n1\tone, two\n")
    assert rows == [Row(1, {"id": "1", "text": "one, two"})]


def test_the_columns_are_the_keys_of_the_rows_even_if_the_header_is_not_utf8(tmp_path: Path):
    rows = rows_of(tmp_path / "a.csv", b"id,r\xe9sum\xe9\n1,a valve\n")
    assert list(rows[0].fields) == columns_of(tmp_path / "a.csv")


# JSONL


def is_refused(names: Iterable[str]) -> bool:
    """Whether a table of such columns is told to be no list of patents, as one of trademarks."""
    try:
        check_columns(Path("rows.jsonl"), [*names])
    except DataError:
        return True
    return False


@quick
@given(
    st.lists(st.dictionaries(st.text(), json_values, min_size=1), min_size=1, max_size=5),
    st.booleans(),
)
def test_any_unicode_values_survive_a_jsonl_file(
    folder: Path, rows: list[dict[str, object]], ascii_only: bool
):
    assume(not is_refused(dict.fromkeys(key for row in rows for key in row)))
    lines = [json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows]
    found = rows_of(folder / "rows.jsonl", "".join(lines).encode())
    own = [{key: row.fields[key] for key in given} for row, given in zip(found, rows, strict=True)]
    assert own == rows  # a role may have been added
    assert set(columns_of(folder / "rows.jsonl")) >= {key for row in rows for key in row}


@quick
@example(
    [b"\xef\xbb\xbf", b"\x00", b"\r", b"{}\r", b"nan", b'{"a":1}{', b"[" * 90_000, b"9" * 5_000]
)
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b'{"a": 1}', b"[]", b'{"a": "\xff"}'])))
def test_no_line_of_a_jsonl_file_is_lost_or_raises(folder: Path, lines: list[bytes]):
    content = b"\n".join(lines)
    assume(not content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1")))  # other formats
    with suppress(DataError):
        check_content(folder, content)
        _check_lines(folder, content)


def _check_lines(folder: Path, content: bytes) -> None:
    original, encoding = content, encoding_of(content)
    if is_wide(encoding):
        content = content.decode(encoding, "replace").encode()
    expected = sum(bool(line.strip()) for line in content.split(b"\n"))
    try:
        rows = rows_of(folder / "bytes.jsonl", original)
    except DataError:
        rows = []
    assert [row.number for row in rows] == list(range(1, expected + 1))
    assert all(row.error is None or not row.fields or "\ufffd" in str(row.fields) for row in rows)


def test_malformed_lines_are_errors_in_place_with_a_reason(tmp_path: Path):
    content = b'{"id": 1}\n{"id": \n[1, 2]\n{"id": "\xff"}\n\n{"id": "\xc3\x96"}\n'
    rows = rows_of(tmp_path / "a.jsonl", content)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].fields == {"id": 1}
    assert rows[1].error is not None
    assert rows[1].error.startswith("undecodable: not JSON (")
    assert rows[2].error == "undecodable: not a JSON object"
    assert rows[3].error == "undecodable: not UTF-8"
    assert rows[4].fields == {"id": "Ö"}


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ", UTF-16"),
        ("utf-16-le", ", UTF-16"),
        ("utf-16-be", ", UTF-16"),
        ("utf-32", ", UTF-32"),
        ("cp1252", ", Windows-1252"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl", "jsonl.gz"])
def test_json_is_read_in_the_encodings_of_other_tables(
    tmp_path: Path, encoding: str, name: str, suffix: str
):
    expected = [{"id": f"EP{number}", "text": "Ein Bohrmeißel – größer."} for number in range(9)]
    lines = [json.dumps(row, ensure_ascii=False) for row in expected]
    text = f"[{', '.join(lines)}]" if suffix == "json" else "\n\n".join(lines)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes((gzip.compress if path.suffix == ".gz" else bytes)(text.encode(encoding)))
    table = open_table(path)
    assert table.form.endswith(("document" if suffix == "json" else "lines") + name)
    assert [row.fields for row in table.rows()] == expected
    assert table.estimate() == 9


def test_what_windows_1252_does_not_have_is_an_error_of_its_line(tmp_path: Path):
    rows = rows_of(tmp_path / "a.jsonl", b'{"id": "\xd6"}\n{"id": "\x81"}\n')
    assert [row.error for row in rows] == [None, "undecodable: not Windows-1252"]
    (tmp_path / "a.json").write_bytes(b'[{"id": "\xd6"}, {"id": "\x81"}]')
    with pytest.raises(DataError, match=r"a.json is no text in UTF-8, UTF-16 or Windows-1252"):
        open_table(tmp_path / "a.json")


def nested(depth: int) -> str:
    more = "[" * depth + '"\\u00d6"' + "]" * depth
    return f'{{"id": 1, "text": "A loom.", "more": {more}}}'


@pytest.mark.parametrize("depth", [100, 980, 5_000])
def test_a_row_nested_too_deeply_has_an_error(tmp_path: Path, depth: int):
    lines = f"{nested(depth)}\n{nested(99)}\n"
    first, second = rows_of(tmp_path / "a.jsonl", lines.encode())
    assert str(first.error).startswith("undecodable: ")
    assert "nested" in str(first.error)
    assert (second.error, second.id) == (None, "1")


def test_a_document_nested_too_deeply_is_refused_or_its_row_has_an_error(tmp_path: Path):
    (row,) = rows_of(tmp_path / "a.json", f"[{nested(500)}]".encode())
    assert row.error == "undecodable: nested more than 100 deep"
    (tmp_path / "a.json").write_text(f"[\n{nested(5_000)}]")
    with pytest.raises(DataError, match=r"a.json is not JSON: nested too deeply\."):
        open_table(tmp_path / "a.json")


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path: Path):
    assert rows_of(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"id": 1}') == [Row(1, {"id": 1})]


@pytest.mark.parametrize("line", [b'{"text": "a \\ud800 b"}', b'{"text": ["\\udc00"]}'])
def test_a_lone_surrogate_is_an_error(tmp_path: Path, line: bytes):
    (row,) = rows_of(tmp_path / "a.jsonl", line)
    assert row.error is not None
    assert row.error.startswith("undecodable")


def test_the_columns_of_a_jsonl_file_are_the_keys_of_its_first_hundred_rows(tmp_path: Path):
    lines = ['{"text": "a", "id": 1}', *['{"id": 1}'] * 98, '{"late": 1}', '{"too_late": 1}']
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    assert columns_of(path) == ["text", "id", "late"]


# Parquet


def test_parquet_rows_keep_order_and_types(tmp_path: Path):
    path = parquet(tmp_path / "a.parquet")
    rows = list(read_rows(path))
    assert [row.number for row in rows] == list(range(1, 601))
    assert rows[590].fields == {
        "text": "text 590 of many different ones",
        "codes": ["A61K", "H50"],
        "year": 590,
        **{"cpc": ["A61K", "H50"], "date": 590},
    }
    assert rows[591].fields["year"] is None
    assert columns_of(path) == ["text", "codes", "year", "cpc", "date"]
    assert open_table(path).estimate() == 600


@pytest.mark.parametrize("spoil", [lambda content: content[:-40], lambda content: b"garbage" * 40])
@pytest.mark.parametrize("use", [columns_of, lambda path: list(read_rows(path))])
def test_a_truncated_or_invalid_parquet_file_is_named(tmp_path: Path, spoil: object, use: object):
    path = parquet(tmp_path / "a.parquet")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.parquet is not a readable Parquet file"):
        use(path)


def test_corruption_inside_a_parquet_file_is_reported_after_the_preceding_rows(tmp_path: Path):
    path = parquet(tmp_path / "a.parquet", row_group_size=300)
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    rows = read_rows(path)
    read = []
    with pytest.raises(DataError, match=r"a\.parquet is corrupt after row \d+: "):
        read.extend(row.number for row in rows)
    assert read[:256] == list(range(1, 257))


def test_a_parquet_string_that_is_not_utf8_is_a_data_error(tmp_path: Path):
    path = tmp_path / "a.parquet"
    strings = pa.array([b"good", b"caf\xe9", b"good"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": strings}), path)
    try:
        errors = [row.error is not None for row in read_rows(path)]
    except DataError as problem:
        errors = str(problem)
    assert errors == [False, True, False] or "a.parquet" in errors


# All formats

USES = [columns_of, read_rows]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_an_empty_file_is_named(tmp_path: Path, suffix: str, use: object):
    path = tmp_path / f"a.{suffix}"
    path.touch()
    with pytest.raises(DataError, match=rf"a\.{suffix} is empty"):
        use(path)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str, use: object):
    with pytest.raises(DataError, match=rf"cannot read .*a\.{suffix}: No such file"):
        use(tmp_path / f"a.{suffix}")


def test_a_folder_is_not_a_file(tmp_path: Path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*a\.csv: Is a directory"):
        read_rows(tmp_path / "a.csv")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("name", "shown"), [("a.docx", ".docx"), ("patents", "patents")])
def test_an_unknown_format_is_named_with_the_known_ones(
    tmp_path: Path, name: str, shown: str, use: object
):
    expected = rf"{name}: '{shown}' is no known format; use \.csv, \.tsv, \.txt"
    with pytest.raises(DataError, match=expected):
        use(tmp_path / name)


def test_one_stray_quotation_mark_does_not_swallow_a_whole_file(tmp_path: Path):
    lines = ["id,text\n", '1,"never closed\n'] + [f"{n},{'x' * 1000}\n" for n in range(2, 8000)]
    (tmp_path / "a.csv").write_text("".join(lines), encoding="utf-8")
    found = list(read_rows(tmp_path / "a.csv"))
    assert [row.fields["id"] for row in found] == [str(number) for number in range(1, 8000)]
    assert found[0].fields["text"] == '"never closed'


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip", "a.jsonl"])
def test_the_number_of_rows_of_a_long_file_is_estimated(tmp_path: Path, name: str):
    line = '{"text": "%s"}\n' if ".jsonl" in name else '1,"%s"\n'
    content = "id,text\n" if ".csv" in name else ""
    content += "".join(line % ("word, " * (40 + number % 9)) for number in range(10_000))
    path = tmp_path / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
    else:
        path.write_text(content, encoding="utf-8")
    assert open_table(path).estimate() == pytest.approx(10_000, rel=0.01)


def test_a_file_of_patent_documents_is_a_table_with_an_error_for_what_has_no_text(tmp_path: Path):
    path = tmp_path / "week.dat"
    path.write_text(office.grant("11000001") + office.grant("900001", "S1"))
    table = open_table(path)
    assert (table.form, table.roles["cpc"]) == ("patent documents in XML", "codes")
    first, design = table.rows(("id", "claims"))
    assert (first.id, first.fields["claims"][0], first.error) == (
        "US11000001B2",
        office.CLAIM,
        None,
    )
    assert (design.id, design.fields["claims"]) == ("US900001S1", None)
    assert "design patent" in str(design.error)
    assert next(table.rows(("title",))).fields["description"] == ""


@pytest.mark.parametrize(
    ("before", "between", "form"),
    [('{"count": 2, "patents": [', ", ", "document"), ("", "\n", "lines")],
)
def test_json_of_one_long_line_is_told_from_long_lines(
    tmp_path: Path, before: str, between: str, form: str
):
    rows = [json.dumps({"id": id, "text": "x" * 1_100_000}) for id in "ab"]
    (tmp_path / "a.json").write_text(before + between.join(rows) + ("]}" if before else ""))
    table = open_table(tmp_path / "a.json")
    assert form in table.form
    assert [row.id for row in table.rows()] == ["a", "b"]


@pytest.mark.parametrize(
    ("members", "form", "ids"),
    [
        ({"a.csv": b"id,title\n1,Pump\n", "b.pdf": b"%PDF-1.7"}, "read as ','", ["1"]),
        ({"a.xml": office.grant().encode(), "list.csv": b"x"}, "XML, list.csv", ["US11000001B2"]),
    ],
)
def test_of_tables_and_documents_in_one_archive_the_patents_are_read(
    tmp_path: Path, members: dict[str, bytes], form: str, ids: list[str]
):
    with zipfile.ZipFile(tmp_path / "export.2024.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    table = open_table(tmp_path / "export.2024.zip")
    assert form in table.form.replace("export.2024.zip/", "")
    assert [row.id for row in table.rows()] == ids


def test_a_role_has_the_column_that_is_filled(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("id,Title (English),Title,CPC,CPC Codes\n1,,Webstuhl,,D03D\n2,,Pumpe,,\n")
    assert open_table(path).roles == {"id": "id", "title": "Title", "cpc": "CPC Codes"}
    path.write_text("id,Title (English),Title\n1,Loom,Webstuhl\n2,,Pumpe\n")
    assert open_table(path).roles["title"] == "Title (English)"


@pytest.mark.parametrize("others", [("readme.txt",), ("._a.csv", "__MACOSX/._a.csv"), (".b.csv",)])
def test_a_table_is_found_beside_other_packed_files(tmp_path: Path, others: tuple[str, ...]):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*others, "folder/a.csv"):
            archive.writestr(name, "id,title\n1,Loom\n")
    assert [row.fields for row in read_rows(path)] == [{"id": "1", "title": "Loom"}]
    assert open_table(path).estimate() == 1


def test_a_packed_file_without_a_suffix_is_recognised_by_its_content(tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"id,title\n1,Loom\n"))
    assert [row.fields for row in read_rows(tmp_path / "a.gz")] == [{"id": "1", "title": "Loom"}]
    (tmp_path / "a.doc.gz").write_bytes(gzip.compress(b"id,title\n1,Loom\n"))
    with pytest.raises(DataError, match="is no known format"):
        open_table(tmp_path / "a.doc.gz")


@pytest.mark.parametrize(
    "form", ['[{"id": "1", "title": "Loom"}]', '{"id": "1", "title": "Loom"}\n']
)
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.tsv.gz", "a.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_recognised_under_another_name(tmp_path: Path, form: str, name: str, encoding: str):
    content = form.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table = open_table(tmp_path / name)
    assert "JSON" in table.form
    assert [row.fields for row in table.rows()] == [{"id": "1", "title": "Loom"}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_long_table_in_wide_characters_is_no_binary_file(tmp_path: Path, encoding: str):
    content = "id,title\n" + "1,Pump with a rotor\n" * 300
    (tmp_path / "a.csv").write_bytes(content.encode(encoding))
    assert {row.fields["title"] for row in open_table(tmp_path / "a.csv").rows()} == {
        "Pump with a rotor"
    }
