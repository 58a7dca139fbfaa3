"""Which texts calibrate an export and which test its parity; they are disjoint."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.examples import Corpus, Example
from patclass.data.text import TextView
from patclass.export.run import CALIBRATION_TEXTS, PARITY_TEXTS, choose_texts

AB = LabelTree.flat(LabelSet.of_codes("AB"))

# The whole text, two halves and three thirds: the number of texts per row.
PARTS = 6


def rows(split: str, count: int, words: int = 7) -> list[Example]:
    """Rows with distinct texts and ids; each word contains its position."""
    return [
        Example(
            f"{split}{n}", " ".join(f"{split}{n}word{w}" for w in range(words)), (n % 2,), (n % 2,)
        )
        for n in range(count)
    ]


def corpus(train: int, validation: int, test: int, words: int = 7) -> Corpus:
    sizes = {"train": train, "validation": validation, "test": test}
    splits = {split: rows(split, count, words) for split, count in sizes.items()}
    return Corpus("made up", TextView.parse("title", ["title"]), AB, splits, ())


def ids(examples: list[Example]) -> list[str]:
    return [example.id for example in examples]


@settings(deadline=None, max_examples=60)
@given(*[st.integers(1, 400)] * 3, st.integers(1, 700))
def test_calibration_and_parity_rows_are_disjoint(
    train: int, validation: int, test: int, wanted: int
):
    data = corpus(train, validation, test)
    tuned = min(CALIBRATION_TEXTS, max(1, train // 2))
    whole = validation + test + train - tuned
    if whole * PARTS < wanted:
        with pytest.raises(DataError):
            choose_texts(data, wanted)
        return
    found = choose_texts(data, wanted)
    texts = {row.text: row.id for row in data["train"]}
    assert len({texts[text] for text in found.calibration}) == tuned
    assert not {texts[text] for text in found.calibration} & set(ids(found.rows))
    assert wanted <= len(found.rows) <= 2 * wanted
    assert len({row.text for row in found.rows}) == len(found.rows)
    known = {row.id: row for split in data.splits.values() for row in split}
    for row in found.rows:
        assert row.text in known[row.id].text
        assert row.y_true == known[row.id].y_true


def test_with_enough_validation_and_test_rows_train_is_used_for_calibration_only():
    found = choose_texts(corpus(800, 30, 70), 100)
    assert len(found.calibration) == CALIBRATION_TEXTS
    assert [row.id[:4] for row in found.rows] == ["vali"] * 30 + ["test"] * 70
    assert found.source == "made up: its validation and test rows"


def test_rows_are_sampled_across_the_whole_file():
    found = choose_texts(corpus(1200, 300, 700), 100)
    assert len(found.rows) == 200
    places = [int(row.id.removeprefix("test")) for row in found.rows[60:]]
    assert places == list(range(0, 700, 5))
    tuned = [int(text.split("word")[0].removeprefix("train")) for text in found.calibration]
    assert tuned == list(range(0, 1200, 4))


def test_with_too_few_rows_the_rest_of_train_is_used_for_parity_too():
    data = corpus(320, 30, 69)
    found = choose_texts(data, 200)
    tuned = set(found.calibration)
    assert len(tuned) == 160
    rest = [row.id for row in data["train"] if row.text not in tuned]
    assert ids(found.rows) == [*ids(data["validation"]), *ids(data["test"]), *rest]
    assert found.source == "made up: all rows that did not tune it"


def test_half_of_a_small_train_split_is_reserved_for_parity():
    found = choose_texts(corpus(20, 5, 5), 20)
    assert len(found.calibration) == 10
    assert len(found.rows) == 20


def test_a_single_training_row_is_used_for_calibration():
    found = choose_texts(corpus(1, 5, 5), 10)
    assert found.calibration == [rows("train", 1)[0].text]
    assert len(found.rows) == 10


def test_parts_of_texts_are_used_only_when_there_are_too_few_rows():
    found = choose_texts(corpus(20, 5, 5), 21)
    assert len(found.rows) == 21
    assert [len(row.text.split()) for row in found.rows] == [7] * 20 + [3]
    assert found.source == "made up: 20 rows and parts of them"


def test_parts_are_halves_and_thirds_of_a_text_with_the_same_label():
    found = choose_texts(corpus(2, 1, 1), 18)
    texts = [row.text for row in found.rows if row.id == "test0"]
    words = rows("test", 1)[0].text.split()
    spans = [(0, 7), (0, 3), (3, 7), (0, 2), (2, 4), (4, 7)]
    assert texts == [" ".join(words[start:end]) for start, end in spans]
    assert {row.y_true for row in found.rows if row.id == "test0"} == {(0,)}


def test_a_text_of_one_word_gives_no_empty_part():
    found = choose_texts(corpus(2, 2, 2, words=1), 10)
    assert all(row.text for row in found.rows)


def test_too_little_data_is_refused_with_a_remedy():
    message = r"made up gives 18 texts to compare on; 1,000 are needed\. Name more .*with data"
    with pytest.raises(DataError, match=message):
        choose_texts(corpus(2, 1, 1))


def test_a_thousand_texts_are_used_by_default():
    assert PARITY_TEXTS == 1000
    assert len(choose_texts(corpus(2, 1, 166)).rows) == 1000
