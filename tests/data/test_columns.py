import pytest

from patclass.data.columns import (
    ROLES,
    add_roles,
    columns_by_role,
    exclusion,
    fold,
    free_name,
    known_names,
    rivals,
    status_columns,
)
from sources import EXPORTS, Export


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("I P C", "i_p_c"),
        (" Publication-Number ", "publication_number"),
        ("Title (English)", "title_english"),
        ("ＴＩＴＬＥ", "title"),
        ("公开（公告）号", "公开_公告_号"),
        ("#", ""),
    ],
)
def test_case_spaces_and_punctuation_do_not_matter(name: str, folded: str):
    assert fold(name) == folded


def test_usual_names_are_folded():
    for names in ROLES.values():
        assert [fold(name) for name in names] == list(names)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_columns_of_databases_are_recognised(export: Export):
    assert columns_by_role(export.header) == export.roles


def test_columns_without_a_usual_name_have_no_role():
    assert columns_by_role(["remarks", "label"]) == {}


def test_a_whole_text_is_taken_where_there_is_no_title_and_abstract():
    assert columns_by_role(["body", "id"])["text"] == "body"
    assert "text" not in columns_by_role(["body", "title"])
    assert columns_by_role(["text", "title"])["text"] == "text"


def test_the_first_of_several_columns_of_a_role_is_taken():
    assert columns_by_role(["Abstract", "abstract"])["abstract"] == "Abstract"
    assert columns_by_role(["lens_id", "publication_number"])["id"] == "publication_number"


def test_english_is_taken_before_the_language_of_the_document():
    columns = ["Title", "Title (English)", "Abstract (Original Language)", "Abstract (English)"]
    assert columns_by_role(columns) == {"title": columns[1], "abstract": columns[3]}
    assert rivals(columns) == [columns[i] for i in (1, 0, 3, 2)]


def test_an_empty_column_is_taken_only_where_there_is_no_other():
    columns = ["Title", "Title (English)", "Abstract"]
    empty = {"Title (English)", "Abstract"}
    assert columns_by_role(columns, {}, empty) == {"title": "Title", "abstract": "Abstract"}


def test_an_address_is_no_class():
    assert columns_by_role(["ip", "title"]) == {"title": "title"}


def test_fields_are_found_by_their_role_and_by_their_own_name():
    fields = {"Titel": "Pumpe", "x": 1}
    add_roles(fields, {"title": "Titel"})
    assert fields == {"Titel": "Pumpe", "x": 1, "title": "Pumpe"}
    own = {"title": "a", "Titel": "b"}
    add_roles(own, {"title": "Titel"})
    assert own["title"] == "a"
    add_roles(own, {"title": "Titel"}, stated=("title",))
    assert own["title"] == "b"


def test_a_name_that_is_taken_is_marked_as_of_the_input():
    assert free_name("label", ("id",)) == "label"
    assert free_name("label", ("label",)) == "label (input)"
    assert free_name("label", ("label", "label (input)")) == "label (input) (input)"


def test_a_header_is_told_from_data():
    assert known_names(["Title", "Abstract", "other", 3, None]) == 2
    assert known_names(["A pump", "A pump has a valve."]) == 0


@pytest.mark.parametrize(
    ("publication", "stated", "reason"),
    [
        ("USD912345S1", {}, "a design patent"),
        ("US D912,345 S", {}, "a design patent"),
        ("US-D0912345-S1\nUS-11646472-B2", {}, "a design patent"),
        ("912345", {"kind": "S1"}, "a design patent"),
        ("912345", {"type": "Design Right"}, "a design patent"),
        ("912345", {"withdrawn": 1.0}, "withdrawn"),
        ("912345", {"withdrawn": "TRUE", "type": "utility"}, "withdrawn"),
        ("US11646472B2", {"withdrawn": 0, "type": "utility", "kind": "B2"}, None),
        ("US11646472B2\nUSD912345S1", {"withdrawn": None, "type": None, "kind": None}, None),
        ("USPP018222P2", {"kind": "P2", "type": "plant"}, None),  # it has a text and a symbol
        ("DE202010000123U1", {"withdrawn": ""}, None),
        ("D12345", {}, None),  # may be a number of the user's own
    ],
)
def test_what_says_that_a_row_is_no_patent_with_a_text(
    publication: str, stated: dict[str, object], reason: str | None
):
    found = exclusion(publication, stated)
    assert found is None if reason is None else found is not None and found.startswith(reason)


def test_the_columns_that_say_it_are_known_by_their_names():
    assert status_columns(["id", "Patent Type", "WIPO Kind", "Withdrawn"]) == (
        {"type": "Patent Type", "kind": "WIPO Kind", "withdrawn": "Withdrawn"}
    )
    assert status_columns(["id", "title"]) == {}
