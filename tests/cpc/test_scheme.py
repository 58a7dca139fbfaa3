"""The tables of the scheme: complete, sorted, and as the offices publish them."""

import lzma
import re
import runpy
from importlib import resources

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import ROOT, SHARED
from patclass.core.errors import DataError
from patclass.cpc.scheme import (
    SECTIONS,
    _groups_of,
    _packed_groups,
    absence_of,
    changes,
    official_title,
    parse_code,
    path_titles,
    section_of,
    title_of,
    titles,
)
from patclass.cpc.symbols import code_path

TABLE = SHARED / "data" / "ipc-titles.tsv.gz"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    table = resources.files("patclass.cpc") / "cpc.tsv"
    return table.read_text(encoding="utf-8").splitlines()


def test_every_line_has_a_code_and_a_title(lines: list[str]):
    assert lines[0] == "code\ttitle"
    for line in lines[1:]:
        code, title = line.split("\t")
        assert re.fullmatch(r"[A-HY](\d\d[A-Z]?)?", code), line
        assert title, line
        assert title == " ".join(title.split()), line


def test_codes_are_sorted_and_unique(lines: list[str]):
    codes = [line.split("\t")[0] for line in lines[1:]]
    assert codes == sorted(set(codes))
    assert list(titles()) == codes


def test_there_are_nine_sections():
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
    # Classes for subject matter not provided for elsewhere have few or no subclasses.
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


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("A01B1/00", "Hand tools"),
        ("A01B1/04", "Spades; Shovels › with teeth"),
        ("A61K31/00", "Medicinal preparations containing organic active ingredients"),
        ("G06N3/08", "Neural networks › Learning methods"),
        ("H99Z99/00", "Subject matter not otherwise provided for in this section"),
    ],
)
def test_groups_have_the_titles_of_the_ipc(code: str, title: str):
    assert official_title(code) == title
    assert title_of(code) == title


@pytest.mark.parametrize(
    "code",
    ["A61Z", "A61K31/99999", "A61K2300/00", "Y02E10/50", "A61Z1/00", "A61K31", "", "sport/1"],
)
def test_a_code_without_a_title_is_called_by_itself(code: str):
    assert official_title(code) is None
    assert title_of(code) == code


def test_a_title_has_neither_holes_nor_spaces_too_many():
    for code in ("H01L21/027", "A01B76/00", "C07D501/00", "B01D50/40"):
        title = title_of(code)
        assert title == " ".join(title.split()), title
        assert not title.endswith((",", " or", " and")), title
        assert " ," not in title, title


def test_groups_are_not_read_before_a_title_of_one_is_asked_for():
    _packed_groups.cache_clear()
    _groups_of.cache_clear()
    assert title_of("A61K") != "A61K"
    assert parse_code("A61K31/7036") == "A61K31/7036"
    assert absence_of("A61K31/00") is None
    assert _packed_groups.cache_info().currsize == 0
    assert title_of("A61K31/00") != "A61K31/00"
    assert _packed_groups.cache_info().currsize == 1


SCRIPT = runpy.run_path(str(ROOT / "scripts" / "group_titles.py"))


def test_titles_are_packed_by_subclass_with_their_dots():
    table = {
        "A01B1/00": ("Hand tools",),
        "A01B1/04": ("Hand tools", "Spades", "Shovels", "with teeth "),
        "A01B1/02": ("Hand tools", "Spades", "Shovels"),
        "A01B10/00": ("Other tools not provided for in groups ,  or ",),
        "A01B3/00": ("Ploughs", "Ploughs with  fixed shares , e.g. steel"),
        "A01C1/00": ("Sowing",),
    }
    assert SCRIPT["packed"](table).split("\n") == [
        *("A01B 1 02a 04b 3 10", "A01C 1", ""),
        *("Hand tools", "Spades; Shovels", "with teeth"),
        "Ploughs; Ploughs with fixed shares, e.g. steel",
        *("Other tools not provided for in groups", "Sowing"),
    ]


@pytest.mark.full
@pytest.mark.skipif(not TABLE.is_file(), reason="the shared data is not on this machine")
def test_the_titles_of_the_package_are_those_of_the_table():
    packed = SCRIPT["packed"](SCRIPT["read"](TABLE))
    file = resources.files("patclass.cpc") / "groups.txt.xz"
    assert lzma.decompress(file.read_bytes()).decode() == packed
    assert len(file.read_bytes()) < 900_000


# As ccdv/patent-classification spells them, "Lightning" included.
CCDV = {
    "A": "Human Necessities",
    "B": "Performing Operations; Transporting",
    "C": "Chemistry; Metallurgy",
    "D": "Textiles; Paper",
    "E": "Fixed Constructions",
    "F": "Mechanical Engineering; Lightning; Heating; Weapons; Blasting",
    "G": "Physics",
    "H": "Electricity",
    "Y": "General tagging of new or cross-sectional technology",
}


def test_there_are_nine_sections_in_the_order_of_their_letters():
    assert "".join(SECTIONS) == "ABCDEFGHY"


@pytest.mark.parametrize("names", [CCDV, SECTIONS])
@pytest.mark.parametrize("spell", [str, str.upper, str.lower, lambda name: f"  {name}\n"])
def test_every_spelling_of_a_section_name_is_recognised(names: dict[str, str], spell: type[str]):
    assert [section_of(spell(name)) for name in names.values()] == list("ABCDEFGHY")


@pytest.mark.parametrize("spell", [str, str.lower, lambda letter: f" {letter} "])
def test_a_section_letter_is_its_own_code(spell: type[str]):
    assert [section_of(spell(letter)) for letter in "ABCDEFGHY"] == list("ABCDEFGHY")


@pytest.mark.parametrize(
    "name",
    ["", "  ", "I", "Z", "A61", "AB", "human", "fixed", "Physician", "Sports news", "0", ";"],
)
def test_other_names_are_not_sections(name: str):
    assert section_of(name) is None


quick = settings(deadline=None, max_examples=200)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A61K 31/00", "A61K31/00"),
        ("A61K31", "A61K31/00"),
        ("a61k 31/7036", "A61K31/7036"),
        ("A61K0031703600", "A61K31/7036"),
        ("A61K 31/00 (2006.01)", "A61K31/00"),
        ("A61K2300/00", "A61K2300/00"),
        ("A61K31/99999", "A61K31/99999"),
        ("y02e 10/50", "Y02E10/50"),
        (" a61k ", "A61K"),
        ("a 61 k", "A61K"),
        ("A61", "A61"),
        ("y02", "Y02"),
        ("A", "A"),
        ("h", "H"),
    ],
)
def test_a_code_is_parsed_in_any_spelling(text: str, code: str):
    assert parse_code(text) == code


@pytest.mark.parametrize("text", ["", " ", "A6", "foo", "Z01", "A61-K", "A61K;G06F", "Å61", "A٦١"])
def test_an_invalid_symbol_is_reported(text: str):
    with pytest.raises(DataError, match="not a CPC symbol; give a section") as caught:
        parse_code(text)
    assert repr(text) in str(caught.value)


def test_a_long_input_is_shortened_in_the_error():
    with pytest.raises(DataError) as caught:
        parse_code("A method of " + "milking cows " * 1000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "code", "offered"),
    [
        ("A61Z", "A61Z", "A61 has A61L, A61M, A61N, A61P, A61Q, …"),
        ("a61a 1/00", "A61A", "A61 has A61B, A61C, A61D, A61F, A61G, …"),
        ("A55", "A55", "A has A46, A47, A61, A62, A63, …"),
        ("A55K", "A55K", "A has A46, A47, A61, A62, A63, …"),
        ("Y11", "Y11", "Y has Y02, Y04, Y10"),
    ],
)
def test_an_unknown_code_is_reported_with_its_known_parent(text: str, code: str, offered: str):
    with pytest.raises(DataError) as caught:
        parse_code(text)
    assert str(caught.value) == (
        f"{code} is no code of the CPC, nor a known former one; {offered}."
    )


def test_the_path_runs_from_the_section_down():
    medical = ("A61", "Medical or veterinary science; hygiene")
    assert path_titles("A") == (("A", "Human necessities"),)
    assert path_titles("a61") == (("A", "Human necessities"), medical)
    group = (
        ("A", "Human necessities"),
        medical,
        ("A61K", "Preparations for medical, dental or toiletry purposes"),
        ("A61K31/00", "Medicinal preparations containing organic active ingredients"),
    )
    assert path_titles("A61K 31") == group
    assert path_titles("a61k31/99999") == (*group, ("A61K31/99999", "A61K31/99999"))


def test_the_path_of_an_unknown_code_is_refused_too():
    with pytest.raises(DataError, match="A61Z is no code of the CPC"):
        path_titles("A61Z")


def test_every_code_of_the_table_parses_to_itself():
    for code, title in titles().items():
        assert parse_code(code) == code
        assert path_titles(code)[-1] == (code, title)


@quick
@example("A99Z")
@example("Y99Z 1/00")
@example("A\x00")
@given(
    st.text()
    | st.from_regex(r"[A-HYa-hy]([0-9]{2}([A-Z]( ?[0-9]{1,4}(/[0-9]{2,6})?)?)?)?", fullmatch=True)
)
def test_any_input_is_a_known_code_or_a_clear_error(text: str):
    try:
        code = parse_code(text)
    except DataError:
        return
    assert code[:4] in titles()
    assert parse_code(code) == code
    path = path_titles(text)
    assert [part for part, _ in path] == list(code_path(code))
    assert all(title for _, title in path)


# Codes that the scheme had before its table, or has had since


def test_changes_are_of_subclasses_that_the_table_lacks():
    table = resources.files("patclass.cpc") / "changes.tsv"
    assert table.read_text(encoding="utf-8").startswith("code\tsince\tuntil\trelated\n")
    assert list(changes()) == sorted(changes())
    for change in changes().values():
        assert re.fullmatch(r"[A-HY]\d\d[A-Z]", change.code)
        assert change.code not in titles()
        assert set(change.related) <= set(titles())
        assert all(year is None or 1970 < int(year) < 2030 for year in (change.since, change.until))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("A61K", None),
        ("A61", None),
        ("A61K31/99999", None),
        ("F24J", "is no longer in the CPC (until 2017; now F24S, F24T, F24V)"),
        ("C12S", "is no longer in the CPC"),
        ("A23Y", "is no longer in the CPC (now A23V)"),
        ("H10W", "is newer than the table of the CPC here (since 2026; before H01L)"),
        ("C01L", "is no code of the CPC, nor a known former one"),
        ("A97", "is no code of the CPC, nor a known former one"),
    ],
)
def test_former_codes_and_those_that_never_were_are_told_apart(code: str, why: str | None):
    assert absence_of(code) == why


def test_a_former_code_is_refused_with_what_became_of_it():
    with pytest.raises(DataError, match=r"^F24J is no longer in the CPC \(until 2017; now F24S, "):
        parse_code("F24J 2/54")
