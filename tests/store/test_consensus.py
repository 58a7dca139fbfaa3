"""The consensus of feedback on one text."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from patclass.store.consensus import Feedback, FeedbackRow, consensus_of, disagree, related

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def feedback_rows(*rows: dict[str, object]) -> list[FeedbackRow]:
    return [
        FeedbackRow(n, f"key-{n}", NOW, Feedback("0" * 32, **{"predicted_label": "A61", **fields}))  # type: ignore[arg-type]
        for n, fields in enumerate(rows)
    ]


RIGHT = {"correct": True}
WRONG = {"correct": False}
IS_G06 = {"correct": False, "label": "G06"}
IS_G06F = {"correct": False, "label": "G06F"}
IS_A61K = {"correct": False, "label": "A61K"}
IS_A61K31, IS_A61K31_04, IS_A61K31_70, IS_A61K9 = (
    {"correct": False, "label": label}
    for label in ("A61K31/00", "A61K31/04", "A61K31/7036", "A61K9/00")
)


@pytest.mark.parametrize(
    ("rows", "label", "disputed"),
    [
        ([], None, False),
        ([RIGHT], "A61", False),
        ([IS_G06], "G06", False),
        ([WRONG], None, False),
        ([WRONG, IS_G06], "G06", False),
        ([IS_G06, IS_G06F], "G06F", False),
        ([RIGHT, IS_A61K], "A61K", False),
        ([IS_A61K, IS_A61K31, IS_A61K31_04], "A61K31/04", False),
        ([IS_A61K31_04, IS_A61K31_70], "A61K31/00", False),
        ([RIGHT, IS_A61K31_04, IS_A61K9], "A61K", False),
        ([IS_A61K31, IS_G06F], None, True),
        ([RIGHT, IS_G06], None, True),
        ([RIGHT, WRONG], None, True),
        ([IS_A61K, IS_G06], None, True),
    ],
)
def test_consensus_of_different_reviewers(
    rows: list[dict[str, object]], label: str | None, disputed: bool
):
    for order in permutations(rows):
        found = consensus_of(feedback_rows(*order))
        assert (found.label, found.disputed) == (label, disputed)


def test_the_latest_feedback_of_a_reviewer_counts():
    found = consensus_of(feedback_rows(RIGHT | {"reviewer": "Ada"}, IS_G06 | {"reviewer": "Ada"}))
    assert (found.label, found.disputed, found.numbers) == ("G06", False, (1,))


def test_the_latest_feedback_is_determined_by_time_and_not_by_import_order():
    now, before = feedback_rows(IS_G06 | {"reviewer": "Ada"}, RIGHT | {"reviewer": "Ada"})
    before = replace(before, created=NOW - timedelta(days=3))
    assert consensus_of([now, before]).label == "G06"
    decided = [replace(g, feedback=replace(g.feedback, is_final=True)) for g in (now, before)]
    assert consensus_of(decided).label == "G06"


def test_unnamed_reviewers_are_distinct_even_with_the_same_key():
    found = consensus_of(feedback_rows(RIGHT | {"caller": "page"}, IS_G06 | {"caller": "page"}))
    assert found.disputed


def test_a_final_decision_overrides_other_feedback():
    decided = IS_G06 | {"is_final": True, "reviewer": "Cleo"}
    found = consensus_of(feedback_rows(RIGHT, decided, IS_A61K))
    assert (found.label, found.disputed, found.numbers) == ("G06", False, (1,))


def test_withdrawn_feedback_is_ignored():
    decided = IS_G06 | {"is_final": True}
    found = consensus_of(feedback_rows(RIGHT, decided, {"correct": False, "withdraws": "key-1"}))
    assert (found.label, found.numbers) == ("A61", (0,))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("A61", "A61", True),
        ("A61", "A61K", True),
        ("A", "A61K", True),
        ("A61K31/00", "A61K31/7036", True),
        ("A61K31/00", "A61K9/00", False),
        ("A61K3/00", "A61K31/00", False),
        ("A61", "A62", False),
        ("bio", "bio-tech", False),
        ("bio", "bio", True),
    ],
)
def test_a_code_agrees_with_its_ancestors_and_descendants(a: str, b: str, expected: bool):
    assert related(a, b) == related(b, a) == expected


def test_a_rejection_without_a_label_agrees_with_any_other_label():
    only_wrong = Feedback("0" * 32, False, predicted_label="A61")
    assert not disagree(only_wrong, Feedback("0" * 32, False, "G06", predicted_label="A61"))
    assert not disagree(only_wrong, only_wrong)
