"""Records of delimited text: the quick way of reading them, and what is said of doubtful ones."""

import io
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.data import records
from patclass.data.delimited import recognise
from patclass.data.records import Doubts, Record, read_records

HEADER = "id,title,abstract"


def read(content: str, suffix: str = ".csv") -> list[Record]:
    raw = content.encode()
    return list(read_records(io.BytesIO(raw), recognise(raw, suffix)))


def notes(content: str, suffix: str = ".csv") -> tuple[str, ...]:
    doubts = Doubts()
    for record in read(content, suffix):
        doubts.add(record)
    return doubts.notes()


# The quick way

parts = st.sampled_from(
    ['"', '""', '"""', ',"', '",', '","', "a", "b\u00e4", " ", ",", ";", "\t", "\n", "\r\n", "\x00"]
)
broken = st.lists(parts, max_size=40).map("".join)


@settings(deadline=None, max_examples=400)
@given(broken, st.sampled_from([",", ";", "\t"]))
@example('"a""",b\n"",""\n', ",")
@example('"a\nb""\n\n",c,"d\n1,2,3\n', ",")
def test_the_quick_way_reads_any_text_like_the_strict_way(text: str, delimiter: str):
    content = HEADER.replace(",", delimiter) + "\n" + text
    quick = read(content)
    with mock.patch.object(records, "_quick_record", return_value=(None, 0)):
        assert read(content) == quick


@pytest.mark.parametrize("limit", ["_QUICK_LINES", "MAX_CELL"])
def test_a_very_long_cell_is_left_to_the_strict_way(limit: str, monkeypatch: pytest.MonkeyPatch):
    long = "a b\n" * 30
    content = f'{HEADER}\n1,"{long}",x\n2,"c",d\n'
    expected = read(content)
    monkeypatch.setattr(records, limit, 40 if limit == "MAX_CELL" else 8)
    assert read(content) == expected


# Doubts


def test_ordinary_files_leave_no_doubt():
    text = "\n".join(
        [HEADER, '1,"A ""smart"" pump","A pump,\nwith a valve,\nand 3, 4 or 5"', "2,b,c"]
    )
    assert notes(text) == ()
    assert notes('id\ttitle\n1\tA 3" pump\n2\tA 4" pump, 5\n', ".tsv") == ()
    assert notes(HEADER + "\n1,a,b,,,\n\n2,c,d\n") == ()


def test_marks_that_do_not_fit_are_counted_with_their_first_line():
    text = HEADER + '\n1,a,b\n2,"c,d\n3,e,f\n4,"g" h,i\n'
    (note,) = notes(text)
    assert note.startswith("2 records with quotation marks that do not fit, e.g. line 3; they are")


def test_a_record_that_may_be_several_is_named_with_its_lines():
    inner = "3,Pump,A pump\nwith a seat\n"
    text = f'{HEADER}\n1,a,b\n2,Loom,"A loom\n{inner}and its end"\n7,c,d\n'
    found = read(text)
    assert [record.line for record in found] == [2, 3, 7]
    (note,) = notes(text)
    assert note.startswith("1 record of several lines may be more, e.g. lines 3 to 6, read as one")


def test_records_of_another_width_are_counted():
    short, long = notes(HEADER + "\n1,a\n2\n3,a,b\n4,a,b,c\n")
    assert short == (
        "2 records with fewer cells than the header has columns, e.g. line 2; the last columns are "
        "empty there"
    )
    assert long.startswith("1 record with more cells than the header has columns, e.g. line 5")


def test_doubts_are_forgotten_before_the_next_reading():
    doubts = Doubts()
    doubts.add(Record(3, doubt="quotes"))
    doubts.clear()
    assert doubts.notes() == ()
