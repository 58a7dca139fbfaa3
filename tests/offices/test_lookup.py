"""A patent by its number, from either office, once; what they answered is kept, within bounds."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fake_offices import (
    ABSTRACT,
    CLAIMS,
    DESCRIPTION,
    SECRETS,
    TITLE,
    Answer,
    FakeOffice,
    exchange_document,
    odp_record,
    ops_biblio,
    ops_full_text,
    us_grant,
)
from patclass.core.errors import ConfigError, OfficeError
from patclass.offices.lookup import ABSENT_DAYS, DAY, Cache, Offices
from patclass.offices.patent import OfficePatent

EPO_PATH = "docdb/EP.1000000.A1"
RECORD = ops_biblio(exchange_document("EP", "1000000", "A1"))
SEARCH = "/api/v1/patent/applications/search"

Make = Callable[..., Offices]


@pytest.fixture
def make(office: FakeOffice, tmp_path: Path) -> Iterator[Make]:
    """Offices that ask the server without pauses, with a cache of their own."""
    made = []

    def offices(**changes: Any) -> Offices:
        found = Offices(office.settings(cache=tmp_path / "cache", **changes))
        for each in found._offices.values():
            each.connection.pace.interval = 0.0
        made.append(found)
        return found

    yield offices
    for each in made:
        each.close()


def put_epo(office: FakeOffice, abstract: str | None = ABSTRACT, language: str = "en") -> None:
    record = ops_biblio(exchange_document("EP", "1000000", "A1", abstract, language))
    office.put_epo(EPO_PATH, "biblio", record)


def test_a_patent_of_the_epo(office: FakeOffice, make: Make):
    put_epo(office)
    assert make().find("EP 1 000 000 A1") == OfficePatent(
        number="EP1000000A1",
        office="EPO",
        title=TITLE,
        abstract=ABSTRACT,
        claims=None,
        description=None,
        codes=("D03C13/00",),
    )


def test_a_patent_of_the_uspto(office: FakeOffice, make: Make):
    office.put_grant("11646472")
    found = make().find("US 11,646,472", wanted=("description",))
    assert (found.number, found.office, found.title) == ("US11646472B2", "USPTO", TITLE)
    assert (found.abstract, found.claims, found.description) == (ABSTRACT, None, DESCRIPTION)


def test_more_parts_are_fetched_if_they_are_wanted(office: FakeOffice, make: Make):
    put_epo(office)
    for part in ("claims", "description"):
        office.put_epo(EPO_PATH, part, ops_full_text("EP", "1000000", "A1", part))
    found = make().find("EP1000000A1", wanted=("claims", "description"))
    assert (found.claims, found.description) == ("\n".join(CLAIMS), DESCRIPTION)


def test_claims_that_are_missing_are_no_error(office: FakeOffice, make: Make):
    put_epo(office)
    found = make().find("EP1000000A1", wanted=("claims", "description"))
    assert (found.abstract, found.claims, found.description) == (ABSTRACT, None, None)


@pytest.mark.parametrize(("abstract", "language"), [(None, "en"), ("Eine Webmaschine.", "de")])
def test_claims_stand_in_for_an_abstract_in_english(
    office: FakeOffice, make: Make, abstract: str | None, language: str
):
    put_epo(office, abstract, language)
    office.put_epo(EPO_PATH, "claims", ops_full_text("EP", "1000000", "A1", "claims"))
    found = make().find("EP1000000A1")
    assert (found.abstract, found.claims) == (None, "\n".join(CLAIMS))


def test_the_description_stands_in_for_both(office: FakeOffice, make: Make):
    put_epo(office, None)
    office.put_epo(EPO_PATH, "claims", ops_full_text("EP", "1000000", "A1", "claims", "DE"))
    office.put_epo(EPO_PATH, "description", ops_full_text("EP", "1000000", "A1", "description"))
    assert make().find("EP1000000A1").description == DESCRIPTION


def test_without_a_kind_the_publication_with_an_abstract_is_taken(office: FakeOffice, make: Make):
    grant = exchange_document("EP", "1000000", "B1", None)
    record = ops_biblio(grant, exchange_document("EP", "1000000", "A1"))
    office.put_epo("epodoc/EP1000000", "biblio", record)
    office.put_epo(EPO_PATH, "claims", ops_full_text("EP", "1000000", "A1", "claims"))
    found = make().find("EP1000000", wanted=["claims"])
    assert (found.number, found.abstract) == ("EP1000000A1", ABSTRACT)
    assert found.claims is not None


def test_the_same_number_costs_no_second_request(office: FakeOffice, make: Make):
    put_epo(office)
    first = make().find("EP1000000A1", wanted=["claims"])
    asked = len(office.requests)
    offices = make()
    assert offices.find("EP 1 000 000 A1", wanted=["claims"]) == first
    assert len(office.requests) == asked
    make(cache_megabytes=0).find("EP1000000A1")
    assert len(office.requests) > asked


def test_several_threads_ask_once(office: FakeOffice, make: Make):
    put_epo(office)
    offices = make()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(offices.find, ["EP1000000A1"] * 8))
    assert found == found[:1] * 8
    assert len(office.requests) == 2  # with the one for the token


def failing(make: Make, number: str, reason: str, **changes: Any) -> str:
    with pytest.raises(OfficeError) as error:
        make(**changes).find(number)
    assert error.value.reason == reason
    return str(error.value)


def test_a_number_that_no_office_has(office: FakeOffice, make: Make):
    assert "the EPO has no publication EP9999999A1" in failing(
        make, "EP9999999A1", "unknown_number"
    )
    assert "the USPTO has no publication US99999999" in failing(
        make, "US99999999", "unknown_number"
    )


def test_what_the_uspto_does_not_have_may_be_at_the_epo(office: FakeOffice, make: Make):
    """Patents of before 2001, or any US patent without a key of the USPTO."""
    record = ops_biblio(exchange_document("US", "4347903", "A"))
    office.put_epo("docdb/US.4347903.A", "biblio", record)
    found = make().find("US 4,347,903 A")
    assert (found.number, found.office, found.abstract) == ("US4347903A", "EPO", ABSTRACT)
    record = ops_biblio(exchange_document("US", "2025204297", "A1"))
    office.put_epo("docdb/US.2025204297.A1", "biblio", record)
    found = make(uspto_key=None).find("US2025/0204297 A1")
    assert (found.number, found.office) == ("US20250204297A1", "EPO")
    assert "before 2001" in failing(make, "US1234567", "unknown_number", epo_key=None)


def test_the_uspto_is_not_passed_over_while_it_is_busy(office: FakeOffice, make: Make):
    office.put(SEARCH, Answer(status=429, headers={"Retry-After": "5000"}))
    failing(make, "US4347903A", "office_busy")
    assert set(office.requests) == {SEARCH}


def test_an_office_without_keys_says_so_only_for_its_numbers(office: FakeOffice, make: Make):
    office.put_grant("11646472")
    assert make(epo_key=None).find("US11646472").office == "USPTO"
    message = failing(make, "EP1000000A1", "office_unavailable", epo_key=None)
    assert "PATCLASS_OFFICES_EPO_KEY" in message


def test_keys_for_no_office_are_an_error_at_once(make: Make):
    with pytest.raises(ConfigError, match=r"PATCLASS_OFFICES_EPO_KEY .*PATCLASS_OFFICES_USPTO_KEY"):
        make(epo_key=None, uspto_key=None)


def test_a_design_is_refused_without_a_request(office: FakeOffice, make: Make):
    assert "design" in failing(make, "USD0930529S1", "no_text")
    assert office.requests == []


@pytest.mark.parametrize(
    ("abstract", "language", "said"),
    [(None, "en", "only a title"), ("Eine Webmaschine.", "de", "only in German")],
)
def test_no_text_in_english(
    office: FakeOffice, make: Make, abstract: str | None, language: str, said: str
):
    put_epo(office, abstract, language)
    assert said in failing(make, "EP1000000A1", "no_text")


def test_a_patent_of_which_the_uspto_has_no_document(office: FakeOffice, make: Make):
    office.put(SEARCH, odp_record("4347903", None))
    with pytest.raises(OfficeError) as error:
        make().find("US4347903")
    assert error.value.reason in ("no_text", "office_unavailable")


@pytest.mark.parametrize("body", [b"<html>Maintenance</html>", b"\x00\xff", RECORD[:-60]])
def test_an_answer_that_is_no_patent_is_not_kept(office: FakeOffice, make: Make, body: bytes):
    office.put_epo(EPO_PATH, "biblio", body)
    assert "does not answer with" in failing(make, "EP1000000A1", "office_unavailable")
    put_epo(office)
    assert make().find("EP1000000A1").abstract == ABSTRACT


def test_another_patent_than_the_one_asked_for_is_refused(office: FakeOffice, make: Make):
    record = ops_biblio(exchange_document("EP", "1000001", "A1"))
    office.put_epo(EPO_PATH, "biblio", record)
    assert "does not answer with" in failing(make, "EP1000000A1", "office_unavailable")


def test_a_look_up_ends_with_its_deadline(office: FakeOffice, make: Make):
    office.put_epo(EPO_PATH, "biblio", Answer(status=503, headers={"Retry-After": "5000"}))
    with pytest.raises(OfficeError) as error:
        make().find("EP1000000A1", seconds=1)
    assert error.value.reason == "office_busy"


def test_keys_are_in_no_error_log_or_file(
    office: FakeOffice, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    put_epo(office)
    office.put_grant("11646472")
    office.put("/files/11646472.xml", Answer(b"", 403))
    offices = make()
    offices.find("EP1000000A1")
    with pytest.raises(OfficeError) as error:
        offices.find("US11646472")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = "".join(traceback.format_exception(error.value)) + caplog.text + repr(vars(offices))
    for secret in SECRETS:
        assert secret not in shown
        assert secret.encode() not in kept


def test_us_grant_of_another_kind(office: FakeOffice, make: Make):
    office.put_grant("11646472", "B1")
    assert us_grant("11646472", "B1")
    assert "does not answer with" in failing(make, "US11646472B2", "office_unavailable")


class Now:
    """A time that a test sets."""

    seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def cache_in(folder: Path, now: Now, days: float = 30, max_bytes: int = 1000) -> Cache:
    return Cache(folder / "made" / "later", days, max_bytes, now)


def test_what_was_put_is_there_until_it_is_too_old(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    assert cache.get("EPO-EP1-record") is None
    cache.put("EPO-EP1-record", b"<xml/>")
    now.seconds += 30 * DAY - 1
    assert cache.get("EPO-EP1-record") == b"<xml/>"
    assert cache.get("EPO-EP1-claims") is None
    now.seconds += 2
    assert cache.get("EPO-EP1-record") is None


def test_another_process_finds_it(tmp_path: Path, now: Now):
    cache_in(tmp_path, now).put("a", b"1")
    assert cache_in(tmp_path, now).get("a") == b"1"


def test_what_an_office_does_not_have_is_asked_again_after_a_day(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"")
    assert cache.get("a") == b""
    now.seconds += ABSENT_DAYS * DAY + 1
    assert cache.get("a") is None


def test_a_file_of_the_future_does_not_count(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    now.seconds -= 10
    assert cache.get("a") is None


def test_the_oldest_files_yield(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=25)
    for name in ("a", "b", "c"):
        cache.put(name, b"0123456789")
        now.seconds += 1
    assert [cache.get(name) is not None for name in ("a", "b", "c")] == [False, True, True]
    cache.put("d", b"x" * 26)
    assert cache.get("d") is None
    assert cache.get("c") is not None


def test_files_that_are_too_old_are_deleted(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    now.seconds += 31 * DAY
    cache.put("b", b"1")
    assert len(list((tmp_path / "made" / "later").iterdir())) == 1


def test_nothing_else_in_the_folder_is_touched(tmp_path: Path, now: Now):
    cache = Cache(tmp_path, 30, 5, now)
    (tmp_path / "thesis.txt").write_text("x" * 1000)
    cache.put("a", b"12345")
    cache.put("b", b"12345")
    assert (tmp_path / "thesis.txt").exists()


def test_without_room_nothing_is_written(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=0)
    cache.put("a", b"1")
    cache.put("b", b"")
    assert cache.get("a") is None
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_costs_only_requests(tmp_path: Path, now: Now):
    (tmp_path / "made").write_text("a file")
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    assert cache.get("a") is None


def test_several_threads_write_the_same_file(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=100_000)
    threads = [
        threading.Thread(target=cache.put, args=("a", b"0123456789" * 100)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("a") == b"0123456789" * 100
    assert len(list((tmp_path / "made" / "later").iterdir())) == 1
