import pytest

from documents import pdf_of
from patclass.data.documents import Document, documents_of
from patclass.data.documents.pdf import SCAN, _body, _parts


def test_the_fields_of_the_first_page_by_their_inid_codes():
    page = [
        r"\(11\) EP 1 234 567 A1",
        r"\(51\) Int Cl.7: F04D 29/10",
        r"\(54\) Pump",
        r"\(57\) A pump \(10\) has a rotor \(12\) and a seal",
        r"\(14\) of rubber.",
    ]
    (found,) = documents_of(pdf_of("\n".join(page)), "a.pdf")
    assert isinstance(found, Document)
    assert (found.id, found.kind, found.title) == ("EP1234567A1", "A1", "Pump")
    assert " ".join(found.abstract.split()) == (
        "A pump (10) has a rotor (12) and a seal (14) of rubber."
    )
    assert [code.code for code in found.codes] == ["F04D29/10"]


def test_codes_and_dates_of_the_first_page_of_the_uspto():
    page = [
        r"\(10\) Patent No.: US 10,000,001 B2",
        r"\(45\) Date of Patent: Jun. 19, 2018",
        r"\(52\) U.S. Cl.",
        r"CPC ............ F04D 29/10 \(2013.01\); F16J 15/00 \(2013.01\)",
        "USPC ............ 415/1",
        r"\(54\) PUMP",
        r"\(57\) ABSTRACT",
        "A pump.",
    ]
    (found,) = documents_of(pdf_of("\n".join(page)), "a.pdf")
    assert isinstance(found, Document)
    assert (found.id, found.publication_date) == ("US10000001B2", "2018-06-19")
    assert [code.code for code in found.codes] == ["F04D29/10", "F16J15/00"]
    assert found.abstract.split() == ["A", "pump."]


def test_a_design_in_a_pdf_is_told():
    page = [r"\(10\) Patent No.: US D800,000 S", r"\(54\) CHAIR"]
    (found,) = documents_of(pdf_of("\n".join(page)), "a.pdf")
    assert (found.id, found.reason.split(",")[0]) == ("USD800000S", "a design patent")


def test_a_text_without_codes_is_the_description():
    (found,) = documents_of(pdf_of("A pump has a rotor."), "a.pdf")
    assert isinstance(found, Document)
    assert (found.id, found.description.strip()) == ("a.pdf", "A pump has a rotor.")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(pdf_of(""), SCAN), (pdf_of("text", "secret"), "protected by a password")],
)
def test_a_scan_and_a_password_are_told(content: bytes, reason: str):
    (found,) = documents_of(content, "a.pdf")
    assert not isinstance(found, Document)
    assert found.reason == reason


def test_claims_are_separate_and_end_before_those_in_another_language():
    claims = "Claims\n1. A pump.\n2. The pump of\nclaim 1.\n"
    text = f"Description\nPumps.\n{claims}Patentansprüche\n1. Pumpe."
    assert _body(text) == (("1. A pump.", "2. The pump of claim 1."), "Pumps.")


def test_the_first_text_of_an_inid_code_counts():
    assert _parts("(54) Pump\n(54) Other") == {"54": "Pump\n"}
