"""Texts of documents."""

import io

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from patclass.ui.documents import text_of_document
from patclass.ui.problems import Trouble


def pdf_of(text: str, password: str | None = None) -> bytes:
    """A PDF of one page, with its text as a real text layer."""
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    sink = io.BytesIO()
    writer.write(sink)
    return sink.getvalue()


def test_the_text_of_a_pdf():
    assert text_of_document("a.PDF", pdf_of("A drill bit")).strip() == "A drill bit"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_text_of_a_file_in_any_usual_encoding(encoding: str):
    assert text_of_document("a.txt", "Bohrmeißel für Löcher".encode(encoding)) == (
        "Bohrmeißel für Löcher"
    )


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.docx", b"x", "no PDF and no TXT"),
        ("a.txt", b" \n", "It is empty"),
        ("a.pdf", b"no pdf", "damaged, or no PDF"),
        ("a.pdf", b"%PDF-1.7\n%%EOF", "damaged, or no PDF"),
        ("a.pdf", pdf_of(""), "It may be a scan"),
        ("a.pdf", pdf_of("secret", password="x"), "protected by a password"),
    ],
)
def test_what_holds_no_text_is_refused_in_words(name: str, content: bytes, why: str):
    with pytest.raises(Trouble, match=why):
        text_of_document(name, content)


@pytest.mark.parametrize("cut", range(0, 660, 60))
def test_a_torn_pdf_never_breaks_the_page(cut: int):
    whole = pdf_of("A drill bit")
    assert cut < len(whole)
    try:
        told = text_of_document("a.pdf", whole[:cut])
    except Trouble as trouble:
        told = trouble.sentence
    assert "'a.pdf'" in told or told.strip() == "A drill bit"
