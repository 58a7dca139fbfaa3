"""What the two offices answered, in the inputs shared for tests, given again by a local server."""

import json
from pathlib import Path

import pytest

from conftest import SHARED
from fake_offices import FakeOffice
from patclass.core.errors import OfficeError
from patclass.offices.lookup import Offices

FILES = SHARED / "files"
pytestmark = pytest.mark.skipif(
    not FILES.is_dir(), reason="the shared inputs are not on this machine"
)

EPO_PATH = "docdb/EP.2400812.A1"
SEARCH = "/api/v1/patent/applications/search"
GRANT = "/api/v1/datasets/products/files/PTGRXML-SPLT/2023/ipg230509/17248024_11646472.xml"


def sample(name: str) -> bytes:
    return (FILES / name).read_bytes()


@pytest.fixture
def offices(office: FakeOffice, tmp_path: Path) -> Offices:
    made = Offices(office.settings(cache=tmp_path))
    for each in made._offices.values():
        each.connection.pace.interval = 0.0
    return made


def put_wrapper(office: FakeOffice, **changes: object) -> None:
    """The file wrapper, whose document is on the local server as well."""
    record = json.loads(sample("uspto-odp-get_patent.json"))
    (wrapper,) = record["patentFileWrapperDataBag"]
    wrapper["grantDocumentMetaData"]["fileLocationURI"] = f"{office.url}{GRANT}"
    office.put(SEARCH, json.dumps(record | changes).encode())


def test_an_application_of_the_epo(office: FakeOffice, offices: Offices):
    for part in ("biblio", "claims", "description"):
        office.put_epo(EPO_PATH, part, sample(f"ops-{part}.xml"))
    found = offices.find("EP 2 400 812 A1", wanted=("claims", "description"))
    assert (found.number, found.title) == ("EP2400812A1", "BLUETOOTH NETWORKING")
    assert (found.abstract or "").startswith("An apparatus enabling establishment of a Bluetooth")
    assert (found.claims or "").startswith("1. A communication device (100) comprising:")
    assert "2. The device of claim 1" in (found.claims or "")
    assert found.codes[:2] == ("H04W84/20", "H04W88/04")
    asked = len(office.requests)
    assert offices.find("EP2400812A1", wanted=("claims", "description")) == found
    assert len(office.requests) == asked
    offices.close()


def test_an_abstract_alone(office: FakeOffice, offices: Offices):
    office.put_epo("epodoc/EP2400812", "biblio", sample("ops-abstract.xml"))
    found = offices.find("EP2400812")
    assert (found.title, found.codes) == (None, ())
    assert (found.abstract or "").endswith("multiple Bluetooth piconets.")
    offices.close()


def test_a_grant_of_the_uspto(office: FakeOffice, offices: Offices):
    put_wrapper(office)
    office.put(GRANT, sample("uspto-grant-v45-US11646472B2.xml"))
    found = offices.find("US 11,646,472 B2", wanted=("claims",))
    assert found.number == "US11646472B2"
    assert (found.title or "").startswith("Making lithium metal")
    assert found.abstract
    assert found.claims
    assert found.description is None
    assert found.codes[:2] == ("H01M50/46", "H01G11/06")
    offices.close()


def test_a_document_that_was_not_given_again_is_not_fetched(office: FakeOffice, offices: Offices):
    """The record names the real address, which is not that of the local server."""
    office.put(SEARCH, sample("uspto-odp-get_patent.json"))
    with pytest.raises(OfficeError, match="not its own"):
        offices.find("US11646472B2")
    assert office.requests == [SEARCH]
    offices.close()


def test_the_record_alone_has_no_text(office: FakeOffice, offices: Offices):
    record = json.loads(sample("uspto-odp-get_patent.json"))
    del record["patentFileWrapperDataBag"][0]["grantDocumentMetaData"]
    office.put(SEARCH, json.dumps(record).encode())
    with pytest.raises(OfficeError, match="only a title") as error:
        offices.find("US11646472B2")
    assert error.value.reason == "no_text"
    offices.close()


def test_an_application_that_the_epo_has(office: FakeOffice, offices: Offices):
    content = sample("docdb-WO-2022259205-A1.xml")
    office.put_epo("epodoc/WO2022259205", "biblio", content)
    found = offices.find("WO 2022/259205")
    assert found.number == "WO2022259205A1"
    assert (found.abstract or "").startswith("The present disclosure relates to")
    assert "A61K9/1075" in found.codes
    offices.close()


def test_a_design_of_the_uspto_is_refused(office: FakeOffice, offices: Offices):
    """Even where its number does not say what it is."""
    put_wrapper(office)
    office.put(GRANT, sample("uspto-design-USD0930529.XML"))
    with pytest.raises(OfficeError, match="design") as error:
        offices.find("US11646472")
    assert error.value.reason == "no_text"
    offices.close()
