"""The EPO's service: tokens, addresses, throttling, quotas."""

from collections.abc import Iterator

import pytest

from fake_offices import EPO_SECRET, SECRETS, Answer, FakeOffice, exchange_document, ops_biblio
from patclass.core.errors import OfficeError
from patclass.offices.connection import Deadline
from patclass.offices.epo import Epo
from patclass.offices.numbers import PublicationNumber

NUMBER = PublicationNumber("EP", "1000000", "A1")
PATH = "docdb/EP.1000000.A1"
RECORD = ops_biblio(exchange_document("EP", "1000000", "A1"))


@pytest.fixture
def epo(office: FakeOffice) -> Iterator[Epo]:
    client = Epo(office.settings())
    client.connection.pace.interval = 0.0
    yield client
    client.connection.close()


def fetch(epo: Epo, number: PublicationNumber = NUMBER, part: str = "record") -> bytes | None:
    return epo.fetch(number, part, Deadline(10))


def test_the_parts_of_a_publication(office: FakeOffice, epo: Epo):
    office.put_epo(PATH, "biblio", RECORD)
    office.put_epo(PATH, "claims", b"<claims/>")
    office.put_epo("epodoc/WO2022259205", "biblio", b"<wo/>")
    assert fetch(epo) == RECORD
    assert fetch(epo, part="claims") == b"<claims/>"
    assert fetch(epo, part="description") is None
    assert fetch(epo, PublicationNumber("WO", "2022259205")) == b"<wo/>"
    assert office.tokens == 1
    assert office.headers[0]["authorization"].startswith("Basic ")
    assert {headers["authorization"] for headers in office.headers[1:]} == {"Bearer token-1"}


def test_a_token_that_has_ended_is_renewed(office: FakeOffice):
    now = 0.0
    epo = Epo(office.settings(), lambda: now)
    epo.connection.pace.interval = 0.0
    office.put_epo(PATH, "biblio", RECORD)
    fetch(epo)
    now = 1160.0
    fetch(epo)
    assert office.tokens == 1
    now = 1180.0
    fetch(epo)
    assert office.tokens == 2
    epo.connection.close()


def test_a_token_that_is_refused_is_renewed_once(office: FakeOffice, epo: Epo):
    refused = Answer(b"<error><message>invalid_access_token</message></error>", 400)
    office.put_epo(PATH, "biblio", refused, RECORD)
    assert fetch(epo) == RECORD
    assert office.tokens == 2


def test_keys_that_are_refused(office: FakeOffice, epo: Epo):
    office.put("/auth/accesstoken", Answer(EPO_SECRET.encode(), 401))
    with pytest.raises(OfficeError, match="refuses the keys of PATCLASS_OFFICES_EPO_KEY") as error:
        fetch(epo)
    assert error.value.reason == "office_unavailable"
    assert not any(secret in str(error.value) for secret in SECRETS)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"access_token": "a\\nb", "expires_in": 1}', b"{}"])
def test_an_answer_that_is_no_token(office: FakeOffice, epo: Epo, body: bytes):
    office.put("/auth/accesstoken", body)
    with pytest.raises(OfficeError, match="token") as error:
        fetch(epo)
    assert error.value.reason == "office_unavailable"


def test_the_number_of_retrievals_that_is_allowed_sets_the_pace(office: FakeOffice, epo: Epo):
    control = "busy (images=green:100, other=green:1000, retrieval=yellow:50, search=green:15)"
    office.put_epo(
        PATH,
        "biblio",
        Answer(RECORD, headers={"X-Throttling-Control": f"{control}search=green:15)"}),
    )
    fetch(epo)
    assert epo.connection.pace.interval == pytest.approx(1.2)


def test_a_suspension_is_waited_for_if_it_is_short(office: FakeOffice, epo: Epo):
    headers = {"X-Throttling-Control": "overloaded (retrieval=black:0)", "Retry-After": "200"}
    office.put_epo(PATH, "biblio", Answer(status=403, headers=headers), RECORD)
    assert fetch(epo) == RECORD


def test_a_long_suspension_is_an_error(office: FakeOffice, epo: Epo):
    headers = {"X-Throttling-Control": "overloaded (retrieval=black:0)", "Retry-After": "60000"}
    office.put_epo(PATH, "biblio", Answer(status=403, headers=headers))
    with pytest.raises(OfficeError, match=r"busy: .* in 60 seconds") as error:
        fetch(epo)
    assert error.value.reason == "office_busy"


@pytest.mark.parametrize(
    ("reason", "period"), [("IndividualQuotaPerHour", "hour"), ("RegisteredQuotaPerWeek", "week")]
)
def test_a_quota_that_is_used_up(office: FakeOffice, epo: Epo, reason: str, period: str):
    office.put_epo(PATH, "biblio", Answer(status=403, headers={"X-Rejection-Reason": reason}))
    with pytest.raises(OfficeError, match=f"quota of the {period}") as error:
        fetch(epo)
    assert error.value.reason == "office_busy"


def test_an_unexpected_status(office: FakeOffice, epo: Epo):
    office.put_epo(PATH, "biblio", Answer(status=418))
    with pytest.raises(OfficeError, match="status 418"):
        fetch(epo)


@pytest.mark.parametrize("without", ["epo_key", "epo_secret"])
def test_without_keys_the_error_says_how_to_get_them(office: FakeOffice, without: str):
    with pytest.raises(OfficeError, match=r"PATCLASS_OFFICES_EPO_SECRET .*developers.epo.org"):
        Epo(office.settings(**{without: None}))


@pytest.mark.parametrize("key", ["a\nb", "clé", "\x7f", "  "])
def test_a_key_that_is_none_is_not_repeated(office: FakeOffice, key: str):
    with pytest.raises(OfficeError, match="PATCLASS_OFFICES_EPO_KEY is no key") as error:
        Epo(office.settings(epo_key=key))
    assert key not in str(error.value).replace("no key: expected", "") or not key.strip()
