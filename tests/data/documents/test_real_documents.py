"""Documents as offices published them, in the inputs shared for tests."""

from pathlib import Path

import pytest

from conftest import SHARED
from patclass.data.documents import Document, read_documents

FILES = SHARED / "files"
pytestmark = pytest.mark.skipif(
    not FILES.is_dir(), reason="the shared inputs are not on this machine"
)


def documents(name: str) -> list[Document]:
    found = list(read_documents(FILES / name))
    assert all(isinstance(document, Document) for document in found)
    return found


@pytest.mark.parametrize(
    ("kind", "name", "id", "title", "claims", "codes", "date"),
    [
        ("USPTO grant", "uspto-grant-v45-B2.xml", "US11147202B2", "Wheeled hand truck", 9,
         ["A01B1/243", "B62B1/12"], "2021-10-19"),
        ("USPTO grant", "uspto-grant-v45-US11646472B2.xml", "US11646472B2", "Making lithium", 17,
         ["H01M50/46", "H01G11/06"], "2023-05-09"),
        ("USPTO application", "uspto-application-v44-A1.xml", "US20210267109A1", "METHODS AND", 20,
         ["A01B1/04", "A01D11/06"], "2021-09-02"),
        ("USPTO weekly ZIP", "uspto-weekly-item-US20250204297A1.ZIP", "US20250204297A1", "SEEDING",
         9, ["A01B63/32", "A01B63/008"], "2025-06-26"),
        ("USPTO SGML of 2001", "uspto-sgml2001-US06336130.xml", "US6336130B1", "Arrangement", 22,
         ["G06F15/16", "G06F13/00"], "2002-01-01"),
        ("USPTO Green Book", "uspto-greenbook-US04347903.txt", "US4347903A", "Electronic reading",
         3, ["G01G19/04", "G01G23/10"], "1982-09-07"),
        ("USPTO Open Data Portal", "uspto-odp-get_patent.json", "US11646472", "MAKING LITHIUM", 0,
         ["H01M50/46", "H01G11/06"], "2023-05-09"),
        ("EPO full text", "ep-fulltext-v15-A1.xml", "EP3782854A1", "VEHICLE-MOUNTED DISPLAY", 12,
         ["B60R7/06", "B60N3/12"], "2021-02-24"),
        ("DOCDB", "docdb-WO-2022259205-A1.xml", "WO2022259205A1", "SELF-EMULSIFYING", 0,
         ["A61K9/1075", "A61K8/064"], "2022-12-15"),
        ("OPS biblio", "ops-biblio.xml", "EP2400812A1", "BLUETOOTH NETWORKING", 0,
         ["H04W84/20", "H04W88/04"], "2011-12-28"),
        ("OPS claims", "ops-claims.xml", "EP2400812A1", "", 15, [], ""),
        ("OPS description", "ops-description.xml", "EP2400812A1", "", 0, [], ""),
        ("OPS abstract", "ops-abstract.xml", "EP2400812A1", "", 0, [], "2011-12-28"),
        ("MAREC", "marec-EP-1000000-A1.xml", "EP1000000A1", "Apparatus for manufacturing", 11,
         ["B28B1/00", "B28B1/29"], "2000-05-17"),
        ("CNIPA", "cn-st36-200880114428A.xml", "CN103492414A", "抗HEPCIDIN", 44, ["C07K16/18"],
         "2014-01-01"),
        ("EPO, PDF", "epo-fulltext-EP1577413A1.pdf", "EP1577413A1", "Fe-Cr-Si NON-ORIENTED", 10,
         ["C22C38/00", "C22C38/34"], "2005-09-21"),
    ],
)  # fmt: skip
def test_a_real_document_is_read_whole(
    kind: str, name: str, id: str, title: str, claims: int, codes: list[str], date: str
):
    (found,) = documents(name)
    assert (found.id, len(found.claims), found.publication_date) == (id, claims, date), kind
    assert found.title.startswith(title)
    assert [code.code for code in found.codes[:2]] == codes
    assert found.has_text
    assert all(len(claim) > 20 for claim in found.claims)


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("design patent", "uspto-design-USD0930529.XML", "design patent"),
        ("scanned front page", "front-us_1.pdf", "scan without a text layer"),
        ("scanned front page in German", "front-de.pdf", "scan without a text layer"),
    ],
)
def test_a_real_document_without_text_is_left_out(kind: str, name: str, reason: str):
    (found,) = read_documents(FILES / name)
    assert not isinstance(found, Document), kind
    assert reason in found.reason


def test_every_document_that_is_cut_off_is_one_error(tmp_path: Path):
    """No file of an office ends in an exception."""
    for path in sorted(FILES.glob("*.[xX][mM][lL]")):
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[: len(content) * 2 // 3])
        found = list(read_documents(tmp_path / path.name))
        assert [isinstance(document, Document) for document in found] == [False], path.name
