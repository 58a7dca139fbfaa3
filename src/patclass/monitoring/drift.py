"""A window of live answers beside the reference: what has shifted, and how good they may be.

An alarm is a shift that chance would hardly bring about: five signals are tested, and all of them
together may ring falsely in one window of two hundred (Bonferroni's correction). Most of that is
spent on the labels, as a shift in what is asked shows there first, weakened by wrong answers.

Of the other signals at least a tenth must have moved as well. A reference is itself a draw, and
with enough answers any difference from it is more than chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray
from patclass.monitoring.accuracy import Accuracy, Known, estimate
from patclass.predictor.reference import Reference
from patclass.store.predictions import PredictionRow

# A share of zero would make an infinite PSI of one row.
_SMALLEST_SHARE = 1e-4

# Labels with fewer rows expected in either are counted together, as the chi-squared test asks.
_EXPECTED = 5

BINS = 10

_Values = npt.NDArray[Any]
_Counts = npt.NDArray[np.int64]


def population_stability(reference: _Values, window: _Values) -> float:
    """Population stability index of two distributions over the same bins.

    Of counts or shares of shape (bins,). By custom less than 0.1 is called stable, more than 0.25
    a shift (Siddiqi 2006, "Credit Risk Scorecards").
    """
    p, q = (np.maximum(_normalised(values), _SMALLEST_SHARE) for values in (reference, window))
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: _Values, window: _Values) -> float:
    """Jensen–Shannon distance over the same bins, base 2: 0 if equal, 1 if nothing is shared."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(_normalised(reference), _normalised(window), base=2))


def binned(reference: _Values, values: _Values) -> _Values:
    """How many values lie in each tenth of the reference; shape (bins,)."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="left")  # of many equal values, one bin
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def kolmogorov_smirnov(reference: _Values, window: _Values) -> tuple[float, float]:
    """The largest gap between two samples' distribution functions, and its p-value."""
    from scipy.stats import ks_2samp

    found = ks_2samp(reference, window, method="asymp")
    return float(found.statistic), float(found.pvalue)


def label_shift(reference: _Values | Sequence[int], window: _Values | Sequence[int]) -> float:
    """The p-value of a shift in the mix of labels, given counts of shape (labels,).

    Half of the error is spent on all labels together (chi-squared), half on the label that has
    moved most (hypergeometric, Bonferroni's correction): so both many small changes and one large
    one are noticed.
    """
    a, b = np.asarray(reference, dtype=np.int64), np.asarray(window, dtype=np.int64)
    there = a + b > 0
    a, b = a[there], b[there]
    if len(a) < 2:
        return 1.0
    return min(1.0, 2 * _all_together(a, b), 2 * len(a) * _most_moved(a, b))


def _all_together(a: _Counts, b: _Counts) -> float:
    from scipy.stats import chi2_contingency

    share = min(a.sum(), b.sum()) / (a.sum() + b.sum())
    frequent = (a + b) * share >= _EXPECTED
    table = np.stack([_with_rest(a, frequent), _with_rest(b, frequent)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)


def _with_rest(counts: _Counts, frequent: npt.NDArray[np.bool_]) -> _Counts:
    return np.append(counts[frequent], counts[~frequent].sum())


def _most_moved(a: _Counts, b: _Counts) -> float:
    """The smallest p-value of a single label, two-sided."""
    from scipy.stats import hypergeom

    everything, drawn = a.sum() + b.sum(), b.sum()
    below = hypergeom.cdf(b, everything, a + b, drawn)
    above = hypergeom.sf(b - 1, everything, a + b, drawn)
    return float(min(1.0, 2 * np.minimum(below, above).min()))


def _normalised(values: _Values) -> _Values:
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values / max(1e-12, values.sum()))


SIGNALS = ("confidence", "labels", "length", "oov_rate", "novelty")

# How often a window without drift may ring, and the share of that which each signal may use.
FALSE_ALERTS = 0.005
_SPENT = dict.fromkeys(SIGNALS, 0.05) | {"labels": 0.8}

# Of the gap between distribution functions: less than this rings for no signal but the labels.
_MATTERS = 0.1

# The space in which distances are measured is fitted on the reference itself, and the less well
# the fewer rows there are for each of its directions: so much more must distances have moved.
_SPACE_ERROR = 2.0


@dataclass(frozen=True)
class Shift:
    """How one signal differs from the reference.

    :param ks: largest gap between the distribution functions; None for labels.
    :param p: how often chance brings about so large a difference.
    :param reference: the mean of the reference, and ``window`` that of the window; None for labels.
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
    """How often a label was answered, as shares of the reference and of the window."""

    label: str
    reference: float
    window: float


@dataclass(frozen=True)
class Assessment:
    """One window beside the reference.

    :param number: of the last prediction in it, as the store counts.
    :param level: the coarsest; labels and confidence are those of it.
    :param accuracy: for each level, estimated and, where people have judged answers, measured.
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
        """The signals that have shifted by more than chance."""
        return tuple(shift.signal for shift in self.shifts if shift.alert)


@dataclass(frozen=True)
class Columns:
    """What is compared of a window, one value for each answer; what is not known is left out.

    :param counts: how often each label of the coarsest level was answered, shape (labels,).
    :param confidences: of that level, as float32 like all others: of shape (rows,).
    """

    counts: npt.NDArray[np.int64]
    confidences: FloatArray
    chars: FloatArray
    oov_rate: FloatArray
    novelty: FloatArray

    @classmethod
    def of(cls, reference: Reference, rows: Sequence[PredictionRow]) -> "Columns":
        """The columns of live answers."""
        level = reference.levels[0]
        places = {code: place for place, code in enumerate(reference.codes[level])}
        answers = [row.levels[level] for row in rows if level in row.levels]
        counts = np.bincount([places[label] for label, _ in answers], minlength=len(places))
        return cls(
            counts=counts.astype(np.int64),
            confidences=_known([share for _, share in answers]),
            chars=_known([row.chars for row in rows]),
            oov_rate=_known([row.oov_rate for row in rows]),
            novelty=_known([row.novelty for row in rows]),
        )


def assess(
    reference: Reference,
    rows: Sequence[PredictionRow],
    number: int,
    known: Mapping[str, Known] | None = None,
) -> Assessment:
    """Compare live answers with the reference.

    :param rows: a window of predictions of one model, oldest first; at least one.
    :param known: what people hold of texts, by the hash of the text.
    """
    columns = Columns.of(reference, rows)
    return Assessment(
        number=number,
        rows=len(rows),
        begin=rows[0].created,
        end=rows[-1].created,
        level=reference.levels[0],
        shifts=shifts_of(reference, columns),
        labels=_shares(reference, columns.counts),
        accuracy=estimate(reference.levels, rows, known or {}),
    )


def shifts_of(reference: Reference, window: Columns) -> tuple[Shift, ...]:
    """How each signal differs, in the order of ``SIGNALS``."""
    level = reference.levels[0]
    sure = reference.confidences[level][reference.answers[level] >= 0]
    return (
        _values("confidence", sure, window.confidences),
        _labels(reference.counts(level), window.counts),
        _values("length", reference.chars, window.chars),
        _values("oov_rate", reference.oov_rate, window.oov_rate),
        _values("novelty", reference.novelty, window.novelty, _space_error(reference)),
    )


def _space_error(reference: Reference) -> float:
    """How much of a gap between distances may come from the fit, see docs/log.md."""
    return _SPACE_ERROR * int(reference.space.directions.shape[1]) / len(reference.novelty)


def _values(signal: str, reference: FloatArray, window: FloatArray, error: float = 0.0) -> Shift:
    if not len(window):
        return Shift(signal, 0.0, 0.0, 0.0, 1.0, False)
    ks, p = kolmogorov_smirnov(reference, window)
    tenths = binned(reference, reference), binned(reference, window)
    return Shift(
        signal=signal,
        psi=population_stability(*tenths),
        js=jensen_shannon(*tenths),
        ks=ks,
        p=p,
        alert=ks >= _MATTERS + error and _rare(signal, p),
        reference=float(reference.mean()),
        window=float(window.mean()),
    )


def _labels(reference: npt.NDArray[np.int64], window: npt.NDArray[np.int64]) -> Shift:
    p = label_shift(reference, window)
    return Shift(
        signal="labels",
        psi=population_stability(reference, window),
        js=jensen_shannon(reference, window),
        ks=None,
        p=p,
        alert=_rare("labels", p),
    )


def _rare(signal: str, p: float) -> bool:
    return p < FALSE_ALERTS * _SPENT[signal]


def _shares(reference: Reference, counts: npt.NDArray[np.int64]) -> tuple[LabelShare, ...]:
    level = reference.levels[0]
    before = reference.counts(level)
    return tuple(
        LabelShare(code, float(a / max(1, before.sum())), float(b / max(1, counts.sum())))
        for code, a, b in zip(reference.codes[level], before, counts, strict=True)
    )


def _known(values: Sequence[float | None]) -> FloatArray:
    # As the reference is kept: values that are equal there must be equal here.
    return np.array([value for value in values if value is not None], dtype=np.float32)
