"""Files that are no tables of patents are refused with what they are and what to do."""

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from conftest import SHARED
from patclass.core.errors import DataError
from patclass.data.rows import open_table

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
    "columns",
    [
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
