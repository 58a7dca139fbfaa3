"""Confident learning on handmade tables and deliberately flipped labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.evaluation.audit import confident_joint, disputed, label_noise, out_of_fold

quick = settings(deadline=None, max_examples=80)

KINDS, ROWS, FLIPPED = 4, 400, 20


def texts_of(labels: list[int], seed: int = 0) -> list[str]:
    """Texts with words of their label among neutral ones."""
    rng = np.random.default_rng(seed)
    texts = []
    for label in labels:
        own = [f"k{label}w{word}" for word in rng.integers(40, size=6)]
        common = [f"common{word}" for word in rng.integers(60, size=8)]
        texts.append(" ".join(own + common))
    return texts


@pytest.fixture(scope="module")
def noisy_labels() -> tuple[list[int], np.ndarray, set[int]]:
    """Labels of which one in twenty is wrong, their probabilities, and the wrong rows."""
    rng = np.random.default_rng(3)
    true = [row % KINDS for row in range(ROWS)]
    flipped = {int(row) for row in rng.choice(ROWS, FLIPPED, replace=False)}
    labels = [
        (label + int(rng.integers(1, KINDS))) % KINDS if row in flipped else label
        for row, label in enumerate(true)
    ]
    return labels, out_of_fold(texts_of(true), labels, KINDS), flipped


def test_the_top_disputes_are_the_flipped_rows(noisy_labels):
    labels, probabilities, flipped = noisy_labels
    top = disputed(labels, probabilities)[: FLIPPED // 2]
    assert len(top) == FLIPPED // 2
    assert sum(dispute.position in flipped for dispute in top) >= 0.9 * len(top)


def test_disputes_have_high_precision_and_recall(noisy_labels):
    labels, probabilities, flipped = noisy_labels
    found = {dispute.position for dispute in disputed(labels, probabilities)}
    assert len(found & flipped) / len(found) >= 0.9
    # Thresholds are means: a row only half as typical of its true label is not disputed.
    assert len(found & flipped) / len(flipped) >= 0.6


def test_disputes_suggest_the_true_label(noisy_labels):
    labels, probabilities, flipped = noisy_labels
    top = [d for d in disputed(labels, probabilities) if d.position in flipped]
    assert sum(d.suggested == d.position % KINDS for d in top) >= 0.9 * len(top)


def test_the_estimated_noise_is_close_to_the_injected_noise(noisy_labels):
    labels, probabilities, flipped = noisy_labels
    estimated = label_noise(labels, probabilities)
    assert list(estimated) == list(range(KINDS))
    for label, share in estimated.items():
        rows = [row for row in range(ROWS) if labels[row] == label]
        assert share == pytest.approx(np.mean([row in flipped for row in rows]), abs=0.03)


def test_clean_labels_are_hardly_disputed():
    labels = [row % KINDS for row in range(200)]
    probabilities = out_of_fold(texts_of(labels), labels, KINDS)
    assert len(disputed(labels, probabilities)) <= 2
    assert max(label_noise(labels, probabilities).values()) <= 0.04


def test_out_of_fold_probabilities_are_complete_and_reproducible(noisy_labels):
    labels, probabilities, _ = noisy_labels
    assert probabilities.shape == (ROWS, KINDS)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(ROWS), abs=1e-5)
    texts = texts_of([row % KINDS for row in range(ROWS)])
    assert np.array_equal(out_of_fold(texts, labels, KINDS), probabilities)
    assert not np.array_equal(out_of_fold(texts, labels, KINDS, seed=1), probabilities)


def test_duplicates_are_in_the_same_fold():
    labels = [row % 2 for row in range(40)] + [2] * 6
    copies = ["Nowhere else", "nowhere else", "NOWHERE ELSE"] * 2
    probabilities = out_of_fold(texts_of(labels[:40]) + copies, labels, 3)
    # No other row has label 2, so a model that has not seen these cannot know it.
    assert probabilities[40:, 2].max() == 0
    assert np.ptp(probabilities[40:], axis=0).max() < 1e-6
    apart = [f"nowhere else number{row}" for row in range(6)]
    vouched = out_of_fold(texts_of(labels[:40]) + apart, labels, 3)
    assert vouched[40:, 2].min() > 0.3


def test_a_row_unlike_its_label_is_disputed_and_so_is_its_copy():
    labels = [row % 2 for row in range(60)]
    typical = " ".join(f"k0w{word}" for word in range(40))
    texts = [*texts_of(labels), typical, typical.upper()]
    labels += [1, 1]
    found = disputed(labels, out_of_fold(texts, labels, 2))
    assert [(d.position, d.suggested) for d in found[:2]] == [(60, 0), (61, 0)]


def test_labels_rarer_than_folds_and_labels_without_rows_work():
    labels = [row % 2 for row in range(30)] + [2, 2, 4]
    probabilities = out_of_fold(texts_of(labels), labels, 6)
    assert np.isfinite(probabilities).all()
    assert probabilities[:, [3, 5]].max() == 0
    assert probabilities[32, 4] == 0
    assert set(label_noise(labels, probabilities)) == {0, 1, 2, 4}


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["one text"], [1]),
        (["same", "Same", "SAME"], [0, 1, 1]),
        (["a b", "c d", "e f"], [1, 1, 1]),
        (["!", "?", "."], [0, 1, 2]),
        (["", "", "words here"], [0, 1, 2]),
        (["first text", "second text"], [0, 1]),
    ],
)
def test_very_few_rows_can_be_audited(texts: list[str], labels: list[int]):
    probabilities = out_of_fold(texts, labels, 3)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert set(label_noise(labels, probabilities)) == set(labels)
    disputed(labels, probabilities)


def test_progress_adds_up_to_the_rows():
    seen: list[int] = []
    labels = [row % 2 for row in range(23)]
    out_of_fold(texts_of(labels), labels, 2, folds=4, on_progress=seen.append)
    assert len(seen) == 4
    assert sum(seen) == 23
    assert max(seen) - min(seen) <= 1


# Mean probability of label 0 among its rows: (0.875 + 0.25) / 2 = 0.5625, which row 3 reaches
# exactly; of label 1: (0.875 + 0.4375) / 2 = 0.65625; label 2 has no rows.
LABELS = [0, 0, 1, 1]
SHARES = np.array(
    [[0.875, 0.125, 0], [0.25, 0.75, 0], [0.125, 0.875, 0], [0.5625, 0.4375, 0]], dtype=np.float32
)


def test_disputes_by_hand():
    found = disputed(LABELS, SHARES)
    assert [(d.position, d.label, d.suggested, d.margin) for d in found] == [
        (1, 0, 1, -0.5),
        (3, 1, 0, -0.125),
    ]
    assert (found[0].label_probability, found[0].suggested_probability) == (0.25, 0.75)


def test_joint_and_noise_by_hand():
    assert confident_joint(LABELS, SHARES).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert label_noise(LABELS, SHARES) == {0: 0.5, 1: 0.5}


def test_rows_without_a_confident_label_are_compensated_for():
    # Thresholds are 0.458 and 0.75: the third row reaches neither.
    shares = np.array([[0.75, 0.25], [0.25, 0.75], [0.375, 0.625], [0.25, 0.75]], dtype=np.float32)
    labels = [0, 0, 0, 1]
    assert [d.position for d in disputed(labels, shares)] == [1]
    assert confident_joint(labels, shares).tolist() == [[1.5, 1.5], [0, 1]]
    assert label_noise(labels, shares) == {0: 0.5, 1: 0.0}


def test_a_label_without_rows_is_never_suggested():
    shares = np.array([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]], dtype=np.float32)
    assert disputed([0, 1], shares) == []
    assert label_noise([0, 1], shares) == {0: 0.0, 1: 0.0}


def test_a_tie_is_resolved_in_favour_of_the_label_of_the_row():
    shares = np.full((6, 2), 0.5, dtype=np.float32)
    assert disputed([0, 1, 0, 1, 1, 1], shares) == []


def test_equal_margins_are_ranked_by_position():
    shares = np.tile(np.float32([0.875, 0.125]), (8, 1))
    shares[[2, 5]] = [0.125, 0.875]
    labels = [0, 0, 1, 0, 1, 0, 1, 0]
    found = [d.position for d in disputed(labels, shares)]
    assert found == [4, 5, 6]


def test_rounding_leaves_no_label_without_a_confident_row():
    # In double precision the mean of three tenths is more than a tenth.
    shares = np.tile([0.1, 0.9], (3, 1))
    assert label_noise([0, 0, 0], shares) == {0: 0.0}


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 5), st.booleans())
def test_results_are_consistent_for_any_probabilities(
    seed: int, rows: int, n_classes: int, coarse: bool
):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(n_classes), size=rows).astype(np.float32)
    if coarse:  # many ties
        shares = np.round(shares * 4) / 4
    labels = rng.integers(n_classes, size=rows)
    found = disputed(labels, shares)
    assert [d.margin for d in found] == sorted(d.margin for d in found)
    assert all(d.suggested != d.label == labels[d.position] for d in found)
    assert {d.suggested for d in found} <= set(labels.tolist())
    estimated = label_noise(labels, shares)
    assert set(estimated) == set(labels.tolist())
    assert all(0 <= share <= 1 for share in estimated.values())
    support = np.bincount(labels, minlength=n_classes)
    assert confident_joint(labels, shares).sum(axis=1) == pytest.approx(support, rel=1e-5)


@pytest.mark.parametrize(
    ("texts", "labels", "folds", "message"),
    [
        ([], [], 5, "no rows"),
        (["a"], [0, 1], 5, "1 texts, 2 labels"),
        (["a", "b"], [0, 3], 5, "from 0 to 3, but there are 3"),
        (["a", "b"], [-1, 0], 5, "from -1 to 0"),
        (["a", "b"], [0.5, 1.0], 5, "whole numbers"),
        (["a", "b"], [0, 1], 1, "at least 2, not 1"),
    ],
)
def test_data_that_cannot_be_audited_are_refused(
    texts: list[str], labels: list[int], folds: int, message: str
):
    with pytest.raises(ValueError, match=message):
        out_of_fold(texts, labels, 3, folds)


@pytest.mark.parametrize(
    ("labels", "shares", "message"),
    [
        ([], np.zeros((0, 2)), "no rows"),
        ([0], np.zeros((2, 2)), "1 labels, 2 of probabilities"),
        ([0], np.zeros(2), "shape"),
        ([0], np.array([[np.nan, 1]]), "no finite number"),
        ([0], np.array([[-0.5, 1.5]]), "negative"),
    ],
)
def test_probabilities_of_the_wrong_shape_are_refused(
    labels: list[int], shares: np.ndarray, message: str
):
    for function in (disputed, label_noise, confident_joint):
        with pytest.raises(ValueError, match=message):
            function(labels, shares)
