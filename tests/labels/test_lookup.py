"""What people type: read if it can be read, and a way out named if not."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.errors import DataError
from patclass.labels.cpc import titles
from patclass.labels.lookup import parse_code, path_titles

quick = settings(deadline=None, max_examples=200)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A61K 31/00", "A61K"),
        ("A61K31/00", "A61K"),
        ("A61K 31/00 (2006.01)", "A61K"),
        (" a61k ", "A61K"),
        ("a 61 k", "A61K"),
        ("A61", "A61"),
        ("y02", "Y02"),
        ("A", "A"),
        ("h", "H"),
    ],
)
def test_a_code_is_read_however_it_is_typed(text: str, code: str):
    assert parse_code(text) == code


@pytest.mark.parametrize("text", ["", " ", "A6", "foo", "Z01", "A61-K", "A61K;G06F", "Å61", "A٦١"])
def test_what_is_no_symbol_is_named(text: str):
    with pytest.raises(DataError, match="not a CPC symbol; give a section") as caught:
        parse_code(text)
    assert repr(text) in str(caught.value)


def test_a_whole_document_is_not_repeated():
    with pytest.raises(DataError) as caught:
        parse_code("A method of " + "milking cows " * 1000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A61Z", "A61Z does not exist in CPC; A61 has A61L, A61M, A61N, A61P, A61Q, …."),
        ("a61a 1/00", "A61A does not exist in CPC; A61 has A61B, A61C, A61D, A61F, A61G, …."),
        ("A55", "A55 does not exist in CPC; A has A46, A47, A61, A62, A63, …."),
        ("A55K", "A55K does not exist in CPC; A has A46, A47, A61, A62, A63, …."),
        ("Y11", "Y11 does not exist in CPC; Y has Y02, Y04, Y10."),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(text: str, message: str):
    with pytest.raises(DataError) as caught:
        parse_code(text)
    assert str(caught.value) == message


def test_the_path_runs_from_the_section_down():
    medical = ("A61", "Medical or veterinary science; hygiene")
    assert path_titles("A") == (("A", "Human necessities"),)
    assert path_titles("a61") == (("A", "Human necessities"), medical)
    assert path_titles("A61K 31/00") == (
        ("A", "Human necessities"),
        medical,
        ("A61K", "Preparations for medical, dental or toiletry purposes"),
    )


def test_the_path_of_what_does_not_exist_is_refused_as_well():
    with pytest.raises(DataError, match="A61Z does not exist"):
        path_titles("A61Z")


def test_every_code_of_the_table_is_read_as_itself():
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
def test_anything_typed_is_a_known_code_or_an_error_that_says_so(text: str):
    try:
        code = parse_code(text)
    except DataError:
        return
    assert code in titles()
    assert [part for part, _ in path_titles(text)][-1] == code
