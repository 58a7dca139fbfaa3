import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.data.cleaning import clean
from patclass.data.text import TextView

ALL = ("id", "title", "abstract", "claims", "description")


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (("text", *ALL), ("text",)),
        (ALL, ("title", "abstract")),
        (("id", "abstract"), ("abstract",)),
        (("id", "title"), ("title",)),
        (("description", "claims"), ("claims",)),
        (("description",), ("description",)),
    ],
)
def test_auto_uses_text_or_else_title_and_abstract_or_else_the_full_text(
    columns: tuple[str, ...], chosen: tuple[str, ...]
):
    assert TextView.parse("auto", columns).columns == chosen


@pytest.mark.parametrize("spec", ["claims", "title+abstract", "abstract+title", "id"])
def test_columns_are_joined_in_the_order_in_which_they_are_named(spec: str):
    view = TextView.parse(spec, ALL)
    assert view.columns == tuple(spec.split("+"))
    assert str(view) == spec


def test_a_missing_column_is_reported_with_the_available_ones():
    with pytest.raises(DataError, match=r"no column 'body' .*\(title\+body\).*abstract, claims"):
        TextView.parse("title+body", ALL)


def test_auto_without_a_known_column_lists_the_available_ones():
    with pytest.raises(DataError, match=r"no column 'text' .*there are body, id\."):
        TextView.parse("auto", ["id", "body"])


def test_data_without_columns_are_reported():
    with pytest.raises(DataError, match=r"there are none\."):
        TextView.parse("auto", [])


@pytest.mark.parametrize(
    ("title", "joined"),
    [("A valve", "A valve. A seat."), ("Why a valve?", "Why a valve? A seat."), (" ", "A seat.")],
)
def test_parts_are_joined_as_sentences(title: str, joined: str):
    assert (
        TextView(("title", "abstract")).text_of({"title": title, "abstract": "A seat."}) == joined
    )


def test_empty_and_absent_fields_give_an_empty_text():
    assert TextView(("title", "abstract")).text_of({"title": None, "abstract": " \n"}) == ""
    assert TextView(("title", "abstract")).text_of({}) == ""


@settings(deadline=None, max_examples=100)
@given(st.lists(st.none() | st.text(alphabet="ab. \n\t\u00a0", max_size=6), min_size=2, max_size=4))
def test_a_text_is_clean_whichever_parts_are_missing(parts: list[str | None]):
    names = [f"part{number}" for number in range(len(parts))]
    text = TextView(tuple(names)).text_of(dict(zip(names, parts, strict=True)))
    assert text == clean(text)
    assert all(clean(part) in text for part in parts)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"text": "all", "title": "T", "abstract": "A"}, "all"),
        ({"summary": "own", "title": "T", "abstract": "A"}, "own"),
        ({"title": "T", "abstract": "A", "claims": "C"}, "T. A"),
        ({"claims": "C", "description": "D"}, "C"),
        ({"description": "D"}, "D"),
        ({"other": "O"}, ""),
    ],
)
def test_a_patent_has_a_text_whatever_its_fields(fields: dict[str, str], text: str):
    assert TextView(("summary",)).text_of_patent(fields) == text
