"""Feedback split into examples for training and for the gate."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from patclass.data.text import text_sha256
from patclass.learning.training_data import (
    GATE,
    TRAIN,
    VALIDATION,
    CorpusTexts,
    FeedbackParts,
    NearDuplicateIndex,
    part_of,
    split_feedback,
)
from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.reviews import ReviewStore
from store_rows import ID

ABSTRACT = (
    "A drill bit for boreholes has a steel body with blades that carry cutters of diamond, and "
    "nozzles that flush cuttings into the annulus between the string and the wall of the hole."
)


def test_the_same_text_is_a_near_duplicate():
    assert NearDuplicateIndex(["A loom.", ABSTRACT]).contains(ABSTRACT.upper())


def test_a_text_with_one_changed_word_is_a_near_duplicate():
    assert NearDuplicateIndex([ABSTRACT]).contains(ABSTRACT.replace("diamond", "carbide"))


def test_a_slightly_longer_text_is_a_near_duplicate():
    assert NearDuplicateIndex([ABSTRACT]).contains(ABSTRACT + " The nozzles can be exchanged.")


def test_a_different_text_is_not_a_near_duplicate():
    other = "A loom has a heald that lifts warp threads, and a reed that beats up the weft."
    assert not NearDuplicateIndex([other, "A loom."]).contains(ABSTRACT)
    assert not NearDuplicateIndex([]).contains(ABSTRACT)


def test_a_shared_sentence_does_not_make_a_near_duplicate():
    shared = "In one embodiment the device is arranged on a support."
    others = NearDuplicateIndex([f"{shared} {ABSTRACT}"])
    assert not others.contains(f"{shared} A loom has a heald that lifts warp threads and a reed.")


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=5))
def test_every_text_is_a_near_duplicate_of_itself(text: str, others: list[str]):
    assert NearDuplicateIndex([*others, text]).contains(text)


def text_of(number: int) -> str:
    return (
        f"A device number {number} with part {number * 7} and bolt {number * 13} of kind {number}."
    )


def add_feedback(database: Database, number: int, **fields: object) -> None:
    text = text_of(number)
    given = {
        "correct": True,
        "predicted_label": "A61",
        "text": text,
        "text_sha256": text_sha256(text),
        "reviewer": "Ada",
    }
    feedback = Feedback(ID(number), **(given | fields))  # type: ignore[arg-type]
    FeedbackStore(database).add(f"{number} {fields.get('reviewer')}", feedback)


def texts(parts: FeedbackParts) -> dict[str, str]:
    return {row.text: part for part, rows in parts.examples.items() for row in rows}


def test_texts_are_assigned_to_parts_by_hash_permanently(database: Database):
    for number in range(200):
        add_feedback(database, number)
    parts = split_feedback(database, CorpusTexts(), 2.0)
    shares = Counter(texts(parts).values())
    assert sum(shares.values()) == 200
    assert 90 < shares[TRAIN] < 150
    assert 35 < shares[GATE] < 85
    assert shares[VALIDATION] > 5
    before = texts(parts)
    for number in range(200, 300):
        add_feedback(database, number)
    assert texts(split_feedback(database, CorpusTexts(), 2.0)).items() >= before.items()
    assert all(part_of(text_sha256(text)) == part for text, part in before.items())


def test_the_label_is_the_consensus_of_the_reviewers(database: Database):
    add_feedback(database, 1)
    add_feedback(database, 2, correct=False, label="G06F")
    parts = split_feedback(database, CorpusTexts(), 3.0)
    found = {row.text: (row.code, row.weight) for rows in parts.examples.values() for row in rows}
    assert found == {text_of(1): ("A61", 3.0), text_of(2): ("G06F", 3.0)}
    assert (parts.first, parts.last) == (1, 2)


def test_unusable_feedback_is_counted(database: Database):
    add_feedback(database, 1, text=None)
    add_feedback(database, 2, correct=False)
    add_feedback(database, 3)
    add_feedback(database, 3, correct=False, label="H04", reviewer="Bob")
    add_feedback(database, 4, text_sha256=None)
    parts = split_feedback(database, CorpusTexts(), 1.0)
    assert sum(parts.counts.values()) == 0
    assert parts.left_out == {
        "disputed": 1,
        "text not identified": 1,
        "text not stored": 1,
        "correct label not known": 1,
    }


def test_held_out_rows_are_never_used_nor_are_near_duplicates(database: Database):
    for number in range(3):
        add_feedback(database, number)
    held_out = [text_of(0).upper(), f"{text_of(1)} Indeed."]
    parts = split_feedback(database, CorpusTexts(held_out), 1.0)
    assert list(texts(parts)) == [text_of(2)]
    assert parts.left_out == {"in the test or validation data": 2}


def test_the_gate_does_not_use_training_texts(database: Database):
    for number in range(40):
        add_feedback(database, number)
    parts = split_feedback(
        database, CorpusTexts(train=[text_of(n).upper() for n in range(40)]), 1.0
    )
    assert parts.examples[GATE] == []
    assert parts.examples[TRAIN]
    assert list(parts.left_out) == ["in the training data"]


def test_the_gate_does_not_use_a_near_duplicate_of_training_feedback(database: Database):
    """A patent that is sent again with a changed word has another hash, and another part."""
    parts = {part_of(text_sha256(text_of(n))): n for n in range(60)}
    training_text = f"{text_of(parts[TRAIN])} It has a lid, a hinge and a spring."
    near_duplicates = [
        f"{training_text} {word}." for word in ("Indeed", "Truly", "Surely", "Really", "Often")
    ]
    near_duplicates += [
        f"{near_duplicate} {word}."
        for near_duplicate in near_duplicates
        for word in ("So", "Yes", "Thus", "Well")
    ]
    for number, text in enumerate(near_duplicates):
        add_feedback(database, number, text=text, text_sha256=text_sha256(text))
    parts = split_feedback(database, CorpusTexts(), 1.0)
    left_out_count = sum(part_of(text_sha256(text)) == GATE for text in near_duplicates)
    assert left_out_count
    assert parts.examples[TRAIN]
    assert parts.examples[GATE] == []
    assert parts.left_out == {"near-duplicate of a training text": left_out_count}


def test_the_gate_does_not_use_a_near_duplicate_of_a_training_row(database: Database):
    for number in range(40):
        add_feedback(database, number)
    rows = [f"{text_of(number)} Indeed." for number in range(40)]
    parts = split_feedback(database, CorpusTexts(train=rows), 1.0)
    assert parts.examples[GATE] == []
    assert parts.examples[TRAIN]
    assert list(parts.left_out) == ["near-duplicate of a training text"]


def test_later_feedback_can_be_excluded(database: Database):
    for number in range(5):
        add_feedback(database, number)
    assert sum(split_feedback(database, CorpusTexts(), 1.0, until=3).counts.values()) == 3


def test_randomly_sampled_feedback_is_marked(database: Database):
    for number in range(60):
        add_feedback(database, number)
        if number % 2:
            ReviewStore(database).claim(ID(number), f"{number}", "sample", "Ada")
    parts = split_feedback(database, CorpusTexts(), 1.0)
    odd = {text_of(number) for number in range(1, 60, 2)}
    sampled = {row.text for row in parts.examples[GATE] if row.id in parts.sampled}
    assert sampled == {row.text for row in parts.examples[GATE]} & odd
