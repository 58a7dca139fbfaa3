"""Which answers are right by what people have said."""

from datetime import UTC, datetime

import pytest

from patclass.monitoring.known import Known, code_at, is_right, what_is_known
from patclass.store.verdict import Feedback, Given
from store_rows import ID


def said(number: int, *, text: str | None = "t", answer: str = "E21B", **verdict: object) -> Given:
    feedback = Feedback(ID(number), text_sha256=text, answer=answer, **verdict)  # type: ignore[arg-type]
    return Given(number, f"key-{number}", datetime(2026, 11, 1, tzinfo=UTC), feedback)


@pytest.mark.parametrize(
    ("level", "answer", "truth", "right"),
    [
        ("section", "E", "E21B", True),
        ("class", "E21", "E21B 10/00", True),
        ("subclass", "E21B", "E21B10/00", True),
        ("section", "B", "E21B", False),
        ("class", "E02", "E21B", False),
        ("class", "E21", "E", None),
        ("class", "B23", "E", False),
        ("subclass", "E21B", "E21", None),
        ("subclass", "E02D", "E21", False),
        ("section", "chemistry", "chemistry", True),
        ("topic", "chemistry", "chemistry", True),
        ("topic", "chemistry", "physics", False),
        ("label", "E21", "E21B", True),
        ("label", "E21", "E", None),
        ("label", "E21", "E02", False),
        ("class", "E21", "no code", False),
    ],
)
def test_an_answer_is_right_if_the_truth_lies_in_it(
    level: str, answer: str, truth: str, right: bool | None
):
    assert is_right(level, answer, truth) is right


def test_what_is_right_is_known_by_the_text():
    given = [
        said(1, correct=True),
        said(2, text="u", correct=False, label="B23B"),
        said(3, text=None, correct=True),
    ]
    assert what_is_known(given) == {"t": Known("E21B"), "u": Known("B23B")}


def test_a_dispute_and_a_verdict_that_was_withdrawn_say_nothing():
    disputed = [said(1, correct=True, reviewer="Ada"), said(2, correct=False, label="B23B")]
    assert what_is_known(disputed) == {}
    taken_back = [said(1, correct=True), said(2, correct=False, withdraws="key-1")]
    assert what_is_known(taken_back) == {}


def test_what_is_only_known_to_be_wrong_counts_as_wrong():
    known = what_is_known([said(1, answer="E21", correct=False)])
    assert known == {"t": Known(None, frozenset({"E21"}))}
    judged = {code: known["t"].judges("class", code) for code in ("E21", "E21B", "E", "E02")}
    assert judged == {"E21": False, "E21B": False, "E": None, "E02": None}


def test_a_flat_label_that_is_wrong_is_that_alone():
    known = Known(None, frozenset({"chemistry"}))
    assert known.judges("topic", "chemistry") is False
    assert known.judges("topic", "chemistry of food") is None


@pytest.mark.parametrize(
    ("code", "label"),
    [("E21B 10/00", "E21B"), ("E21D", "E21"), ("E", None), ("A61K", "A61K"), ("soap", "soap")],
)
def test_of_a_list_of_codes_the_finest_that_holds_a_code_is_its_label(code: str, label: str | None):
    assert code_at("label", code, ["E21", "E21B", "H04"]) == label
