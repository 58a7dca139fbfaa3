"""What nothing can be learnt from is refused in one line; what is doubtful is noted."""

from pathlib import Path

import pytest

from patclass.core.errors import DataError
from patclass.training.categories import Categories, read_descriptions

Rows = list[tuple[str, str]]
EXAMPLES: Rows = [("A seal.", "seals"), ("A ring.", "seals"), ("A drone.", "drones")]


def categories(rows: Rows, **descriptions: str) -> Categories:
    return Categories.of(rows, descriptions, None, "title+abstract")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "neither examples nor descriptions"),
        ([("A seal.", "seals")], r"one category only, 'seals'; .* label 'none'"),
        ([*EXAMPLES, (" ", "drones")], "example 4 has no text"),
        ([*EXAMPLES, ("A pump.", "x" * 10_000)], r"'x{40}…' has 10,000 characters, .* most 200"),
        ([*EXAMPLES, ("a  DRONE.", "seals")], r"3 and 4 are the same text, .* 'drones' and 'seal"),
        ([("A.", "a"), ("B.", "a"), ("B.", "b"), ("A.", "b")], "'a' and 'b' have the same exam"),
    ],
)
def test_what_cannot_be_learnt_is_refused(rows: Rows, message: str):
    with pytest.raises(DataError, match=message) as refused:
        categories(rows)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_three_examples_for_forty_categories_are_noted():
    found = categories(EXAMPLES, **{f"kind {n}": f"Devices of kind {n}" for n in range(38)})
    (without, single) = found.notes
    assert without.startswith("38 of 40 categories have no example, so that nothing is known")
    assert without.endswith("kind 16, kind 17, kind 18 …") or without.endswith("…")
    assert single.startswith("1 of 40 categories have one example only")


def test_labels_have_names_of_descriptions_titles_or_themselves():
    rows = [("A seal.", "F16J"), ("A cow.", "farming"), ("A drone.", "None")]
    found = categories(rows, farming="Growing crops", extra="Something else")
    assert found.codes == ["F16J", "None", "extra", "farming"]
    assert found.names[0].startswith("Pistons") or found.names[0].upper().startswith("PISTONS")
    assert found.names[1:] == ("", "Something else", "Growing crops")
    assert found.counts == (1, 1, 0, 1)
    assert found.corpus.tree.names["None"] == "none of these"


def test_families_are_groups():
    found = Categories.of(EXAMPLES, {}, ["F1", "F1", ""], "text")
    assert [row.group for row in found.rows] == ["F1", "F1", "a drone."]


def test_descriptions_are_read_from_a_table(tmp_path: Path):
    path = tmp_path / "categories.csv"
    path.write_text("Category;Description\nseals;Rings and gaskets\ndrones;\n", encoding="utf-8")
    assert read_descriptions(path) == {"seals": "Rings and gaskets", "drones": ""}
    path.write_text("label,description\na,x\na,y\n", encoding="utf-8")
    with pytest.raises(DataError, match="'a' occurs twice"):
        read_descriptions(path)
    path.write_text("label,scope\na,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="columns label, scope; expected label and description"):
        read_descriptions(path)
