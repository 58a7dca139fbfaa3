"""Whether the predictions of an exported model agree with the original's. Knows no engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from patclass.bundle.description import SURE, LevelParity, Parity
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.evaluation.calibration import expected_calibration_error
from patclass.evaluation.compare import compare as compare_models
from patclass.evaluation.intervals import RESAMPLES
from patclass.predictor.pipeline import PipelineOutputs
from patclass.predictor.scored import LabelledPredictions, predictions_at

# The probability from which on a code is compared as given.
GIVEN = 0.5


@dataclass(frozen=True)
class Limits:
    """How far an export may be from its original; shares and fractions.

    :param agreement: of the coarsest level's labels, and of those of all levels together. The
        finest alone may be lower: there, what changes is a near-tie between hundreds of labels
        that is not answered by default.
    :param sure_agreement: of every level's labels where the original is sure.
    :param codes: F1 score of all codes, many of which are near their threshold.
    :param f1_loss: of macro F1. Below the coarsest level, where hundreds of labels have few rows
        each, a larger loss counts only if it is more than chance.
    """

    agreement: float
    sure_agreement: float
    codes: float
    f1_loss: float
    ece_rise: float
    logit_difference: float


EXACT = Limits(1.0, 1.0, 1.0, 0.0005, 0.001, 1e-4)
QUANTISED = Limits(0.98, 0.99, 0.95, 0.005, 0.01, float("inf"))


def compare(
    tree: LabelTree,
    rows: Sequence[Example],
    source: str,
    original: PipelineOutputs,
    exported: PipelineOutputs,
) -> Parity:
    """Both models' predictions for the same rows, level by level.

    :param source: in words, where the rows are from.
    """
    return Parity(
        texts=len(rows),
        source=source,
        largest_logit_difference=float(np.abs(exported.logits - original.logits).max()),
        levels={
            level: _at(tree, level, rows, original.leaves, exported.leaves) for level in tree.levels
        },
        codes_agreement=_codes_agreement(original.nodes, exported.nodes),
    )


def _codes_agreement(before: FloatArray, after: FloatArray) -> float:
    """The F1 score of the nodes given by one model against those given by the other."""
    was, now = before >= GIVEN, after >= GIVEN
    given = int(was.sum() + now.sum())
    return 2 * int((was & now).sum()) / given if given else 1.0


def _at(
    tree: LabelTree, level: str, rows: Sequence[Example], before: FloatArray, after: FloatArray
) -> LevelParity:
    old, new = tree.sums(before, level), tree.sums(after, level)
    same = old.argmax(axis=1) == new.argmax(axis=1)
    sure = old.max(axis=1) > SURE
    known = predictions_at(rows, before, tree, level)
    f1_loss = f1_loss_low = ece_rise = None
    if known is not None:
        was, now = known, predictions_at(rows, after, tree, level)
        assert now is not None
        f1_loss, f1_loss_low = _f1_loss(level, was, now)
        ece_rise = _calibration_error(now) - _calibration_error(was)
    return LevelParity(
        agreement=float(same.mean()),
        sure_agreement=float(same[sure].mean()) if sure.any() else 1.0,
        sure=int(sure.sum()),
        labelled=0 if known is None else len(known.rows),
        f1_loss=f1_loss,
        ece_rise=ece_rise,
        f1_loss_low=f1_loss_low,
    )


def _f1_loss(
    level: str, before: LabelledPredictions, after: LabelledPredictions
) -> tuple[float, float]:
    """How much macro F1 falls, and the lower end of its interval over resampled rows."""
    if not np.isfinite(after.probabilities).all():  # the first of its labels would pass for it
        return float("nan"), float("nan")
    f1 = compare_models(
        before.y_true, before.y_pred, after.y_pred, level=level, resamples=RESAMPLES
    ).macro_f1
    return f1.a - f1.b, -f1.high / 100


def _calibration_error(found: LabelledPredictions) -> float:
    return expected_calibration_error(found.confidences, found.correct)


def objections(parity: Parity, limits: Limits) -> list[str]:
    """In words, everything in which an export is too far from its original."""
    found = []
    difference = parity.largest_logit_difference
    if not difference <= limits.logit_difference:  # a NaN must not pass
        found.append(f"a logit differs by {difference:.2g} (allowed {limits.logit_difference:g})")
    if parity.codes_agreement < limits.codes:
        found.append(
            f"all codes: F1 against the original {parity.codes_agreement:.1%} "
            f"(required: {limits.codes:.0%})"
        )
    shares = {level: at.agreement for level, at in parity.levels.items()}
    coarsest = next(iter(shares))
    required = {coarsest: shares[coarsest]}
    if len(shares) > 1:
        required["all levels together"] = fmean(shares.values())
    for what, share in required.items():
        if share < limits.agreement:
            found.append(f"{what}: {share:.1%} agree (required: {limits.agreement:.0%})")
    for level, at in parity.levels.items():
        if at.sure_agreement < limits.sure_agreement:
            sure = f"{at.sure_agreement:.1%} of the sure predictions agree"
            found.append(f"{level}: {sure} (required: {limits.sure_agreement:.0%})")
        by_chance = level != coarsest and at.f1_loss_low is not None and at.f1_loss_low <= 0
        if at.f1_loss is not None and not at.f1_loss <= limits.f1_loss and not by_chance:
            found.append(f"{level}: macro F1 falls by {at.f1_loss * 100:.2f} points")
        if at.ece_rise is not None and not at.ece_rise <= limits.ece_rise:
            found.append(f"{level}: calibration error rises by {at.ece_rise * 100:.2f} points")
    return found
