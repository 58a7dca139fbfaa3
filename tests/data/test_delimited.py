"""Delimited text of every kind that programs write, broken ones included."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.data.delimited import recognise
from patclass.data.encoding import encoding_of
from patclass.data.records import Record, read_records

quick = settings(deadline=None, max_examples=150)

HEADER = ["id", "title", "abstract"]


def records(content: bytes, suffix: str = ".csv") -> list[Record]:
    return list(read_records(io.BytesIO(content), recognise(content, suffix)))


def cells(content: bytes, suffix: str = ".csv") -> list[tuple[str, ...]]:
    found = records(content, suffix)
    assert [record.error for record in found if record.error] == []
    return [record.cells for record in found]


def table(rows: list[list[str]], delimiter: str = ",") -> str:
    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter).writerows(rows)
    return sink.getvalue()


# Encoding


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_encoding_and_delimiter_is_recognised(encoding: str, found: str, delimiter: str):
    rows = [["1", "Gerät", "Ein Gerät, das misst; groß"], ["2", "Pumpe", "Eine Pumpe | Ventil"]]
    content = table([HEADER, *rows], delimiter).encode(encoding)
    assert encoding_of(content) == found
    assert recognise(content, ".csv").delimiter == delimiter
    assert cells(content) == [tuple(row) for row in rows]


def test_a_few_undecodable_bytes_do_not_change_the_encoding_of_a_file():
    content = table([HEADER, ["1", "Gerät", "größer"], ["2", "x", "y"]]).encode()
    broken = content.replace(b"y\r\n", b"\xe4\r\n")
    assert encoding_of(broken) == "utf-8"
    assert [record.error for record in records(broken)] == [None, "undecodable: not UTF-8"]


# Header


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("", 1),
        ("sep=;\r\n", 2),
        ("search URL:;https://example.org/?q=(pump)&oq=pump\r\n", 2),
        ("\r\n\r\nReport of pumps\r\n\r\n", 5),
        ("Results;20\r\nQuery;ti=pump\r\nDate;2026-01-01\r\nSort;none\r\n\r\n\r\n\r\n", 8),
    ],
)
def test_the_header_is_found_below_other_lines(before: str, line: int):
    rows = [["1", "Pump", "A pump, with a valve"], ["2", "Loom", "A loom"]]
    content = (before + table([HEADER, *rows], ";")).encode()
    dialect = recognise(content, ".csv")
    assert (dialect.header, dialect.delimiter, dialect.columns) == (line, ";", tuple(HEADER))
    assert [record.line for record in records(content)] == [line + 1, line + 2]


def test_without_a_usual_name_the_first_row_of_full_width_is_the_header():
    dialect = recognise(b"My table\n\na;b;c\n1;2;3\n4;5;6\n", ".csv")
    assert (dialect.header, dialect.columns) == (3, ("a", "b", "c"))


def test_a_stated_delimiter_is_taken_even_if_another_would_fit():
    dialect = recognise(b"sep=|\na,b|c,d\n1,2|3,4\n", ".csv")
    assert (dialect.delimiter, dialect.columns) == ("|", ("a,b", "c,d"))


def test_a_header_may_have_cells_of_several_lines():
    content = b'id,"date of\nfiling",title\n1,2026,"A\nloom"\n2,2025,A pump\n'
    assert recognise(content, ".csv").columns == ("id", "date of\nfiling", "title")
    assert cells(content) == [("1", "2026", "A\nloom"), ("2", "2025", "A pump")]


def test_names_of_columns_are_trimmed_and_made_unique():
    dialect = recognise(b"id, title ,title,,title,,\n1,a,b,c,d,,\n", ".csv")
    assert dialect.columns == ("id", "title", "title (2)", "column 4", "title (3)")


def test_a_single_column_is_not_divided():
    assert cells(b'text\nA loom, with a reed; and more\n"A pump"\n') == [
        ("A loom, with a reed; and more",),
        ("A pump",),
    ]


# Nothing vanishes


@pytest.mark.parametrize(
    "line",
    [
        '5\t"Pump 5\tA 3 inch pump',
        '5\t"3" pump\tA 3 inch pump',
        '5\tPump "5\tA 3" pump',
        '5\t"Pump" 5"\tx',
    ],
)
def test_quotation_marks_that_do_not_fit_lose_no_line(line: str):
    others = [f"{number}\tPump {number}\tA pump." for number in (1, 2, 3, 4, 6, 7, 8)]
    lines = ["\t".join(HEADER), *others[:4], line, *others[4:]]
    found = records("\n".join(lines).encode(), ".tsv")
    assert [record.cells[0] for record in found] == list("12345678")
    assert found[4].cells[1].strip('"').startswith(("Pump", "3"))


def test_a_quoted_cell_may_have_lines_delimiters_and_quotation_marks():
    rows = [["1", "Pump", 'A "pump",\nwith a valve,\nand a seat,\n'], ["2", "Loom", "A loom"]]
    assert cells(table([HEADER, *rows]).encode()) == [tuple(row) for row in rows]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_separates_records(ending: str):
    content = ending.join(["id,title", "1,a", "2,b", ""]).encode()
    assert cells(content) == [("1", "a"), ("2", "b")]


def test_trailing_delimiters_and_missing_cells_are_no_errors():
    content = b"id,title,abstract\n1,a,b,,,\n2,c\n,,\n3,d,e\n"
    assert cells(content) == [("1", "a", "b"), ("2", "c", ""), ("", "", ""), ("3", "d", "e")]


def test_a_record_with_more_cells_is_an_error_with_its_line():
    found = records(b"id,title\n1,a\n2,b,c\n3,d\n")
    assert [record.error is None for record in found] == [True, False, True]
    assert (found[1].line, found[1].error) == (3, "more cells than the header has columns")


def test_a_nul_is_a_space_and_a_cell_may_be_long():
    long = "word " * 140_000
    assert cells(b"id,title\n1,a\x00b\n2," + long.encode() + b"\n") == [("1", "a b"), ("2", long)]


marks = st.sampled_from(['"', '""', ',"', '",'])
broken_lines = st.lists(
    st.text(alphabet="ab1,;\t|\"' \x00\u00e4", max_size=12) | marks, max_size=12
)


@quick
@given(broken_lines, st.sampled_from([",", ";", "\t"]))
def test_every_line_of_a_broken_table_is_in_a_record(lines: list[str], delimiter: str):
    header = delimiter.join(HEADER)
    content = "\n".join([header, *lines]).encode()
    dialect = recognise(content)
    if dialect.delimiter != delimiter:
        return  # the lines outnumber the header
    found = list(read_records(io.BytesIO(content), dialect))
    starts = [record.line for record in found]
    assert starts == sorted(set(starts))
    # A line is the first of a record, within a quoted cell of one, or empty.
    text = content.decode().split("\n")
    for number, line in enumerate(text[dialect.header :], dialect.header + 1):
        if not line.strip("\r") or number in starts:
            continue
        owner = max((record for record in found if record.line < number), key=lambda r: r.line)
        assert owner.error or line.split('"')[0].replace("\x00", " ") in "\n".join(owner.cells)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    """A delimiter and rows, in any cell of which it occurs once at most."""
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    part = st.text(alphabet='ab "\n\u00e4', max_size=8)
    cell = st.tuples(part, st.sampled_from(["", delimiter]), part).map("".join)
    rows = draw(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=1, max_size=8))
    return delimiter, rows


@quick
@given(written())
def test_a_well_written_table_is_read_as_it_was_written(written: tuple[str, list[list[str]]]):
    delimiter, rows = written
    content = table([HEADER, *rows], delimiter).encode()
    assert cells(content) == [tuple(row) for row in rows]
