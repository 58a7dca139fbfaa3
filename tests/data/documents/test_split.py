"""Files of many documents, packed and broken."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import office_documents as office
from patclass.core.errors import DataError
from patclass.data import packed
from patclass.data.documents import Document, documents_of, forms_of, read_documents, split
from patclass.data.documents.split import CUT_OFF, form_of, split_file

NUMBERS = ["11000001", "11000002", "11000003"]


def ids(path: Path) -> list[str]:
    return [document.id for document in read_documents(path)]


def weekly() -> bytes:
    return "".join(office.grant(number) for number in NUMBERS).encode()


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return sink.getvalue()


def tarred(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("week.xml", weekly()),
        ("week.dat", weekly()),
        ("week.zip", zipped(ipg_xml=weekly(), readme_txt=b"text")),
        ("week.xml.gz", gzip.compress(weekly())),
        ("week.xml.bz2", bz2.compress(weekly())),
        ("week.xml.xz", lzma.compress(weekly())),
        ("week.tar.gz", tarred(a_zip=zipped(a_xml=weekly(), drawing_TIF=b"II*\x00"))),
    ],
)
def test_documents_are_found_by_content_in_files_and_archives(
    tmp_path: Path, name: str, content: bytes
):
    (tmp_path / name).write_bytes(content)
    assert "XML" in [form for _, form in forms_of(tmp_path / name)]
    assert ids(tmp_path / name) == [f"US{number}B2" for number in NUMBERS]


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "utf-8-sig"])
def test_other_encodings_that_a_file_states(tmp_path: Path, encoding: str):
    stated = encoding.removesuffix("-sig")
    text = office.CNIPA.replace('encoding="UTF-8"', f'encoding="{stated}"')
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    (document,) = read_documents(tmp_path / "a.xml")
    assert isinstance(document, Document)
    assert document.title == "泵"


def test_documents_within_an_element_and_of_the_green_book():
    two = office.docdb_file(office.docdb("2022000001"), office.docdb("2022000002"))
    assert [d.id for d in documents_of(two.encode())] == ["WO2022000001A1", "WO2022000002A1"]
    greenbook = "HHHHHT APS1 ISSUE\r\n" + office.GREENBOOK + office.GREENBOOK.replace("018", "026")
    assert [d.id for d in documents_of(greenbook.encode())] == ["US4000001A", "US4000002A"]


def test_a_broken_document_does_not_cost_the_next():
    broken = office.grant(NUMBERS[1]).replace("</us-patent-grant>", "")
    text = office.grant(NUMBERS[0]) + broken + office.grant(NUMBERS[2])
    found = list(documents_of(text.encode(), "week.xml"))
    assert [d.id for d in found] == ["US11000001B2", "week.xml", "US11000003B2"]
    assert found[1].reason == CUT_OFF


@given(cut=st.integers(0, len(weekly())), block=st.integers(300, 5_000))
def test_documents_do_not_depend_on_blocks_and_a_cut_costs_one(cut: int, block: int):
    """A file cut anywhere has its whole documents, and at most one error."""
    content = weekly()[:cut]
    whole = content.count(b"</us-patent-grant>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_BLOCK", block)
        patch.setattr(split, "_SAMPLE", block)
        found = list(split_file("a", io.BytesIO(content)))
    assert [record.error for record in found[:whole]] == [None] * whole
    assert len(found) - whole in (0, 1)


def test_a_document_that_is_too_large_is_one_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(split, "MAX_DOCUMENT", 20_000)
    monkeypatch.setattr(split, "_BLOCK", 1_000)
    monkeypatch.setattr(split, "_SAMPLE", 1_000)
    large = office.grant(NUMBERS[1], more="<p>" + "x" * 50_000 + "</p>")
    text = office.grant(NUMBERS[0]) + large + office.grant(NUMBERS[2])
    errors = [record.error for record in split_file("a", io.BytesIO(text.encode()))]
    assert [error is None for error in errors] == [True, False, True]
    assert "larger than" in str(errors[1])


@pytest.mark.parametrize(
    "sample",
    [
        b"",
        b"id,title\n1,Pump\n",
        b"<html></html>",
        b'{"a": 1}',
        b"PATN is a word\n",
        b"id,xml\n1,<us-patent-grant ></us-patent-grant>\n",
    ],
)
def test_other_files_are_none(sample: bytes):
    assert form_of(sample) is None


@pytest.mark.parametrize("name", ["a.zip", "a.xml.gz", "a.tar"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"PK\x03\x04 no archive, though it begins as one")
    with pytest.raises(DataError, match=f"{name} is damaged"):
        ids(tmp_path / name)


def test_starts_without_an_end_are_one_error_each():
    """A search for each end would take quadratic time."""
    content = b"<PATDOC >" * 20_000 + b"</PATDOC>"
    errors = [raw.error for raw in split_file("a", io.BytesIO(content))]
    assert errors == [CUT_OFF] * 19_999 + [None]


def test_an_archive_within_another_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(packed, "MAX_INNER", 1_000)
    (tmp_path / "a.zip").write_bytes(zipped(inner_zip=zipped(week_xml=weekly() * 10)))
    with pytest.raises(DataError, match=r"a\.zip/inner\.zip is larger than .* MB; unpack it"):
        ids(tmp_path / "a.zip")


def test_a_damaged_member_is_named(tmp_path: Path):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("week.xml", weekly())
    content = bytearray(sink.getvalue())
    content[60:200] = bytes(140)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip is damaged"):
        ids(tmp_path / "a.zip")
