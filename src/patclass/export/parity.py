"""Whether an exported model still answers alike. Knows answers and limits, no engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from patclass.arrays import FloatArray
from patclass.bundle.engines import LevelParity, Parity
from patclass.data.corpus import Example
from patclass.evaluation.answers import answers_at
from patclass.evaluation.calibration import expected_calibration_error
from patclass.evaluation.metrics import evaluate
from patclass.labels import LabelTree
from patclass.pipeline import Answers

SURE = 0.6


@dataclass(frozen=True)
class Limits:
    """How far an export may be from its original; shares and fractions."""

    agreement: float
    sure_agreement: float
    f1_loss: float
    ece_rise: float
    logit_difference: float


EXACT = Limits(1.0, 1.0, 0.0005, 0.001, 1e-4)
QUANTISED = Limits(0.98, 0.99, 0.005, 0.01, float("inf"))


def compare(
    tree: LabelTree, rows: Sequence[Example], source: str, original: Answers, exported: Answers
) -> Parity:
    """Both models' answers to the same rows, level by level.

    :param source: in words, where the rows are from.
    """
    return Parity(
        texts=len(rows),
        source=source,
        largest_logit_difference=float(np.abs(exported.logits - original.logits).max()),
        levels={
            level: _at(tree, level, rows, original.leaves, exported.leaves) for level in tree.levels
        },
    )


def _at(
    tree: LabelTree, level: str, rows: Sequence[Example], before: FloatArray, after: FloatArray
) -> LevelParity:
    old, new = tree.sums(before, level), tree.sums(after, level)
    same = old.argmax(axis=1) == new.argmax(axis=1)
    sure = old.max(axis=1) > SURE
    known = answers_at(rows, before, tree, level)
    f1_loss = ece_rise = None
    if known is not None:
        was, now = (_figures(tree, level, rows, leaves) for leaves in (before, after))
        f1_loss, ece_rise = was[0] - now[0], now[1] - was[1]
    return LevelParity(
        agreement=float(same.mean()),
        sure_agreement=float(same[sure].mean()) if sure.any() else 1.0,
        sure=int(sure.sum()),
        labelled=0 if known is None else len(known.rows),
        f1_loss=f1_loss,
        ece_rise=ece_rise,
    )


def _figures(
    tree: LabelTree, level: str, rows: Sequence[Example], leaves: FloatArray
) -> tuple[float, float]:
    """Macro F1 and calibration error."""
    found = answers_at(rows, leaves, tree, level)
    assert found is not None
    metrics = evaluate(found.truth, found.probabilities, found.codes)
    return metrics.macro_f1, expected_calibration_error(found.confidences, found.hits)


def objections(parity: Parity, limits: Limits) -> list[str]:
    """In words, everything in which an export is too far from its original."""
    found = []
    difference = parity.largest_logit_difference
    if not difference <= limits.logit_difference:  # a NaN must not pass
        found.append(f"a logit differs by {difference:.2g} (allowed {limits.logit_difference:g})")
    for level, at in parity.levels.items():
        if at.agreement < limits.agreement:
            found.append(f"{level}: {at.agreement:.1%} alike (wanted {limits.agreement:.0%})")
        if at.sure_agreement < limits.sure_agreement:
            share = f"{at.sure_agreement:.1%} of the sure ones alike"
            found.append(f"{level}: {share} (wanted {limits.sure_agreement:.0%})")
        if at.f1_loss is not None and not at.f1_loss <= limits.f1_loss:
            found.append(f"{level}: macro F1 falls by {at.f1_loss * 100:.2f} points")
        if at.ece_rise is not None and not at.ece_rise <= limits.ece_rise:
            found.append(f"{level}: calibration error rises by {at.ece_rise * 100:.2f} points")
    return found


def text_of(parity: Parity) -> str:
    """A table for the terminal and the model card."""
    lines = [
        f"{parity.texts:,} texts of {parity.source}; largest difference of a logit "
        f"{parity.largest_logit_difference:.2g}",
        f"{'level':10} {'alike':>7} {f'above {SURE:g}':>10} {'macro F1':>9} {'ECE':>7}",
    ]
    for level, at in parity.levels.items():
        f1 = "" if at.f1_loss is None else f"{-at.f1_loss * 100:+z.2f}"
        ece = "" if at.ece_rise is None else f"{at.ece_rise * 100:+z.2f}"
        lines.append(f"{level:10} {at.agreement:7.1%} {at.sure_agreement:10.1%} {f1:>9} {ece:>7}")
    return "\n".join(lines)
