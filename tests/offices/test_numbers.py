"""Publication numbers in the spellings that people and databases use."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.core.errors import OfficeError
from patclass.offices.numbers import ACCEPTED, PublicationNumber

parse = PublicationNumber.parse

SPELLINGS = {
    "EP1000000A1": [
        "EP1000000A1",
        "EP 1 000 000 A1",
        "ep-1000000-a1",
        "EP.1000000.A1",
        " EP1000000 A1\n",
    ],
    "EP0000123B1": ["EP123B1", "EP 0000123 B1"],
    "US11646472B2": ["US11646472B2", "US 11,646,472 B2", "US-11646472-B2", "US 011646472 B2"],
    "US11646472": ["US 11,646,472", "us11646472"],
    "US20250204297A1": ["US2025/0204297 A1", "US20250204297A1", "US2025204297A1"],
    "WO2022259205": ["WO2022/259205", "WO 2022/259205", "WO/2022/259205"],
    "WO2022259205A1": ["WO2022/259205 A1"],
    "WO0212345A1": ["WO 02/12345 A1"],
    "USRE49123E1": ["US RE49,123 E1", "USRE049123E1"],
    "JPH0123456A": ["JP H01-23456 A", "JPH0123456A"],
    "CN101234567B": ["CN 101234567 B", "\uff23\uff2e101234567B"],
    "DE102004012345A1": ["DE 10 2004 012 345 A1"],
    "ATE123456T1": ["AT E 123456 T1"],
    "EA000123B1": ["EA 000123 B1"],
}


@pytest.mark.parametrize(
    ("spelling", "number"),
    [(spelling, number) for number, every in SPELLINGS.items() for spelling in every],
)
def test_a_number_is_read_in_any_spelling(spelling: str, number: str):
    assert str(parse(spelling)) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "EP", "11,646,472", "1000000", "EPO1000000", "EP1000000A12", "EP1000000AB"),
        *(
            "US D",
            "EP0000",
            "EP1000000A1; EP2",
            "EP1000000A1/../../x",
            "EP1000000A1?x=1",
            "A61K 31/00",
        ),
        *("PCT/IB2022/055385", "EP1000000\u0661", "EP\x00100", "EP" + "1" * 15, "EP1" + " " * 70),
        *("http://example.org", "A loom has a shedding device."),
    ],
)
def test_anything_else_is_an_error_that_names_it(text: str):
    with pytest.raises(OfficeError) as error:
        parse(text)
    assert error.value.reason == "number_invalid"
    assert ACCEPTED in str(error.value)
    assert repr(text[:60])[:20] in str(error.value)
    assert error.value.settings == ("number",)


def test_a_long_text_is_not_repeated():
    with pytest.raises(OfficeError) as error:
        parse("A loom. " * 1000)
    assert len(str(error.value)) < 400


def test_what_the_offices_need_to_know():
    assert parse("US2025/0204297 A1").is_us_application
    assert not parse("US 11,646,472").is_us_application
    assert not parse("WO2022/259205").is_us_application
    assert parse("USD0930529S1").is_us_design
    assert parse("US D930,529").is_us_design
    assert not parse("DE102004012345A1").is_us_design


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EP1000000A1", "EP1000000A1", True),
        ("EP1000000", "EP1000000A1", True),
        ("EP1000000A1", "EP1000000B1", False),
        ("EP1000000A1", "EP1000001A1", False),
        ("EA000123B1", "EA123B1", True),
        ("US11646472B2", "EP11646472B2", False),
        ("USRE49123", "US49123", False),
    ],
)
def test_two_numbers_of_one_publication(one: str, other: str, same: bool):
    assert parse(one).is_same(parse(other)) is same
    assert parse(other).is_same(parse(one)) is same


@given(
    country=st.sampled_from(["EP", "US", "WO", "CN", "DE", "JP", "KR", "GB"]),
    digits=st.integers(1, 10**13).map(str),
    kind=st.from_regex(r"([A-Z][0-9]?)?", fullmatch=True),
    separators=st.lists(st.sampled_from(["", " ", ",", "-", ".", "/", "\u00a0"]), min_size=16),
)
def test_separators_make_no_difference(country: str, digits: str, kind: str, separators: list[str]):
    whole = country + digits + kind
    spread = "".join(char + gap for char, gap in zip(whole, separators * 2, strict=False))
    assert parse(spread) == parse(whole)
    assert parse(str(parse(whole))) == parse(whole)


@given(st.text())
def test_any_text_is_a_number_that_is_safe_in_an_address_or_an_error(text: str):
    with suppress(OfficeError):
        assert re.fullmatch(r"[A-Z]{2,4}[0-9]{1,14}([A-Z][0-9]?)?", str(parse(text)))
