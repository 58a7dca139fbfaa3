"""Uploaded documents and tables, and the table of results."""

import gzip
import io
import json

import pandas as pd
import pytest
from openpyxl import load_workbook

import office_documents as office
from documents import pdf_of
from fake_service import result_of
from patclass.data.table import Row
from patclass.ui.client import PageError
from patclass.ui.files import (
    COLUMNS,
    as_csv,
    as_parquet,
    as_xlsx,
    patent_of,
    patent_of_document,
    read_table,
    results_table,
)


def test_the_text_of_a_pdf_is_extracted():
    assert patent_of_document("a.PDF", pdf_of("A drill bit")).strip() == "A drill bit"


def test_a_pdf_that_only_forbids_printing_is_read():
    assert patent_of_document("a.pdf", pdf_of("A drill bit", password="")).strip() == "A drill bit"


def test_a_long_document_is_truncated_to_the_limit_of_the_service():
    assert len(patent_of_document("a.txt", b"a drill bit " * 20_000)) == 100_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_files_are_read_in_any_common_encoding(encoding: str):
    assert patent_of_document("a.txt", "Bohrmeißel für Löcher".encode(encoding)) == (
        "Bohrmeißel für Löcher"
    )


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.docx", b"x", "not a document of a patent office"),
        ("a.txt", b" \n", "is empty"),
        ("a.pdf", b"no pdf", "not a document of a patent office"),
        ("a.pdf", b"%PDF-1.7\n%%EOF", "damaged, or not a PDF"),
        ("a.pdf", pdf_of(""), "a scan without a text layer"),
        ("a.pdf", pdf_of("secret", password="x"), "protected by a password"),
    ],
)
def test_a_document_without_text_is_refused(name: str, content: bytes, why: str):
    with pytest.raises(PageError, match=why):
        patent_of_document(name, content)


def test_a_document_of_an_office_gives_its_fields():
    patent = patent_of_document("a.xml", office.grant().encode())
    assert isinstance(patent, dict)
    assert (patent["id"], patent["title"]) == ("US11000001B2", "Pump")
    assert patent["abstract"] == office.ABSTRACT
    assert patent["claims"].startswith(office.CLAIM)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (office.grant(kind="S1"), "a design patent"),
        (office.grant() + office.grant("2"), "several patents"),
    ],
)
def test_a_design_and_several_documents_are_told(content: str, why: str):
    with pytest.raises(PageError, match=why):
        patent_of_document("a.xml", content.encode())


def test_a_file_of_documents_is_a_table():
    table = read_table("week.xml", (office.grant() + office.grant(kind="S1")).encode())
    assert table.roles["cpc"] == "codes"
    assert [row.error is None for row in table.rows()] == [True, False]
    patent = patent_of(next(table.rows()), {role: role for role in ("id", "title", "claims")})
    assert patent["claims"] == "1. A pump with a rotor. 2. The pump of claim 1, sealed."


@pytest.mark.parametrize("cut", range(0, 660, 60))
def test_a_damaged_pdf_never_breaks_the_page(cut: int):
    whole = pdf_of("A drill bit")
    assert cut < len(whole)
    try:
        text = patent_of_document("a.pdf", whole[:cut])
    except PageError as error:
        text = error.message
    assert "'a.pdf'" in text or text.strip() == "A drill bit"


PATENTS = pd.DataFrame(
    {"Number": ["EP1", "EP2"], "Title": ["Loom", "Pump"], "Abstract": ["A loom.", "A pump."]}
)


def content_of(kind: str) -> bytes:
    sink = io.BytesIO()
    if kind == "xlsx":
        PATENTS.to_excel(sink, index=False)
    elif kind == "parquet":
        PATENTS.to_parquet(sink, index=False)
    elif kind == "jsonl":
        PATENTS.to_json(sink, orient="records", lines=True)
    else:
        PATENTS.to_csv(sink, index=False, sep="\t" if kind == "tsv" else ",")
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["csv", "tsv", "xlsx", "jsonl", "parquet"])
def test_every_table_format_gives_the_same_patents(kind: str):
    table = read_table(f"patents.{kind}", content_of(kind))
    assert [patent_of(row, table.roles) for row in table.rows()] == [
        {"id": "EP1", "title": "Loom", "abstract": "A loom."},
        {"id": "EP2", "title": "Pump", "abstract": "A pump."},
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.docx", b"x", "not in a supported format"),
        ("a.xml", b"<html></html>", "holds no patent document"),
        ("a.csv", b"", "'a.csv' is empty"),
        ("a.csv", b"title,abstract\n", "has no rows"),
        ("a.xlsx", b"no workbook", "not a workbook"),
        ("a.parquet", b"no parquet", "'a.parquet' is not a readable"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(name: str, content: bytes, why: str):
    with pytest.raises(PageError, match=why) as caught:
        read_table(name, content)
    assert "/tmp" not in caught.value.message


def test_an_unreadable_row_keeps_its_position():
    table = read_table("a.jsonl", b'{"text": "A loom."}\nno json\n{"text": "A pump."}\n')
    assert [row.error is None for row in table.rows()] == [True, False, True]


def test_a_row_without_a_number_gets_its_position():
    row = Row(7, {"t": "A loom.", "n": float("nan"), "e": None})
    assert patent_of(row, {"id": "n", "text": "t", "title": "e"}) == {"id": "7", "text": "A loom."}


@pytest.fixture
def results() -> pd.DataFrame:
    failed = {"id": "EP2", "error": {"code": "text_invalid", "message": "no text"}}
    return results_table([result_of("", id="=EP1"), failed])


def test_results_are_one_row_each(results: pd.DataFrame):
    assert list(results.columns) == COLUMNS
    assert results["Code"][0] == "E21B"
    assert results["Confidence level"][0] == "High"
    assert results["Error"][1] == "no text"


def test_results_are_the_same_in_every_format(results: pd.DataFrame):
    csv = pd.read_csv(io.BytesIO(as_csv(results)))
    xlsx = pd.read_excel(io.BytesIO(as_xlsx(results)), engine="openpyxl")
    parquet = pd.read_parquet(io.BytesIO(as_parquet(results)))
    for table in (csv, xlsx, parquet):
        assert list(table.columns) == COLUMNS
        assert list(table["Code"].fillna("")) == ["E21B", ""]
        assert table["Confidence"][0] == pytest.approx(0.93)
    assert list(parquet["Patent"]) == ["=EP1", "EP2"]


def test_no_cell_of_a_spreadsheet_is_a_formula(results: pd.DataFrame):
    assert "'=EP1" in as_csv(results).decode("utf-8-sig")
    sheet = load_workbook(io.BytesIO(as_xlsx(results))).worksheets[0]
    assert sheet["A2"].value == "=EP1"
    assert (sheet["A2"].data_type, sheet["A2"].quotePrefix) == ("s", True)


def test_no_name_of_a_column_is_a_formula():
    lines = [{"=1+1": "a", "a\u000b": "b", "a ": "c"}]
    found = results_table([result_of("")], read_table("a.json", json.dumps(lines).encode()).cells)
    csv = pd.read_csv(io.BytesIO(as_csv(found)))
    assert list(csv.columns) == ["'=1+1", "a\u000b", "a ", *COLUMNS]
    sheet = load_workbook(io.BytesIO(as_xlsx(found))).worksheets[0]
    assert [cell.value for cell in sheet[1]] == ["=1+1", "a ", "a  (input)", *COLUMNS]
    assert {cell.data_type for cell in sheet[1]} == {"s"}
    assert [cell.value for cell in sheet[2]][:3] == ["a", "b", "c"]


def test_a_table_may_have_any_suffixes_besides_its_own():
    content = b"title\nLoom\n"
    for name in (f"a.{'b' * 300}.csv", "a.CSV", "EP.1.csv"):
        assert read_table(name, content).columns == ["title"], name
    assert read_table("a.csv.GZ", gzip.compress(content)).columns == ["title"]


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.uploads.MAX_ROWS", 2)
    content = "\n".join(json.dumps({"text": "A loom."}) for _ in range(3)).encode()
    with pytest.raises(PageError, match="has more than 2 rows"):
        read_table("a.jsonl", content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_csv_of_any_spreadsheet_is_read(encoding: str, separator: str):
    lines = [["Nummer", "Zusammenfassung"], ["EP1", '"Löcher, und; ""Meißel"""']]
    text = "\r\n".join(separator.join(cells) for cells in lines)
    table = read_table("a.csv", text.encode(encoding))
    assert table.columns == ["Nummer", "Zusammenfassung"]
    patent = patent_of(next(table.rows()), table.roles)
    assert patent["abstract"] == 'Löcher, und; "Meißel"'


def test_characters_that_a_workbook_cannot_store_are_replaced():
    table = results_table([result_of("", id="EP\u000b1")])
    sheet = load_workbook(io.BytesIO(as_xlsx(table))).worksheets[0]
    assert sheet["A2"].value == "EP 1"


def test_lists_and_bytes_are_sent_as_their_texts():
    abstract = [{"text": "Ein Webstuhl.", "language": "de"}, {"text": "A loom.", "language": "en"}]
    row = Row(1, {"t": b"Loom", "a": abstract, "c": ["1. A loom.", "2. A heald."]})
    assert patent_of(row, {"title": "t", "abstract": "a", "claims": "c"}) == {
        "id": "1",
        "title": "Loom",
        "abstract": "A loom.",
        "claims": "1. A loom. 2. A heald.",
    }


def test_a_row_whose_field_is_no_text_says_so():
    assert patent_of(Row(1, {"t": True}), {"title": "t"}) == ("not a text but a value of type bool")
    assert patent_of(Row(1, error="undecodable"), {"title": "t"}) == "undecodable"


def test_long_fields_are_truncated_to_the_limit_of_the_service():
    row = Row(1, {"c": "c" * 90_000, "d": "d" * 200_000, "t": "T"})
    patent = patent_of(row, {"claims": "c", "description": "d", "title": "t"})
    assert sum(len(value or "") for value in patent.values()) < 100_000


OWN = """\
id,title,Code,year,codes,mixed
EP1,Loom,mine,2006,"=1+1",1
EP2,,,,,x
"""


def test_results_stand_beside_the_columns_of_the_file():
    table = read_table("a.csv", OWN.encode())
    own = table.cells
    found = results_table([result_of("", id="EP1"), result_of("", id="EP2")], own)
    assert list(found.columns) == [
        "id",
        "title",
        "Code (input)",
        "year",
        "codes",
        "mixed",
        *COLUMNS,
    ]
    assert list(found["title"]) == ["Loom", ""]
    assert (found["Code (input)"][0], found["Code"][0]) == ("mine", "E21B")
    csv = pd.read_csv(io.BytesIO(as_csv(found)), dtype=str)
    assert (csv["codes"][0], csv["year"][0]) == ("'=1+1", "2006")
    xlsx = load_workbook(io.BytesIO(as_xlsx(found))).active
    assert [cell.value for cell in xlsx[2]][:4] == ["EP1", "Loom", "mine", "2006"]
    parquet = pd.read_parquet(io.BytesIO(as_parquet(found)))
    assert list(parquet.columns) == list(found.columns)


def test_the_cells_of_a_file_keep_their_types_where_they_have_one():
    lines = [
        {"no": 1, "codes": ["A61K"], "any": 1, "share": 0.5, "sure": True},
        {"no": None, "codes": None, "any": "x", "share": None, "sure": False},
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    found = results_table([result_of("")] * 2, read_table("a.jsonl", content).cells)
    assert found["no"].tolist()[0] == 1
    assert str(found["no"].dtype).startswith("int64")
    assert found["codes"][0] == '["A61K"]'
    assert found["any"].tolist() == ["1", "x"]
    assert as_xlsx(found)


def test_a_job_that_was_stopped_has_the_cells_of_its_results():
    table = read_table("a.csv", OWN.encode())
    assert len(results_table([result_of("", id="EP1")], table.cells)) == 1


def test_how_a_file_is_written_can_be_stated():
    content = "id^Titel\n1^Gerät\n".encode("cp1252")
    table = read_table("a.csv", content, "^", "cp1252")
    assert (table.columns, next(table.rows()).fields["Titel"]) == (["id", "Titel"], "Gerät")
    with pytest.raises(PageError, match=r"delimiter ';' stands in none"):
        read_table("a.csv", content, ";")


def test_what_may_have_been_read_wrongly_is_said():
    (doubt,) = read_table("a.csv", b'id,text\n1,"never closed\n2,b\n').doubts
    assert doubt.startswith("1 record with quotation marks that do not fit, e.g. line 2")
