"""Parity of two models, on handmade predictions."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.bundle.description import SURE, LevelParity, Parity, text_of
from patclass.cpc.tree import Label, LabelSet, LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Example
from patclass.export.parity import EXACT, QUANTISED, Limits, compare, objections
from patclass.predictor.pipeline import PipelineOutputs

AB = LabelTree.flat(LabelSet.of_codes("AB"))
NAN = float("nan")

PATHS = (("A", "A01"), ("A", "A61"), ("B", "B60"))
TREE = LabelTree(
    ("section", "class"),
    PATHS,
    {code: code for path in PATHS for code in path},
    LabelSet((Label("Y", "tag"),)),
)

ALIKE = LevelParity(
    agreement=1.0, sure_agreement=1.0, sure=40, labelled=50, f1_loss=0.0, ece_rise=0.0
)
OPEN = Limits(0.0, 0.0, 0.0, 1.0, 1.0, 1e6)


def answers(leaves: object, logits: object = None) -> PipelineOutputs:
    """Predictions with only the leaves, and the logits if given, set to meaningful values."""
    found = np.asarray(leaves, dtype=np.float32)
    logits = np.zeros_like(found) if logits is None else np.asarray(logits, dtype=np.float32)
    return PipelineOutputs([], logits, None, found, found, np.zeros((len(found), 0)), found, [])


def flat(*shares: float) -> PipelineOutputs:
    """Two labels, the first with these shares."""
    return answers([(share, 1 - share) for share in shares])


def examples(*labels: int | None) -> list[Example]:
    return [Example(f"P{n}", "text", (y_true,), (0,)) for n, y_true in enumerate(labels)]


def parity(**levels: LevelParity) -> Parity:
    figures = {"texts": 50, "largest_logit_difference": 0.01, "codes_agreement": 1.0}
    return Parity(source="rows", levels=levels, **figures)


HALF_A = examples(*[0] * 5, *[1] * 5)
BEFORE = flat(0.9, 0.9, 0.9, 0.9, 0.55, 0.1, 0.1, 0.1, 0.1, 0.45)
# One sure and one unsure prediction change.
AFTER = flat(0.1, 0.9, 0.9, 0.9, 0.45, 0.1, 0.1, 0.1, 0.1, 0.45)


def test_identical_predictions_have_full_parity():
    found = compare(AB, HALF_A, "ten rows", BEFORE, BEFORE)
    assert (found.texts, found.source, found.largest_logit_difference) == (10, "ten rows", 0)
    assert found.levels == {
        "label": LevelParity(
            agreement=1,
            sure_agreement=1,
            sure=8,
            labelled=10,
            f1_loss=0,
            ece_rise=0,
            f1_loss_low=0,
        )
    }
    assert objections(found, EXACT) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=1, max_size=20), st.data())
def test_any_model_has_full_parity_with_itself(weights: list[tuple[float, ...]], data):
    shares = np.array(weights)
    same = answers(shares / shares.sum(axis=1, keepdims=True), shares)
    y_true = st.tuples(
        st.sampled_from([0, 1, None]), st.sampled_from([0, 1, 2, UNKNOWN_LABEL, None])
    )
    rows = [Example("P", "text", data.draw(y_true), (0,)) for _ in weights]
    assert objections(compare(TREE, rows, "rows", same, same), EXACT) == []


def test_agreement_is_the_share_of_texts_with_the_same_label():
    level = compare(AB, HALF_A, "rows", BEFORE, AFTER).levels["label"]
    assert level.agreement == 0.8
    assert (level.sure, level.sure_agreement) == (8, 7 / 8)


@pytest.mark.parametrize(("share", "sure"), [(SURE + 0.01, 1), (SURE - 0.01, 0), (0.3, 1)])
def test_a_prediction_is_sure_above_a_confidence_of_the_original(share: float, sure: int):
    found = compare(AB, examples(0), "rows", flat(share), flat(0.999))
    assert found.levels["label"].sure == sure


def test_without_sure_predictions_none_is_lost():
    level = compare(AB, examples(0, 0), "rows", flat(0.55, 0.52), flat(0.45, 0.48)).levels["label"]
    assert (level.agreement, level.sure_agreement, level.sure) == (0, 1, 0)


def test_changes_of_f1_and_ece_are_computed_on_labelled_rows():
    level = compare(AB, HALF_A, "rows", BEFORE, AFTER).levels["label"]
    # A: precision 1, recall 3 of 5. B: precision 5 of 7, recall 1.
    macro_f1 = (2 * 1 * 0.6 / 1.6 + 2 * (5 / 7) / (5 / 7 + 1)) / 2
    assert level.f1_loss == pytest.approx(1 - macro_f1)
    before = (8 * (1 - 0.9) + 2 * (1 - 0.55)) / 10
    after = (8 * (0.9 - 7 / 8) + 2 * (0.55 - 1 / 2)) / 10
    assert level.ece_rise == pytest.approx(after - before, abs=1e-6)


def test_a_better_export_has_a_negative_loss():
    level = compare(AB, HALF_A, "rows", AFTER, BEFORE).levels["label"]
    assert level.f1_loss < 0 < level.ece_rise


def test_rows_without_a_known_label_count_for_agreement_only():
    rows = examples(*[0] * 5, *[None] * 5)
    level = compare(AB, rows, "rows", BEFORE, AFTER).levels["label"]
    assert (level.labelled, level.agreement) == (5, 0.8)
    assert level.f1_loss == pytest.approx(1 - 2 * 0.6 / 1.6)


def test_without_known_labels_there_are_no_quality_figures_and_no_failures():
    found = compare(AB, examples(*[None] * 10), "rows", BEFORE, AFTER)
    level = found.levels["label"]
    assert (level.labelled, level.f1_loss, level.ece_rise) == (0, None, None)
    assert objections(found, replace(OPEN, f1_loss=-1, ece_rise=-1)) == []


def test_every_level_is_compared_separately():
    """Another class of the same section changes the prediction at one level only."""
    before = answers([(0.8, 0.1, 0.1), (0.1, 0.1, 0.8)])
    after = answers([(0.1, 0.8, 0.1), (0.1, 0.1, 0.8)])
    rows = [Example("P0", "text", (0, 0), (0,)), Example("P1", "text", (1, UNKNOWN_LABEL), (2,))]
    levels = compare(TREE, rows, "rows", before, after).levels
    assert list(levels) == ["section", "class"]
    assert (levels["section"].agreement, levels["class"].agreement) == (1, 0.5)
    assert (levels["section"].sure, levels["section"].f1_loss) == (2, 0)
    # The unknown class of the second row counts as labelled: no prediction for it is correct.
    assert (levels["class"].labelled, levels["class"].f1_loss) == (2, 1)


def test_the_largest_difference_of_any_logit_counts():
    one, other = np.zeros((2, 3)), np.zeros((2, 3))
    other[1, 2] = -0.5
    found = compare(
        AB, examples(0, 1), "rows", *(answers(BEFORE.leaves[:2], x) for x in (one, other))
    )
    assert found.largest_logit_difference == 0.5


def test_an_export_that_returns_nan_does_not_pass():
    broken = answers(np.full((10, 2), NAN), np.full((10, 2), NAN))
    with np.errstate(invalid="ignore"):
        found = compare(AB, HALF_A, "rows", BEFORE, broken)
    for limits in (EXACT, QUANTISED, OPEN):
        assert any("a logit differs by nan" in objection for objection in objections(found, limits))


def test_a_single_nan_logit_is_enough_to_fail():
    logits = np.zeros((10, 2))
    logits[3, 1] = NAN
    found = compare(AB, HALF_A, "rows", BEFORE, answers(BEFORE.leaves, logits))
    assert len(objections(found, QUANTISED)) == 1


@pytest.mark.parametrize(
    ("at", "allowed", "broken", "objection"),
    [
        ("agreement", 0.96, 0.958, "all levels together: 97.9% agree (required: 98%)"),
        (
            "sure_agreement",
            *(0.99, 0.989),
            "class: 98.9% of the sure predictions agree (required: 99%)",
        ),
        ("f1_loss", 0.005, 0.0061, "class: macro F1 falls by 0.61 points"),
        ("ece_rise", 0.01, 0.0123, "class: calibration error rises by 1.23 points"),
        ("f1_loss", -1.0, NAN, "class: macro F1 falls by nan points"),
        ("ece_rise", -1.0, NAN, "class: calibration error rises by nan points"),
    ],
)
def test_values_at_the_limit_pass_and_values_beyond_it_are_named(
    at: str, allowed: float, broken: float, objection: str
):
    inside = parity(section=ALIKE, **{"class": ALIKE.model_copy(update={at: allowed})})
    outside = parity(section=ALIKE, **{"class": ALIKE.model_copy(update={at: broken})})
    assert objections(inside, QUANTISED) == []
    assert objections(outside, QUANTISED) == [objection]


@pytest.mark.parametrize(
    ("level", "low", "passes"),
    [
        *[("class", -0.001, True), ("class", 0.0, True), ("class", 0.001, False)],
        *[("class", NAN, False), ("class", None, False), ("section", -0.001, False)],
    ],
)
def test_below_the_coarsest_level_only_a_loss_that_is_more_than_chance_counts(
    level: str, low: float | None, passes: bool
):
    lower = ALIKE.model_copy(update={"f1_loss": 0.0053, "f1_loss_low": low})
    found = objections(parity(**{"section": ALIKE, "class": ALIKE} | {level: lower}), QUANTISED)
    assert found == ([] if passes else [f"{level}: macro F1 falls by 0.53 points"])


def some(
    rows: int, lost: int, gained: int
) -> tuple[list[Example], PipelineOutputs, PipelineOutputs]:
    """Predictions that are right but for ``gained`` before and ``lost`` after, of two labels."""
    labels = [number % 2 for number in range(rows)]
    before, after = ([0.9 if label == 0 else 0.1 for label in labels] for _ in range(2))
    for number in range(lost):
        after[number] = 1 - after[number]
    for number in range(lost, lost + gained):
        before[number] = 1 - before[number]
    return examples(*labels), flat(*before), flat(*after)


@pytest.mark.parametrize(("lost", "gained", "more"), [(9, 7, False), (12, 0, True)])
def test_whether_a_loss_is_more_than_chance_is_told_by_the_same_resampled_rows(
    lost: int, gained: int, more: bool
):
    rows, before, after = some(300, lost, gained)
    level = compare(AB, rows, "rows", before, after).levels["label"]
    assert level.f1_loss > 0.005
    assert level.f1_loss_low < level.f1_loss
    assert (level.f1_loss_low > 0) is more


def test_differing_codes_are_named():
    other = parity(section=ALIKE).model_copy(update={"codes_agreement": 0.94})
    expected = ["all codes: F1 against the original 94.0% (required: 95%)"]
    assert objections(other, QUANTISED) == expected


def test_float32_must_agree_almost_exactly():
    near = parity(section=ALIKE).model_copy(update={"largest_logit_difference": 1e-4})
    far = near.model_copy(update={"largest_logit_difference": 2e-4})
    assert objections(near, EXACT) == []
    assert objections(far, EXACT) == ["a logit differs by 0.0002 (allowed 0.0001)"]
    assert objections(far, QUANTISED) == []
    one_of_a_thousand = parity(section=ALIKE.model_copy(update={"agreement": 0.999}))
    assert len(objections(one_of_a_thousand, EXACT)) == 2


def test_every_failure_is_named():
    bad = ALIKE.model_copy(
        update={"agreement": 0.5, "sure_agreement": 0.5, "f1_loss": 0.5, "ece_rise": 0.5}
    )
    found = objections(parity(section=bad, **{"class": bad}), QUANTISED)
    assert [objection.partition(":")[0] for objection in found] == [
        *("section", "all levels together"),
        *["section"] * 3,
        *["class"] * 3,
    ]


def test_the_coarsest_level_has_its_own_limit():
    low = ALIKE.model_copy(update={"agreement": 0.979})
    found = objections(parity(section=low, **{"class": ALIKE}), QUANTISED)
    assert found == ["section: 97.9% agree (required: 98%)"]


def test_the_limits_match_the_documentation_of_the_command():
    assert Limits(0.98, 0.99, 0.95, 0.005, 0.01, math.inf) == QUANTISED
    assert EXACT.agreement == EXACT.sure_agreement == 1


def test_the_table_has_a_line_per_level_without_unknown_figures():
    unknown = ALIKE.model_copy(update={"labelled": 0, "f1_loss": None, "ece_rise": None})
    worse = ALIKE.model_copy(update={"agreement": 0.984, "f1_loss": 0.004, "ece_rise": 0.0061})
    head, names, *lines = text_of(parity(section=worse, **{"class": unknown})).splitlines()
    assert head == "50 texts of rows; largest difference of a logit 0.01"
    assert names.split() == ["level", "agree", "above", "0.6", "macro", "F1", "ECE"]
    assert [line.split() for line in lines] == [
        ["section", "98.4%", "100.0%", "-0.40", "+0.61"],
        ["class", "100.0%", "100.0%"],
    ]


def test_no_change_is_not_shown_as_a_loss():
    assert text_of(parity(section=ALIKE)).splitlines()[-1].split()[-2:] == ["+0.00", "+0.00"]
