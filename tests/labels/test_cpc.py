"""The table of the scheme: whole, in order, and what the office publishes."""

import re
from importlib import resources

import pytest

from patclass.labels.cpc import title_of, titles
from patclass.labels.sections import SECTIONS


@pytest.fixture(scope="module")
def lines() -> list[str]:
    table = resources.files("patclass.labels") / "cpc.tsv"
    return table.read_text(encoding="utf-8").splitlines()


def test_every_line_has_a_code_and_a_title(lines: list[str]):
    assert lines[0] == "code\ttitle"
    for line in lines[1:]:
        code, title = line.split("\t")
        assert re.fullmatch(r"[A-HY](\d\d[A-Z]?)?", code), line
        assert title, line
        assert title == " ".join(title.split()), line


def test_codes_are_sorted_and_none_stands_twice(lines: list[str]):
    codes = [line.split("\t")[0] for line in lines[1:]]
    assert codes == sorted(set(codes))
    assert list(titles()) == codes


def test_the_sections_are_nine():
    assert [code for code in titles() if len(code) == 1] == list(SECTIONS)
    assert len(SECTIONS) == 9


def test_every_code_has_its_parents():
    for code in titles():
        assert code[:1] in titles()
        assert code[:3] in titles()


def test_every_section_has_classes_and_every_class_subclasses():
    codes = set(titles())
    assert {code[:1] for code in codes if len(code) == 3} == set(SECTIONS)
    childless = {c for c in codes if len(c) == 3} - {c[:3] for c in codes if len(c) == 4}
    # Subject matter not provided for elsewhere is a class with little or nothing below it.
    assert all(code.endswith("99") for code in childless), childless


def test_the_table_is_as_large_as_the_scheme():
    assert 130 <= sum(len(code) == 3 for code in titles()) <= 145
    assert 650 <= sum(len(code) == 4 for code in titles()) <= 720


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("A", "Human necessities"),
        ("A61", "Medical or veterinary science; hygiene"),
        ("A61K", "Preparations for medical, dental or toiletry purposes"),
        ("G06F", "Electric digital data processing"),
        (
            "Y02E",
            "Reduction of greenhouse gas [GHG] emissions, related to energy generation, "
            "transmission or distribution",
        ),
    ],
)
def test_known_titles(code: str, title: str):
    assert title_of(code) == title


def test_a_code_without_a_title_is_called_by_itself():
    assert title_of("A61Z") == "A61Z"
