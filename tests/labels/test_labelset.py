import pytest

from patclass.errors import DataError
from patclass.labels import Label, LabelSet
from patclass.labels.sections import SECTIONS


def test_codes_keep_their_order_and_those_of_cpc_get_their_titles():
    labels = LabelSet.of_codes(["H", "A61", "A", "A61Z", "pumps"])
    assert labels.codes == ["H", "A61", "A", "A61Z", "pumps"]
    assert [label.name for label in labels] == [
        "Electricity",
        "Medical or veterinary science; hygiene",
        "Human Necessities",
        "A61Z",
        "pumps",
    ]


def test_a_code_leads_to_its_position_and_back():
    labels = LabelSet.of_codes(["H", "A61", "A"])
    assert len(labels) == 3
    assert [labels.index(labels[position].code) for position in range(3)] == [0, 1, 2]
    assert labels[1] == Label("A61", "Medical or veterinary science; hygiene")


def test_only_codes_of_the_set_are_in_it():
    labels = LabelSet.of_codes(["H", "A61"])
    assert "A61" in labels
    assert "A" not in labels
    with pytest.raises(KeyError):
        labels.index("A")


def test_a_code_that_occurs_twice_is_refused_with_all_codes():
    with pytest.raises(DataError, match=r"a label occurs twice among \['A', 'B', 'A'\]"):
        LabelSet.of_codes(["A", "B", "A"])


def test_names_of_sections_get_their_letters_in_the_given_order():
    names = ["Physics", "General tagging of new technology", "Textiles; paper", "human necessities"]
    labels = LabelSet.of_names(names)
    assert labels.codes == ["G", "Y", "D", "A"]
    assert [label.name for label in labels] == [SECTIONS[code] for code in "GYDA"]


@pytest.mark.parametrize(
    "names",
    [
        ["World", "Sports", "Business"],
        ["Physics", "Sports"],
        ["Human Necessities", "Human Resources"],
    ],
)
def test_names_that_are_not_all_different_sections_stay_as_they_are(names: list[str]):
    labels = LabelSet.of_names(names)
    assert [(label.code, label.name) for label in labels] == [(name, name) for name in names]


def test_two_sets_of_the_same_labels_are_equal_and_the_order_counts():
    assert LabelSet.of_codes(["A", "B"]) == LabelSet.of_codes(["A", "B"])
    assert LabelSet.of_codes(["A", "B"]) != LabelSet.of_codes(["B", "A"])
