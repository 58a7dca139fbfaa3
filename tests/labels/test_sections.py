import pytest

from patclass.labels.sections import SECTIONS, section_of

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
def test_every_spelling_of_a_name_finds_its_letter(names: dict[str, str], spell: type[str]):
    assert [section_of(spell(name)) for name in names.values()] == list("ABCDEFGHY")


@pytest.mark.parametrize("spell", [str, str.lower, lambda letter: f" {letter} "])
def test_a_letter_stands_for_itself(spell: type[str]):
    assert [section_of(spell(letter)) for letter in "ABCDEFGHY"] == list("ABCDEFGHY")


@pytest.mark.parametrize(
    "name",
    ["", "  ", "I", "Z", "A61", "AB", "human", "fixed", "Physician", "Sports news", "0", ";"],
)
def test_other_names_are_no_section(name: str):
    assert section_of(name) is None
