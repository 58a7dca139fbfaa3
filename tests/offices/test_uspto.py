"""The USPTO's Open Data Portal: the search, the document that it names, the key."""

import json
from collections.abc import Iterator

import pytest

from fake_offices import USPTO_KEY, Answer, FakeOffice, odp_record, us_grant
from patclass.core.errors import OfficeError
from patclass.offices.connection import Deadline
from patclass.offices.numbers import PublicationNumber
from patclass.offices.uspto import Uspto

SEARCH = "/api/v1/patent/applications/search"
GRANT = PublicationNumber("US", "11646472", "B2")


@pytest.fixture
def uspto(office: FakeOffice) -> Iterator[Uspto]:
    client = Uspto(office.settings())
    client.connection.pace.interval = 0.0
    yield client
    client.connection.close()


def fetch(uspto: Uspto, number: PublicationNumber = GRANT, part: str = "record") -> bytes | None:
    return uspto.fetch(number, part, Deadline(10))


def test_a_grant(office: FakeOffice, uspto: Uspto):
    office.put_grant("11646472")
    assert fetch(uspto) == us_grant("11646472")
    assert office.queries == ["applicationMetaData.patentNumber:11646472"]
    assert {headers["x-api-key"] for headers in office.headers} == {USPTO_KEY}


@pytest.mark.parametrize(
    ("number", "query"),
    [
        ("US2025/0204297 A1", "applicationMetaData.earliestPublicationNumber:US20250204297A1"),
        ("US20250204297", "applicationMetaData.earliestPublicationNumber:US20250204297A1"),
        ("USRE49123E1", "applicationMetaData.patentNumber:RE49123"),
    ],
)
def test_what_is_searched(office: FakeOffice, uspto: Uspto, number: str, query: str):
    assert fetch(uspto, PublicationNumber.parse(number)) is None
    assert office.queries == [query]


def test_an_application_is_another_document_than_its_grant(office: FakeOffice, uspto: Uspto):
    location = f"{office.url}/files/application.xml"
    office.put(SEARCH, odp_record("11646472", location, "pgpubDocumentMetaData"))
    office.put("/files/application.xml", b"<us-patent-application/>")
    assert fetch(uspto, PublicationNumber("US", "20250204297", "A1")) == b"<us-patent-application/>"


def test_without_a_document_the_record_is_returned(office: FakeOffice, uspto: Uspto):
    record = odp_record("4347903", None)
    office.put(SEARCH, record)
    assert fetch(uspto, PublicationNumber("US", "4347903")) == record


def test_nothing_is_found(office: FakeOffice, uspto: Uspto):
    assert fetch(uspto) is None
    office.put(SEARCH, json.dumps({"count": 0, "patentFileWrapperDataBag": []}).encode())
    assert fetch(uspto) is None
    assert fetch(uspto, part="claims") is None


@pytest.mark.parametrize(
    "location",
    ["https://169.254.169.254/latest/meta-data", "http://localhost:1/x", "file:///etc/passwd"],
)
def test_a_document_elsewhere_is_not_fetched(office: FakeOffice, uspto: Uspto, location: str):
    office.put(SEARCH, odp_record("11646472", location))
    with pytest.raises(OfficeError, match="not its own") as error:
        fetch(uspto)
    assert error.value.reason == "office_unavailable"
    assert office.requests == [SEARCH]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"patentFileWrapperDataBag": 3}'])
def test_an_answer_that_is_no_file_wrapper(office: FakeOffice, uspto: Uspto, body: bytes):
    office.put(SEARCH, body)
    with pytest.raises(OfficeError, match="no file wrapper"):
        fetch(uspto)


@pytest.mark.parametrize("wrapper", [3, {}, {"grantDocumentMetaData": []}])
def test_a_wrapper_of_another_shape_names_no_document(
    office: FakeOffice, uspto: Uspto, wrapper: object
):
    record = json.dumps({"patentFileWrapperDataBag": [wrapper]}).encode()
    office.put(SEARCH, record)
    assert fetch(uspto) == record


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused(office: FakeOffice, uspto: Uspto, status: int):
    office.put(SEARCH, Answer(USPTO_KEY.encode(), status))
    with pytest.raises(OfficeError, match="refuses the key of PATCLASS_OFFICES_USPTO_KEY") as error:
        fetch(uspto)
    assert USPTO_KEY not in str(error.value)


def test_without_a_key_the_error_says_how_to_get_one(office: FakeOffice):
    with pytest.raises(OfficeError, match=r"PATCLASS_OFFICES_USPTO_KEY .*data.uspto.gov"):
        Uspto(office.settings(uspto_key=None))
