"""Texts of documents."""

import pytest

from documents import pdf_of
from patclass.ui.documents import text_of_document
from patclass.ui.problems import Trouble


def test_the_text_of_a_pdf():
    assert text_of_document("a.PDF", pdf_of("A drill bit")).strip() == "A drill bit"


def test_a_pdf_that_only_forbids_printing_is_read():
    assert text_of_document("a.pdf", pdf_of("A drill bit", password="")).strip() == "A drill bit"


def test_a_long_document_is_cut_to_what_the_service_takes():
    assert len(text_of_document("a.txt", b"a drill bit " * 20_000)) == 100_000


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
