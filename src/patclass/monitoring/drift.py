"""Drift of live predictions: a window of them compared with the reference of their model.

An alert is a shift that is improbable without drift. Five signals are tested, with a false-alert
rate of one window in two hundred for all of them together (Bonferroni correction). Most of that is
assigned to the labels, because a change in the mix of patents shows there first, weakened by wrong
predictions.

The other signals must also have shifted by an effect size: a reference is a sample itself, and
with enough predictions any difference from it is significant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray
from patclass.monitoring.accuracy import Accuracy, ReviewedText, estimate
from patclass.predictor.drift_reference import DriftReference
from patclass.store.predictions import PredictionRow

# A share of zero would make the PSI infinite.
_MIN_SHARE = 1e-4

# Labels with fewer expected rows are pooled, as the chi-squared test requires.
_MIN_EXPECTED = 5

BINS = 10

_Values = npt.NDArray[Any]
_Counts = npt.NDArray[np.int64]


def population_stability(reference: _Values, window: _Values) -> float:
    """Population stability index of two distributions over the same bins.

    Of counts or shares of shape (bins,). By convention less than 0.1 is stable, and more than 0.25
    a shift (Siddiqi 2006, "Credit Risk Scorecards").
    """
    p, q = (np.maximum(_normalised(values), _MIN_SHARE) for values in (reference, window))
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: _Values, window: _Values) -> float:
    """Jensen–Shannon distance over the same bins, base 2: 0 if equal, 1 if disjoint."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(_normalised(reference), _normalised(window), base=2))


def binned(reference: _Values, values: _Values) -> _Values:
    """Counts of values in each decile of the reference, shape (bins,)."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="left")  # equal values share a bin
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)


def kolmogorov_smirnov(reference: _Values, window: _Values) -> tuple[float, float]:
    """The largest gap between two samples' distribution functions, and its p-value."""
    from scipy.stats import ks_2samp

    result = ks_2samp(reference, window, method="asymp")
    return float(result.statistic), float(result.pvalue)


def label_shift(reference: _Values | Sequence[int], window: _Values | Sequence[int]) -> float:
    """The p-value of a shift in the mix of labels, given counts of shape (labels,).

    Half of the error is assigned to all labels together (chi-squared test), half to the label that
    has shifted most (hypergeometric test, Bonferroni correction), so that both many small changes
    and a single large one are detected.
    """
    a, b = np.asarray(reference, dtype=np.int64), np.asarray(window, dtype=np.int64)
    present = a + b > 0
    a, b = a[present], b[present]
    if len(a) < 2:
        return 1.0
    return min(1.0, 2 * _joint_p(a, b), 2 * len(a) * _single_label_p(a, b))


def _joint_p(a: _Counts, b: _Counts) -> float:
    from scipy.stats import chi2_contingency

    share = min(a.sum(), b.sum()) / (a.sum() + b.sum())
    frequent = (a + b) * share >= _MIN_EXPECTED
    table = np.stack([_pooled(a, frequent), _pooled(b, frequent)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)


def _pooled(counts: _Counts, frequent: npt.NDArray[np.bool_]) -> _Counts:
    return np.append(counts[frequent], counts[~frequent].sum())


def _single_label_p(a: _Counts, b: _Counts) -> float:
    """The smallest p-value of a single label, two-sided."""
    from scipy.stats import hypergeom

    total, drawn = a.sum() + b.sum(), b.sum()
    below = hypergeom.cdf(b, total, a + b, drawn)
    above = hypergeom.sf(b - 1, total, a + b, drawn)
    return float(min(1.0, 2 * np.minimum(below, above).min()))


def _normalised(values: _Values) -> _Values:
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values / max(1e-12, values.sum()))


@dataclass(frozen=True)
class Signal:
    """A value of predictions that is monitored for drift.

    :param error_share: its share of ``FALSE_ALERT_RATE``.
    """

    name: str
    title: str
    description: str
    error_share: float = 0.05


# All signals by name, in the order in which they are reported.
SIGNALS = {
    signal.name: signal
    for signal in (
        Signal("confidence", "Confidence", "confidence of the predictions of the coarsest level"),
        Signal("labels", "Labels", "how often each label of the coarsest level is predicted", 0.8),
        Signal("length", "Text length", "length of the texts in characters"),
        Signal(
            "oov_rate",
            "Out-of-vocabulary rate",
            "share of a text's tokens that no training text contains",
        ),
        Signal("novelty", "Novelty", "distance of a text's embedding from those of usual texts"),
    )
}

# How often any signal of a window without drift raises an alert.
FALSE_ALERT_RATE = 0.005

# An alert needs at least this Kolmogorov-Smirnov statistic, except for labels.
_MIN_EFFECT = 0.1

# The embedding space is fitted on the reference itself, the less precisely the fewer rows there
# are for each of its directions; the novelty must have shifted by so much more, see docs/log.md.
_SPACE_ERROR = 2.0


@dataclass(frozen=True)
class Shift:
    """The difference of one signal between a window and the reference.

    :param signal: its name in ``SIGNALS``.
    :param psi: population stability index.
    :param js: Jensen–Shannon distance.
    :param ks: Kolmogorov–Smirnov statistic; None for labels.
    :param p: the p-value of the difference.
    :param reference: the mean of the reference, as ``window`` of the window; None for labels.
    """

    signal: str
    psi: float
    js: float
    ks: float | None
    p: float
    alert: bool
    reference: float | None = None
    window: float | None = None


@dataclass(frozen=True)
class LabelShare:
    """How often a label was predicted, as shares of the reference and of the window."""

    label: str
    reference: float
    window: float


@dataclass(frozen=True)
class Assessment:
    """One window of predictions compared with the reference.

    :param number: of its last prediction in the store.
    :param begin: time of its first prediction, as ``end`` of the last.
    :param level: the coarsest level, to which labels and confidence belong.
    :param accuracy: by level.
    """

    number: int
    rows: int
    begin: datetime
    end: datetime
    level: str
    shifts: tuple[Shift, ...]
    labels: tuple[LabelShare, ...]
    accuracy: Mapping[str, Accuracy]

    @property
    def alerts(self) -> tuple[str, ...]:
        """The names of the signals that raise an alert."""
        return tuple(shift.signal for shift in self.shifts if shift.alert)


@dataclass(frozen=True)
class SignalValues:
    """The values of each signal in a window; missing values are left out.

    :param counts: how often each label of the coarsest level was predicted, shape (labels,).
    :param confidences: of that level, shape (rows,), as all others.
    :param chars: lengths of the texts in characters.
    """

    counts: npt.NDArray[np.int64]
    confidences: FloatArray
    chars: FloatArray
    oov_rate: FloatArray
    novelty: FloatArray

    @classmethod
    def of(cls, reference: DriftReference, rows: Sequence[PredictionRow]) -> "SignalValues":
        """The values of live predictions."""
        level = reference.levels[0]
        positions = {code: position for position, code in enumerate(reference.codes[level])}
        predicted = [row.levels[level] for row in rows if level in row.levels]
        counts = np.bincount([positions[label] for label, _ in predicted], minlength=len(positions))
        return cls(
            counts=counts.astype(np.int64),
            confidences=_present([confidence for _, confidence in predicted]),
            chars=_present([row.chars for row in rows]),
            oov_rate=_present([row.oov_rate for row in rows]),
            novelty=_present([row.novelty for row in rows]),
        )


def assess(
    reference: DriftReference,
    rows: Sequence[PredictionRow],
    number: int,
    reviewed: Mapping[str, ReviewedText] | None = None,
) -> Assessment:
    """Compare a window of live predictions with the reference.

    :param rows: predictions of one model, oldest first; at least one.
    :param number: of the last of them in the store.
    :param reviewed: reviewed texts by the hash of the text.
    """
    values = SignalValues.of(reference, rows)
    return Assessment(
        number=number,
        rows=len(rows),
        begin=rows[0].created,
        end=rows[-1].created,
        level=reference.levels[0],
        shifts=shifts_of(reference, values),
        labels=_label_shares(reference, values.counts),
        accuracy=estimate(reference.levels, rows, reviewed or {}),
    )


def shifts_of(reference: DriftReference, window: SignalValues) -> tuple[Shift, ...]:
    """The shift of each signal, in the order of ``SIGNALS``."""
    level = reference.levels[0]
    confidences = reference.confidences[level][reference.predictions[level] >= 0]
    return (
        _shift("confidence", confidences, window.confidences),
        _label_shift(reference.counts(level), window.counts),
        _shift("length", reference.chars, window.chars),
        _shift("oov_rate", reference.oov_rate, window.oov_rate),
        _shift("novelty", reference.novelty, window.novelty, _space_error(reference)),
    )


def _space_error(reference: DriftReference) -> float:
    """The part of a novelty shift that the fit of the embedding space may cause."""
    return _SPACE_ERROR * int(reference.space.directions.shape[1]) / len(reference.novelty)


def _shift(signal: str, reference: FloatArray, window: FloatArray, error: float = 0.0) -> Shift:
    if not len(window):
        return Shift(signal, 0.0, 0.0, 0.0, 1.0, False)
    ks, p = kolmogorov_smirnov(reference, window)
    before, now = binned(reference, reference), binned(reference, window)
    return Shift(
        signal=signal,
        psi=population_stability(before, now),
        js=jensen_shannon(before, now),
        ks=ks,
        p=p,
        alert=ks >= _MIN_EFFECT + error and _is_significant(signal, p),
        reference=float(reference.mean()),
        window=float(window.mean()),
    )


def _label_shift(reference: npt.NDArray[np.int64], window: npt.NDArray[np.int64]) -> Shift:
    p = label_shift(reference, window)
    return Shift(
        signal="labels",
        psi=population_stability(reference, window),
        js=jensen_shannon(reference, window),
        ks=None,
        p=p,
        alert=_is_significant("labels", p),
    )


def _is_significant(signal: str, p: float) -> bool:
    return p < FALSE_ALERT_RATE * SIGNALS[signal].error_share


def _label_shares(
    reference: DriftReference, counts: npt.NDArray[np.int64]
) -> tuple[LabelShare, ...]:
    level = reference.levels[0]
    before = reference.counts(level)
    return tuple(
        LabelShare(code, float(a / max(1, before.sum())), float(b / max(1, counts.sum())))
        for code, a, b in zip(reference.codes[level], before, counts, strict=True)
    )


def _present(values: Sequence[float | None]) -> FloatArray:
    # In the precision of the reference: values that are equal there must be equal here.
    return np.array([value for value in values if value is not None], dtype=np.float32)


def assessment_text(assessment: Assessment) -> str:
    """An assessment as text: a line for each signal, each level's accuracy and shifted label."""
    lines = [
        f"{assessment.rows:,} predictions from {assessment.begin:%Y-%m-%d %H:%M} to "
        f"{assessment.end:%Y-%m-%d %H:%M} UTC, compared with the reference",
        "",
        f"{'signal':24}{'PSI':>8}{'KS':>8}{'p':>10}{'reference':>12}{'window':>12}  alert",
    ]
    for shift in assessment.shifts:
        means = f"{_figure(shift.reference, '.4g'):>12}{_figure(shift.window, '.4g'):>12}"
        statistics = f"{shift.psi:8.3f}{_figure(shift.ks, '.3f'):>8}{shift.p:10.2g}"
        lines.append(
            f"{SIGNALS[shift.signal].title:24}{statistics}{means}  {'yes' if shift.alert else 'no'}"
        )
    lines += ["", f"{'accuracy':24}{'estimated':>10}{'measured':>10}{'reviewed':>10}"]
    for level, accuracy in assessment.accuracy.items():
        measured = _figure(accuracy.measured, ".1%")
        lines.append(f"{level:24}{accuracy.estimated:>10.1%}{measured:>10}{accuracy.reviewed:>10,}")
    lines += ["", f"{assessment.level:24}{'reference':>10}{'window':>10}"]
    for share in sorted(assessment.labels, key=lambda s: -abs(s.window - s.reference))[:_SHOWN]:
        lines.append(f"{share.label:24}{share.reference:>10.1%}{share.window:>10.1%}")
    return "\n".join(lines)


# Labels of a text: those whose shares differ most.
_SHOWN = 8


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
