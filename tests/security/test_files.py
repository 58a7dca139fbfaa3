"""Hostile files: what a few bytes of a file can ask for is bounded, and said."""

import gzip
import io
import json
import resource
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, NameObject

import hostile
import office_documents as office
from documents import pdf_of
from helpers import ROOT, full
from patclass.core import bounded
from patclass.core.bounded import Limits, call
from patclass.core.errors import DataError, PatclassError
from patclass.data import packed, records, sheets
from patclass.data import parquet as patclass_parquet
from patclass.data.documents import documents_of, elements, pdf
from patclass.data.documents.document import RejectedDocument
from patclass.data.rows import open_table
from patclass.data.sheets import read_sheet
from patclass.ui.client import PageError
from patclass.ui.files import patent_of_document, read_table


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in processes with limits, as the page does."""
    monkeypatch.setattr(bounded, "_limited", False)


# Workbooks

_HEADER = "<row r='1'><c r='A1' t='inlineStr'><is><t>title</t></is></c></row>"
_NAMES = "http://schemas.openxmlformats.org"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def workbook(rows: str) -> bytes:
    """An XLSX of one sheet with a header and further rows, in XML."""
    document = f"{_NAMES}/officeDocument/2006/relationships"
    main = f"xmlns='{_NAMES}/spreadsheetml/2006/main'"
    relations = f"xmlns='{_NAMES}/package/2006/relationships'"
    parts = {
        "[Content_Types].xml": f"<Types xmlns='{_NAMES}/package/2006/content-types'>"
        f"<Override PartName='/xl/workbook.xml' ContentType='{_TYPES}.sheet.main+xml'/>"
        f"<Override PartName='/xl/sheet.xml' ContentType='{_TYPES}.worksheet+xml'/></Types>",
        "_rels/.rels": f"<Relationships {relations}><Relationship Id='a' "
        f"Type='{document}/officeDocument' Target='xl/workbook.xml'/></Relationships>",
        "xl/workbook.xml": f"<workbook {main} xmlns:r='{document}'><sheets>"
        "<sheet name='a' sheetId='1' r:id='b'/></sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f"<Relationships {relations}><Relationship Id='b' "
        f"Type='{document}/worksheet' Target='sheet.xml'/></Relationships>",
        "xl/sheet.xml": f"<worksheet {main}><sheetData>{_HEADER}{rows}</sheetData></worksheet>",
    }
    return zipped(parts)


def zipped(files: "dict[str, str] | dict[str, bytes]") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def xls() -> bytes:
    """A workbook of Excel 97 with two cells in a compound file: header, directory, one stream."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    def label(row: int, text: bytes) -> bytes:
        return record(0x204, struct.pack("<HHHHB", row, 0, 0, len(text), 0) + text)

    sheet = record(0x809, struct.pack("<HHHHII", 0x600, 16, 0, 0, 0, 0)) + label(0, b"title")
    sheet += label(1, b"Loom") + record(10, b"")
    start = 20 + 13 + 4  # where the records of the sheet begin
    book = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
    book += record(0x85, struct.pack("<IBBBB", start, 0, 0, 1, 0) + b"a") + record(10, b"")
    stream = (book + sheet).ljust(4096, b"\0")
    free, end = 0xFFFFFFFF, 0xFFFFFFFE
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    head += struct.pack("<HHHHHHIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, 1, 1)
    head += struct.pack("<IIIIII", 0, 4096, end, 0, end, 0) + struct.pack("<I", 0)
    head += struct.pack("<I", free) * 108
    table = [0xFFFFFFFD, end, *range(3, 10), end]
    fat = struct.pack("<128I", *table, *[free] * (128 - len(table)))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = name.encode("utf-16-le") + b"\0\0"
        place = struct.pack("<HBBIII", len(text), kind, 1, free, free, child)
        return text.ljust(64, b"\0") + place + bytes(36) + struct.pack("<IQ", start, size)

    folder = entry("Root Entry", 5, 1, end, 0) + entry("Workbook", 2, free, 2, 4096)
    return head + fat + folder.ljust(512, b"\0") + stream


def cell(place: str, row: str) -> str:
    return f"<row r='{row}'><c r='{place}{row}' t='inlineStr'><is><t>x</t></is></c></row>"


@pytest.mark.parametrize(
    ("column", "row"), [("A", "99999999999"), ("XFD", "1048576"), ("ZZZZZZ", "2")]
)
@pytest.mark.usefixtures("limits")
def test_a_workbook_with_a_cell_far_away_is_refused(tmp_path: Path, column: str, row: str):
    path = tmp_path / "far.xlsx"
    path.write_bytes(workbook(cell(column, row)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        DataError, match=r"far\.xlsx .* (memory|damaged).*save it as (XLSX or )?CSV"
    ):
        open_table(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_sheet_that_is_larger_than_any_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(cell("C", "7")))
    assert read_sheet(path).count == 1
    for limit, value in (("MAX_ROWS", 6), ("MAX_COLUMNS", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(sheets, limit, value)
            with pytest.raises(DataError, match="cells up to row 7 and column 3, of at most"):
                read_sheet(path)


def test_the_rows_of_a_workbook_are_deleted_with_it(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook(cell("A", "2")))
    sheet = read_sheet(path)
    stored = sheet.file
    assert [fields for _, fields in sheet.rows()] == [{"title": "x"}]
    del sheet
    assert not stored.parent.exists()


# A process with limits


TIGHT = Limits(memory=1 << 29, seconds=1, remedy="Split it.")


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, limits: None) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))


@pytest.mark.usefixtures("importable")
def test_memory_and_time_of_a_process_are_limited():
    assert call(hostile.take, TIGHT, "a.xlsx", megabytes=10) == 10 << 20
    with pytest.raises(DataError, match=r"^a\.xlsx needs more than 512 MB .* Split it\.$"):
        call(hostile.take, TIGHT, "a.xlsx", megabytes=2000)
    with pytest.raises(DataError, match=r"^a\.xlsx takes more than 1 seconds .* Split it\.$"):
        call(hostile.turn, TIGHT, "a.xlsx")


@pytest.mark.usefixtures("importable")
def test_a_process_that_fails_is_an_error_of_the_file(caplog: pytest.LogCaptureFixture):
    with pytest.raises(DataError, match=r"a\.xls needs more than .* or is damaged"):
        call(hostile.abort, TIGHT, "a.xls")
    with pytest.raises(DataError, match=r"a\.xls cannot be read, as it seems to be damaged"):
        call(hostile.fail, TIGHT, "a.xls", text="the text of a patent")
    assert "ZeroDivisionError in " in caplog.text
    assert "the text of a patent" not in caplog.text
    with pytest.raises(DataError, match="sheet 'x' is missing") as caught:
        call(hostile.refuse, TIGHT, "a.xls")
    assert caught.value.settings == ("sheet",)


@pytest.mark.usefixtures("importable")
def test_a_process_that_reads_files_has_no_secrets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATCLASS_API_KEY", "secret")
    found = call(hostile.talk, TIGHT, "a.xls")
    assert "PATH" in found
    assert not [name for name in found if name.startswith("PATCLASS")]


# Parquet


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_statistics=False, store_schema=False)
    return sink.getvalue()


def test_texts_that_are_stored_once_are_not_unfolded_for_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(pa.table({"title": pa.array(["x" * 100_000] * 700)})))
    assert path.stat().st_size < 2_000
    monkeypatch.setattr(patclass_parquet, "_MAX_BATCH_BYTES", 1_000_000)
    sizes: list[int] = []
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", counting(pq.ParquetFile.iter_batches, sizes)
    )
    assert sum(len(row.fields["title"]) for row in open_table(path).rows()) == 70_000_000
    assert max(sizes) == 9
    monkeypatch.setattr("patclass.ui.uploads.MAX_TABLE_CHARACTERS", 5_000_000)
    with pytest.raises(PageError, match=r"'b\.parquet' has more than 5,000,000 characters"):
        read_table("b.parquet", path.read_bytes())


def counting(batches: Callable[..., Iterator[Any]], sizes: list[int]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Iterator[Any]:
        for batch in batches(*arguments, **options):
            sizes.append(batch.num_rows)
            yield batch

    return counted


@pytest.mark.usefixtures("limits")
def test_a_list_of_any_length_is_read_within_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    count = 36_000_000
    items = pa.ListArray.from_arrays(pa.array([0, count]), pa.array(np.zeros(count, np.int8)))
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(pa.table({"title": ["a"], "codes": items})))
    assert path.stat().st_size < 2_000
    limits = Limits(memory=1 << 29, seconds=60, remedy="Leave it out.")
    monkeypatch.setattr("patclass.data.parquet._LIMITS", limits)
    table = open_table(path)
    with pytest.raises(DataError, match=r"a\.parquet needs more than 512 MB .* Leave it out"):
        next(table.rows())
    assert next(table.rows({"title"})).fields["title"] == "a"


# Archives


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of what may be unpacked."""
    monkeypatch.setattr(packed, "MAX_UNPACKED", 1 << 21)


def many(line: bytes, megabytes: int) -> bytes:
    return b"title\n" + line * (megabytes * 1_000_000 // len(line))


def nested(content: bytes, depth: int) -> bytes:
    for level in range(depth):
        content = zipped({f"{level}-{number}.zip": content for number in range(3)})
    return content


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(many(b"x" * 999 + b"\n", 20))),
        ("a.jsonl.gz", gzip.compress(many(b'{"title": "' + b"x" * 999 + b'"}\n', 20))),
        ("a.json.gz", gzip.compress(b"[" + b"[],\n" * 5_000_000 + b"[]]")),
        ("a.zip", zipped({"a.csv": many(b"x" * 999 + b"\n", 20)})),
        ("a.parquet.gz", gzip.compress(b"PAR1" + bytes(20_000_000))),
        ("a.xml.gz", gzip.compress(b"<us-patent-grant>" + b"<a/>" * 5_000_000)),
        ("a.zip", nested(zipped({"a.xml": b"<us-patent-grant>" + bytes(9_000_000)}), 2)),
    ],
)
@pytest.mark.usefixtures("small")
def test_what_unpacks_to_far_more_than_texts_is_refused(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"unpacks to more than \d+ MB, 200 times its size"):
        sum(1 for _ in open_table(path).rows())


def test_a_usual_archive_is_unpacked_to_its_end(tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    lines = "".join(f"A pump with {number} rotors and a seal\n" for number in range(20_000))
    path.write_bytes(gzip.compress(b"title\n" + lines.encode()))
    assert sum(1 for _ in open_table(path).rows()) == 20_000


def test_the_name_of_a_file_in_an_archive_is_short():
    header = bytearray(512)
    header[:4], header[124:136], header[156:157] = b"name", b"%011o\0" % (1 << 31), b"L"
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 32)
    content = gzip.compress(bytes(header) + bytes(20_000_000))
    with pytest.raises(DataError, match=r"a name or note of 2,147,483,648 bytes"):
        list(documents_of(content, "a.tar.gz"))


# Width


def test_more_columns_than_a_spreadsheet_has_are_refused(tmp_path: Path):
    path = tmp_path / "a.csv"
    for names in (b"a," * 20_000, b",".join(b"a%d" % number for number in range(20_000))):
        path.write_bytes(b"title," + names + b"\nx\n")
        with pytest.raises(DataError, match=r"has 20,00\d columns; expected at most 16,384"):
            open_table(path)


def test_a_wide_table_is_recognised_in_time(tmp_path: Path):
    """Names that are repeated were once compared with all others, which took minutes."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"title," + b"a," * 16_000 + b"z\nx\n")
    assert open_table(path).columns[-2:] == ("a (16000)", "z")


def test_the_cells_of_a_table_on_the_page_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.ui.uploads.MAX_CELLS", 10_000)
    content = b"title," + b",".join(b"a%d" % number for number in range(999)) + b"\n" + b"x\n" * 20
    with pytest.raises(PageError, match=r"'a\.csv' has more than 10,000 cells\. Split it"):
        read_table("a.csv", content)


def test_what_a_quotation_mark_swallows_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(records, "_MAX_RECORD", 10_000)
    seen: list[int] = []
    peek = records._Lines.peek

    def counted(lines: records._Lines, place: int) -> str | None:
        seen.append(place)
        return peek(lines, place)

    monkeypatch.setattr(records._Lines, "peek", counted)
    content = b'title,abstract\n"never closed\n' + b"y,z\n" * 20_000
    assert read_table("a.csv", content).count == 20_001
    assert 1_000 < max(seen) < 3_000


# PDF and XML


def drawing(content: bytes, pages: int = 1) -> bytes:
    """A PDF whose pages all draw the same."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf_of("a")))
    stream = DecodedStreamObject()
    stream.set_data(content)
    page = writer.pages[0]
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    for _ in range(pages - 1):
        writer.add_page(page)
    sink = io.BytesIO()
    writer.write(sink)
    return sink.getvalue()


FONT = b"BT /F1 12 Tf "


@pytest.mark.parametrize(("count", "pages"), [(5_000, 1), (100, 60)])
def test_a_pdf_that_draws_for_ever_is_refused(
    monkeypatch: pytest.MonkeyPatch, count: int, pages: int
):
    monkeypatch.setattr(pdf, "MAX_DRAWN", 10_000)
    content = drawing(FONT + b"(a) Tj\n" * count + b"ET", pages)
    with pytest.raises(PageError, match=r"'a\.pdf' was not read: more to draw than a patent has"):
        patent_of_document("a.pdf", content)


def test_a_drawing_of_any_number_of_lines_is_no_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pdf, "MAX_DRAWN", 100)
    (found,) = documents_of(drawing(b"0 0 m 9 9 l S\n" * 1_000), "a.pdf")
    assert isinstance(found, RejectedDocument)
    assert found.reason == pdf.SCAN


def test_a_pdf_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pdf, "_MAX_SECONDS", 0.0)
    (found,) = documents_of(drawing(FONT + b"(a) Tj ET"), "a.pdf")
    assert isinstance(found, RejectedDocument)
    assert found.reason == pdf.TOO_LONG


def test_an_xml_document_of_too_many_elements_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elements, "_MAX_PARTS", 1_000)
    for inner in ("<a/>" * 3_000, f"<a {' '.join(f'a{n}=&quot;x&quot;' for n in range(9))}/>"):
        text = office.grant().replace("<abstract", f"{inner}<abstract", 1)
        (found,) = documents_of(text.encode(), "a.xml")
        assert ("too many elements" in str(found)) == (len(inner) > 1_000)


# Any file: one that is valid, with some bytes changed

JSON_LINES = b'{"id": "EP1", "title": "Loom"}\n{"id": "EP2", "title": "Pump", "cpc": ["A61K"]}\n'
TABLE = pa.table({"id": ["EP1", "EP2"], "title": ["Loom", "Pump"], "cpc": [["A61K"], []]})
DELIMITED = b'id,title\nEP1,"A ""smart"" loom"\nEP2,Pump\n'


def opendocument() -> bytes:
    names = "urn:oasis:names:tc:opendocument:xmlns"
    rows = "".join(
        f"<table:table-row><table:table-cell office:value-type='string'><text:p>{text}</text:p>"
        "</table:table-cell></table:table-row>"
        for text in ("title", "Loom", "Pump")
    )
    content = (
        f"<office:document-content xmlns:office='{names}:office:1.0' "
        f"xmlns:table='{names}:table:1.0' xmlns:text='{names}:text:1.0'><office:body>"
        f"<office:spreadsheet><table:table table:name='a'>{rows}</table:table>"
        "</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    listed = f"<manifest:manifest xmlns:manifest='{names}:manifest:1.0'/>"
    return zipped({"mimetype": kind, "META-INF/manifest.xml": listed, "content.xml": content})


SEEDS = {
    "a.csv": DELIMITED,
    "a.json": json.dumps([{"id": "EP1", "title": "Loom"}, {"id": "EP2", "title": "é"}]).encode(),
    "a.jsonl": JSON_LINES,
    "a.parquet": parquet(TABLE),
    "a.xml": (office.grant() + office.grant("2")).encode(),
    "a.pdf": pdf_of("(54) A drill bit\n(57) A bit with blades."),
    "a.csv.gz": gzip.compress(DELIMITED),
    "a.zip": zipped({"a.csv": DELIMITED}),
    "b.zip": zipped({"a.xml": office.grant().encode(), "b.zip": zipped({"b.xml": b"<PATDOC/>"})}),
}

# Of a file: where bytes are changed, how many (or as many as they are changed for), and what for.
_CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.none() | st.integers(0, 8),
        st.binary(max_size=8) | st.sampled_from([b"\xff" * 8, bytes(8), b"9" * 12, b"<", b'"']),
    ),
    min_size=1,
    max_size=4,
)


Change = tuple[float, int | None, bytes]


def changed(content: bytes, changes: list[Change]) -> bytes:
    for place, count, bytes_ in changes:
        start = int(place * len(content))
        end = start + (len(bytes_) if count is None else count)
        content = content[:start] + bytes_ + content[end:]
    return content


def with_changed_parts(content: bytes, changes: list[Change]) -> bytes:
    """A packed file in which one of the packed files has changed; checksums fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(files)
    name = names[int(changes[0][0] * len(names))]
    return zipped(files | {name: changed(files[name], changes)})


def read_all(path: Path) -> None:
    """Read a file: it has rows, or an error that is meant for users."""
    try:
        rows = list(open_table(path).rows())
    except PatclassError:
        return
    assert len(rows) < 1_000
    assert all(row.error is None or isinstance(row.error, str) for row in rows)


@pytest.mark.parametrize("name", SEEDS)
@settings(
    max_examples=full(30, 1_000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=_CHANGES, packed_part=st.booleans())
@example(changes=[(0.75, None, bytes(4))], packed_part=True)  # a name without a letter
@example(changes=[(0.1796875, None, b"\x06"), (0.03125, None, b"\0\0\0\x08")], packed_part=False)
def test_any_damage_to_a_file_is_an_error_of_the_file(
    tmp_path: Path, name: str, changes: list[Change], packed_part: bool
):
    path = tmp_path / name
    seed = SEEDS[name]
    if packed_part and name.endswith(".zip"):
        path.write_bytes(with_changed_parts(seed, changes))
    elif packed_part and name.endswith(".gz"):
        path.write_bytes(gzip.compress(changed(gzip.decompress(seed), changes)))
    else:
        path.write_bytes(changed(seed, changes))
    read_all(path)


@pytest.mark.parametrize("content", [workbook(cell("A", "2")), opendocument(), xls()])
@settings(
    max_examples=full(4, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=_CHANGES)
@pytest.mark.usefixtures("limits")
def test_any_damage_to_a_workbook_is_an_error_of_the_file(
    tmp_path: Path, content: bytes, changes: list[Change]
):
    path = tmp_path / "a.xlsx"
    is_zip = content.startswith(b"PK")
    path.write_bytes(with_changed_parts(content, changes) if is_zip else changed(content, changes))
    read_all(path)
