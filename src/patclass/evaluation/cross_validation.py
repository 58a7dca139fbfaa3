"""Figures from repeated cross-validation of few examples. Knows labels and figures, no model.

The folds of a cross-validation share most of their training rows, so that the spread of their
figures is smaller than chance: the variance is therefore enlarged by the ratio of test and training
rows (corrected resampled t interval; Nadeau and Bengio 2003, Machine Learning 52). Where few rows
agree by luck, that is still too narrow; an interval is never narrower than Wilson's of as many
independent rows.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat

from patclass.bundle import Bundle
from patclass.bundle.description import LAYOUT
from patclass.core.types import FloatArray, Frozen, Positions
from patclass.cpc.tree import LabelTree
from patclass.evaluation.intervals import CONFIDENCE, Interval, bootstrap, wilson
from patclass.evaluation.metrics import ClassMetrics, evaluate
from patclass.evaluation.tables import as_decimal, as_percent
from patclass.predictor.fitting import calibrate_few

# Folds of a cross-validation and how often it is repeated, where the examples allow it.
FOLDS = 5
REPEATS = 5

# Points of a curve.
MOST_POINTS = 100


class MethodFigures(Frozen):
    """A method's cross-validated figures.

    ``behind`` is the interval of the share of examples by which it is behind the chosen method on
    the same folds; None for the chosen one.
    """

    method: str
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    behind: Interval | None = None


class CurvePoint(Frozen):
    """Precision and recall of a label if it is given from a probability on."""

    threshold: float
    precision: float
    recall: float


class FewShotReport(Frozen):
    """What is known of categories with few examples, and how they were learnt.

    ``examples`` counts those of each label. ``figures`` has every method that was compared, the
    chosen one first; it is empty, as are ``confusion``, ``per_class`` and ``curves``, where there
    are too few examples for any. ``confusion[i][j]`` counts examples of label i that were predicted
    with label j by a model that had not seen them, in the first repetition; ``per_class`` and
    ``curves``, by label, are of the same predictions. ``logits`` are those before calibration, a
    row for each example; ``word_log_probs`` those of the linear model on words, if it is mixed in.
    ``adapter_share`` is how much of the bundle's adapter the encoder has that was chosen.
    """

    version: Literal[1] = 1
    method: str
    labels: tuple[str, ...]
    examples: tuple[int, ...]
    figures: tuple[MethodFigures, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    per_class: tuple[ClassMetrics, ...] = ()
    curves: dict[str, tuple[CurvePoint, ...]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    logits: tuple[tuple[FiniteFloat, ...], ...] = ()
    word_log_probs: tuple[tuple[FiniteFloat, ...], ...] | None = None
    adapter_share: float = Field(0.5, ge=0, le=1)

    def text(self) -> str:
        """What was compared, what was chosen, and how sure that is; a line each."""
        lines = [f"note: {note}" for note in self.notes]
        if not self.figures:
            return "\n".join([*lines, f"method: {self.method}; too few examples to measure it"])
        lines.append(f"encoder: with {self.adapter_share:.0%} of the bundle's adapter")
        header = f"{'cross-validated':16}{'accuracy':>9}{'95%':>14}{'macro F1':>10}{'95%':>14}"
        lines += [header + f"{'behind the chosen by':>24}"]
        for each in self.figures:
            behind = "chosen" if each.behind is None else _points(each.behind)
            lines.append(
                f"{each.method:16}{each.accuracy:>9.1%}{as_percent(each.accuracy_interval):>14}"
                f"{each.macro_f1:>10.3f}{as_decimal(each.macro_f1_interval):>14}{behind:>24}"
            )
        return "\n".join(lines)


def _points(interval: Interval) -> str:
    return f"{interval.low * 100:.1f} to {interval.high * 100:.1f} points"


Splits = Sequence[Sequence[tuple[Positions, Positions]]]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for examples by models that had not seen them.

    :param labels: the label of each example.
    :param groups: what stayed on one side of a fold.
    :param splits: for each repetition its folds.
    :param logits: by method, of shape (repetitions, examples, labels); a method may have fewer
        repetitions than others.
    :param words: log-probabilities of the linear model on words, in the same shape.
    """

    tree: LabelTree
    labels: Sequence[int]
    groups: Sequence[str]
    splits: Splits
    logits: Mapping[str, FloatArray]
    words: FloatArray | None

    def probabilities(self, method: str) -> FloatArray:
        """Calibrated probabilities, shape (repetitions, examples, labels)."""
        logits, words = self.logits[method], self.words
        first = None if words is None else words[0]
        calibration = calibrate_few(self.tree, logits[0], np.asarray(self.labels), first)
        return np.stack(
            [
                calibration.apply(self.tree, each, None if words is None else words[number])
                for number, each in enumerate(logits)
            ]
        )

    def loss(self, method: str) -> float:
        """Mean log loss of the calibrated probabilities, in nats."""
        probabilities = self.probabilities(method)
        true = probabilities[:, np.arange(len(self.labels)), np.asarray(self.labels)]
        return float(-np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean())

    def hits(self, method: str) -> npt.NDArray[np.bool_]:
        """Whether they are right, shape (repetitions, examples)."""
        return np.asarray(self.probabilities(method).argmax(axis=2) == np.asarray(self.labels))

    def by_fold(self, hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The share that is right in each fold of each repetition."""
        pairs = zip(hits, self.splits, strict=False)
        return np.array([row[test].mean() for row, folds in pairs for _, test in folds])

    @property
    def test_share(self) -> float:
        """Test rows relative to training rows in a fold."""
        return 1 / (len(self.splits[0]) - 1)


def compare_methods(
    found: OutOfFold, examples: Sequence[int], notes: Sequence[str], adapter_share: float
) -> FewShotReport:
    """The report on cross-validated methods; the first one is chosen unless another is better.

    Better is what is ahead by more than a standard error: the best of several is otherwise often
    the luckiest.

    :param examples: how many each label has.
    :param adapter_share: that of the encoder by which they were compared.
    """
    codes = found.tree.at(found.tree.finest).codes
    first, *others = found.logits
    chosen, lead = first, 0.0
    for method in others:
        ahead = _paired(found, method, first)
        if ahead.mean() > max(lead, _standard_error(ahead, found.test_share)):
            chosen, lead = method, float(ahead.mean())
    order = [chosen, *(method for method in found.logits if method != chosen)]
    probabilities = found.probabilities(chosen)[0]
    metrics = evaluate(found.labels, probabilities, codes)
    labels = np.asarray(found.labels)
    return FewShotReport(
        method=chosen,
        labels=tuple(codes),
        examples=tuple(examples),
        figures=tuple(_figures(found, method, chosen) for method in order),
        confusion=metrics.confusion,
        per_class=metrics.per_class,
        curves={
            code: precision_recall(probabilities[:, place], labels == place)
            for place, code in enumerate(codes)
        },
        notes=tuple(notes),
        logits=_rows(found.logits[chosen][0]),
        word_log_probs=None if found.words is None else _rows(found.words[0]),
        adapter_share=adapter_share,
    )


def _rows(values: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 4) for value in row) for row in values)


def _paired(found: OutOfFold, method: str, other: str) -> npt.NDArray[np.float64]:
    """By how much a method is ahead of another, on the folds that both have."""
    ahead, behind = (found.by_fold(found.hits(name)) for name in (method, other))
    count = min(len(ahead), len(behind))
    return np.asarray(ahead[:count] - behind[:count])


def _figures(found: OutOfFold, method: str, chosen: str) -> MethodFigures:
    probabilities = found.probabilities(method)
    codes = found.tree.at(found.tree.finest).codes
    f1 = [evaluate(found.labels, each, codes).macro_f1 for each in probabilities]
    spread = bootstrap(np.asarray(found.labels), probabilities[0].argmax(axis=1), len(codes))
    hits = found.hits(method)
    accuracy = float(hits.mean())
    share = share_interval(found.by_fold(hits), found.test_share, len(set(found.groups)))
    behind = _paired(found, chosen, method)
    return MethodFigures(
        method=method,
        accuracy=accuracy,
        accuracy_interval=share,
        macro_f1=float(np.mean(f1)),
        # Of few rows that are all right, resampled ones are as well.
        macro_f1_interval=Interval(
            low=max(0.0, min(spread.macro_f1.low, float(np.mean(f1)) - accuracy + share.low)),
            high=min(1.0, max(spread.macro_f1.high, float(np.mean(f1)) - accuracy + share.high)),
        ),
        behind=None if method == chosen else corrected_interval(behind, found.test_share),
    )


def folds_of(
    labels: Sequence[int], groups: Sequence[str], seed: int
) -> list[tuple[Positions, Positions]]:
    """Rows to fit on and rows to test on, for each fold of one repetition.

    Stratified by label; rows of one group are on one side. Empty if no label has two groups, as
    nothing can then be both fitted and tested.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    most = max((len({groups[i] for i in rows}) for rows in _by_label(labels).values()), default=0)
    if most < 2:
        return []
    splitter = StratifiedGroupKFold(min(FOLDS, most), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Labels with fewer examples than folds are reported in plain words elsewhere.
        warnings.filterwarnings("ignore", message="The least populated class")
        splits = list(splitter.split(np.zeros(len(labels)), labels, groups))
    return [(train, test) for train, test in splits if len(train) and len(test)]


def _by_label(labels: Sequence[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        found.setdefault(label, []).append(row)
    return found


def corrected_interval(values: npt.NDArray[np.float64], test_share: float) -> Interval:
    """Interval of the mean of a figure over the folds of repeated cross-validation.

    :param values: the figure on each fold of each repetition, shape (folds of all,).
    :param test_share: test rows of a fold relative to its training rows.
    """
    from scipy.stats import t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, max(1, len(values) - 1)))
    mean, reach = float(values.mean()), quantile * _standard_error(values, test_share)
    return Interval(low=mean - reach, high=mean + reach)


def _standard_error(values: npt.NDArray[np.float64], test_share: float) -> float:
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    return math.sqrt((1 / len(values) + test_share) * variance)


def share_interval(
    values: npt.NDArray[np.float64], test_share: float, independent: int
) -> Interval:
    """As ``corrected_interval``, of a share, and no narrower than Wilson's.

    :param independent: rows that can agree only by chance: one for each group.
    """
    spread = corrected_interval(values, test_share)
    mean = min(1.0, max(0.0, float(values.mean())))
    least = wilson(round(mean * independent), independent)
    return Interval(
        low=max(0.0, min(spread.low, least.low, mean)),
        high=min(1.0, max(spread.high, least.high, mean)),
    )


def precision_recall(
    probabilities: FloatArray, carried: npt.NDArray[np.bool_]
) -> tuple[CurvePoint, ...]:
    """Precision and recall of a label from each probability on, the lowest first.

    Shapes are (rows,). Of very many probabilities, those at even steps of recall are kept.
    """
    from sklearn.metrics import precision_recall_curve

    if not carried.any():
        return ()
    precision, recall, thresholds = precision_recall_curve(carried, probabilities)
    kept = np.unique(np.linspace(0, len(thresholds) - 1, MOST_POINTS).astype(np.intp))
    points = zip(thresholds[kept], precision[kept], recall[kept], strict=True)
    return tuple(
        CurvePoint(threshold=float(t), precision=float(p), recall=float(r)) for t, p, r in points
    )


def read_few_shot(bundle: Bundle) -> FewShotReport | None:
    """The cross-validated figures of a bundle that was made from few examples; None of others.

    :raises BundleError: if the file is damaged.
    """
    return bundle.listed.parse(LAYOUT.few_shot, FewShotReport)
