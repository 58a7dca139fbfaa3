"""Files that are no tables of patents are refused with what they are and what to do."""

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from conftest import SHARED
from patclass.core.errors import DataError
from patclass.data.rows import open_table
from patclass.data.wrong_files import check_columns, check_content
from sources import EXPORTS, Export

PAGE = b"<!-- saved -->\n<!DOCTYPE html>\n<html><body><h1>Session expired</h1></body></html>"
TABLE = b"\xef\xbb\xbf\r\n<table><tr><td>id</td></tr></table>"


def refused(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        open_table(path)
    assert str(path) in str(caught.value)


def packed(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return sink.getvalue()


def compound(*streams: str) -> bytes:
    """A compound file with a directory of these streams, after other sectors."""
    head = bytearray(512)
    head[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    head[30:32] = (9).to_bytes(2, "little")
    head[48:52] = (5).to_bytes(4, "little")
    entries = [name.encode("utf-16-le").ljust(128, b"\0") for name in ("Root Entry", *streams)]
    return bytes(head) + b"\xff" * 512 * 5 + b"".join(entries).ljust(4096, b"\0")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", r"is a picture \(PNG\), not a table"),
        ("a.csv", b"\xff\xd8\xff\xe0\0\x10JFIF", r"a picture \(JPEG\)"),
        ("a.csv", b"\x1f\x8b\x08\0", "packed with gzip.*add .gz to its name"),
        ("a.csv", b"BM\x36\0\x0c\0\0\0", r"a picture \(BMP\)"),
        ("a.csv", b"RIFF\x24\0\0\0WEBPVP8 ", r"a picture \(WebP\)"),
        ("a.csv", b"\0\0\0\x18ftypheic", r"a picture \(HEIC\)"),
        ("a.csv", b"\0\0\0\x18ftypavif", r"a picture \(AVIF\)"),
        ("a.csv", b"\0\0\0\x20ftypisom", r"a film \(MP4\)"),
        ("a.csv", b"\xfd7zXZ\0\0\x04", "packed with XZ"),
        ("a.csv", b"\x28\xb5\x2f\xfd\x04", "packed with Zstandard"),
        ("a.csv", b"BZh91AY&SY\x8d", "packed with bzip2"),
        ("a.csv", b"\x89HDF\r\n\x1a\n\0", "data in HDF5"),
        ("a.csv", b"\x93NUMPY\x01\0", "NumPy"),
        ("a.csv", b"ARROW1\0\0", "Feather or Arrow, not a table; save it as Parquet"),
        ("a.csv", b"ORC\x08\x03\x10", "in ORC"),
        ("a.csv", b"Obj\x01\x04\x14", "in Avro"),
        ("a.csv", b"\x80\x04\x95\x10\0\0", "a pickle of Python"),
        ("a.csv", b'<?xml version="1.0"?>\n<svg xmlns="x"/>', r"a picture \(SVG\)"),
        ("a.csv", b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html/>', "HTML page"),
        ("a.csv", b"TY  - JOUR\r\nAU  - Smith, J\r\nER  - ", "references in RIS"),
        ("a.txt", b"@article{smith26,\n  title = {Looms}\n}", "references in BibTeX"),
        ("a.txt", b"\nPMID- 1234\nOWN - NLM\n", "references in PubMed"),
        ("a.txt", b"\xef\xbb\xbfFN Database\nVR 1.0\nPT J\n", "in Web of Science"),
        ("a.csv", b"SQLite format 3\0", "a database"),
        ("a.csv", PAGE, "is an HTML page, not a table.*download the file again"),
        ("a.json", PAGE, "is an HTML page"),
        ("a.xls", TABLE, "is an HTML page.*save it as XLSX"),
        ("a.xlsx", b"id,title\n1,Loom\n", "is text, not a workbook; change the end of its name"),
        ("a.csv", bytes(range(256)) * 40, "is not text but a binary file"),
        ("a.xlsx", packed("word/document.xml"), r"is a text document \(DOCX\), not a workbook"),
        ("a.xlsx", packed("ppt/slides/1.xml"), r"is slides \(PPTX\)"),
        ("a.csv", packed("a.csv", "b.csv"), r"a packed folder \(a\.csv, b\.csv\)"),
        ("a.xls", compound("WordDocument"), r"is a text document \(DOC\)"),
        ("a.xlsx", compound("EncryptionInfo", "EncryptedPackage"), "protected by a password"),
        ("a.xls", compound("Workbook"), "is damaged or not a workbook"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, name: str, content: bytes, why: str):
    refused(tmp_path / name, content, why)


def workbook(path: Path, *others: str) -> Path:
    book = Workbook()
    book.active.append(["id", "title"])
    book.active.append(["1", "Loom"])
    book.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in others:
            archive.writestr(name, b"\xd0\xcf\x11\xe0")
    return path


@pytest.mark.parametrize("name", ["a.xlsm", "a.xlsx"])
def test_macros_are_told_and_not_run(tmp_path: Path, name: str):
    table = open_table(workbook(tmp_path / name, "xl/vbaProject.bin"))
    assert "header in row 1, macros not run; id" in table.recognised
    assert [row.fields["title"] for row in table.rows()] == ["Loom"]
    assert "macros" not in open_table(workbook(tmp_path / "b.xlsx")).recognised


LENS = "Lens ID,Title,Publication Type,Source Title,Abstract,PMID,DOI,Fields of Study"


def test_a_list_of_publications_is_told_by_its_columns(tmp_path: Path):
    content = f"{LENS}\n1,On looms,journal article,Looms,A study,7,10.1/1,Physics\n".encode()
    refused(tmp_path / "a.csv", content, "lists scientific publications.*'Publication Type'.*Lens")


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ("PT\tAU\tTI\tSO\tAB\tDI\tUT", "scientific publications"),
        ("Authors,Title,Year,Source title,Cited by,DOI,EID", "scientific publications"),
        ("Cites,Authors,Title,Year,Source,ArticleURL,CitesURL", "scientific publications"),
        ("id,doi,title,publication_year,cited_by_count,authorships", "scientific publications"),
        ("paperId,title,abstract,venue,year,citationCount,authors", "scientific publications"),
        ("id,submitter,authors,title,journal-ref,doi,abstract", "scientific publications"),
        ("First Name,Last Name,Email Address,Company,Position,Connected On", "persons"),
        ("Title,First Name,Last Name,E-mail Address,Business Phone", "persons"),
        ("Vorname,Nachname,Firma,Telefon", "persons"),
        ("Design number,Locarno class,Applicant,Indication of product", "designs"),
        ("Application number,Mark,Owner,Status", "trademarks"),
        ("Trade mark name,Nice classes,Applicant", "trademarks"),
    ],
)
def test_a_list_of_other_things_is_told_by_its_columns(tmp_path: Path, columns: str, kind: str):
    refused(tmp_path / "a.csv", f"{columns}\n".encode(), f"lists {kind}, not patents")


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_exports_of_patents_are_never_refused(export: Export):
    check_columns(Path("a.csv"), export.header)


@pytest.mark.parametrize("start", ["BMW,title", "ORC,title", "ID3,title", "Rar!,title"])
def test_a_text_may_begin_like_a_picture(start: str):
    check_content(Path("a.csv"), f"{start}\n1,A loom\n".encode())


@pytest.mark.parametrize(
    "columns",
    [
        "id,title,abstract,authors,year",
        "id,title,class,status,owner,company,email",
        "id,text,mark,trademark",
        "Display Key,Title,Abstract,CPC Classifications,PMID,DOI,ISSN",
        "id,title,DOI,journal",
        "id,title,abstract,doi,pmid,pmcid,jurisdiction",
    ],
)
def test_patents_with_cited_literature_are_read(tmp_path: Path, columns: str):
    path = tmp_path / "a.csv"
    path.write_text(columns + "\n", encoding="utf-8")
    assert len(open_table(path).columns) == len(columns.split(","))


@pytest.mark.skipif(not (SHARED / "files").is_dir(), reason="the shared inputs are not here")
def test_a_real_list_of_publications_is_told():
    with pytest.raises(DataError, match="lists scientific publications, not patents"):
        open_table(SHARED / "files" / "lens-export-NOT-patents.csv")
