"""The sample corpus of the package: balanced, consistent and individually written."""

import re
from collections import Counter
from itertools import combinations

import pytest

from patclass.cpc.symbols import Symbol
from patclass.data.sources import open_source

Fields = dict[str, str]

LEVELS = ("section", "class", "subclass")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Fields]]:
    return {
        split: [row.fields for row in read()]
        for split, read in open_source("sample").splits.items()
    }


@pytest.fixture(scope="module")
def rows(splits: dict[str, list[Fields]]) -> list[Fields]:
    return [row for split in splits.values() for row in split]


@pytest.fixture(scope="module")
def abstracts(rows: list[Fields]) -> list[list[str]]:
    """The words of each abstract."""
    return [re.findall(r"\w+", row["abstract"].lower()) for row in rows]


def sequences(words: list[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def test_every_section_has_at_least_forty_rows(rows: list[Fields]):
    counts = Counter(row["section"] for row in rows)
    assert sorted(counts) == list("ABCDEFGHY")
    assert min(counts.values()) >= 40


def test_train_holds_three_quarters_of_every_section(splits: dict[str, list[Fields]]):
    train, test = (Counter(row["section"] for row in splits[name]) for name in ("train", "test"))
    for section in "ABCDEFGHY":
        assert abs(train[section] - 0.75 * (train[section] + test[section])) <= 1, section


def test_every_field_of_every_row_is_filled_with_clean_text(rows: list[Fields]):
    for row in rows:
        assert set(row) == {"id", "title", "abstract", *LEVELS}
        for name, value in row.items():
            assert value, (row["id"], name)
            assert value == " ".join(value.split()), (row["id"], name)


def test_abstracts_have_the_length_of_real_ones(rows: list[Fields]):
    for row in rows:
        assert 60 <= len(row["abstract"].split()) <= 150, row["id"]


def test_the_three_levels_of_a_row_agree(rows: list[Fields]):
    for row in rows:
        symbol = Symbol.parse(row["subclass"])
        assert symbol is not None, row["id"]
        assert [symbol.cut(level) for level in LEVELS] == [row[level] for level in LEVELS]
        assert symbol.text == row["subclass"], row["id"]


def test_ids_and_titles_are_unique(rows: list[Fields]):
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({row["title"].lower() for row in rows}) == len(rows)


def test_no_two_abstracts_are_near_duplicates(rows: list[Fields], abstracts: list[list[str]]):
    grams = [sequences(words, 4) for words in abstracts]
    for (first, a), (second, b) in combinations(zip(rows, grams, strict=True), 2):
        overlap = len(a & b) / min(len(a), len(b))
        assert overlap < 0.15, (first["id"], second["id"])


def test_no_six_words_are_shared_by_more_than_three_abstracts(abstracts: list[list[str]]):
    counts = Counter(sequence for words in abstracts for sequence in sequences(words, 6))
    sequence, count = counts.most_common(1)[0]
    assert count <= 3, sequence


def test_no_three_opening_words_are_shared_by_more_than_six_abstracts(abstracts: list[list[str]]):
    counts = Counter(tuple(words[:3]) for words in abstracts)
    opening, count = counts.most_common(1)[0]
    assert count <= 6, opening


def test_the_rows_cover_many_classes_and_subclasses(rows: list[Fields]):
    assert len({row["class"] for row in rows}) >= 110
    assert len({row["subclass"] for row in rows}) >= 300
