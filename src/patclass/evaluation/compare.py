"""Which of two models is better. Knows their predictions on the same rows, no model.

Rows are what both models share, so every figure is paired: McNemar's exact test (1947) asks
whether the rows that only one of them gets right lean to one side by more than chance, and a
paired bootstrap (Koehn 2004, "Statistical significance tests for machine translation
evaluation") draws the same rows for both to say how large the difference may be.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from patclass.core.types import Frozen, Positions
from patclass.evaluation.intervals import Floats, macro_f1, resampled

_Ints = npt.NDArray[np.int64]

# A difference that chance brings about less often than this counts as one.
SIGNIFICANCE = 0.05


class Difference(Frozen):
    """One figure of both models as shares; the difference B - A and its interval in points.

    ``low`` and ``high`` hold 95 % of the resamples, 2.5 % lying beyond either end.
    """

    a: float
    b: float
    points: float
    low: float
    high: float


class Comparison(Frozen):
    """Two models on the same rows of one level.

    ``macro_f1`` is the mean over the labels that occur among the true ones, for each resample.
    ``only_a`` and ``only_b`` count the rows that one model alone gets right, ``p`` is the two-sided
    p-value of McNemar's exact test on them.
    """

    level: str
    names: tuple[str, str]
    rows: int
    resamples: int
    accuracy: Difference
    macro_f1: Difference
    both: int
    only_a: int
    only_b: int
    neither: int
    p: float

    @property
    def better(self) -> int | None:
        """0 if the first model is better, 1 if the second is, None if one cannot tell.

        Test and interval both have to say so: near the border they may disagree.
        """
        if self.p >= SIGNIFICANCE or self.accuracy.low <= 0 <= self.accuracy.high:
            return None
        return int(self.accuracy.points > 0)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        gap, p = self.accuracy, _p_text(self.p)
        interval = f"95 % interval {gap.low:+z.1f} to {gap.high:+z.1f}"
        if self.better is None:
            a, b = self.names
            return (
                f"cannot tell: {b} has {gap.points:+z.1f} points of accuracy against {a} on "
                f"{self.rows:,} rows ({interval}, McNemar {p})."
            )
        if self.better == 0:
            interval = f"95 % interval {-gap.high:+z.1f} to {-gap.low:+z.1f}"
        winner, loser = self.names[self.better], self.names[1 - self.better]
        return (
            f"{winner} is better: {abs(gap.points):+.1f} points of accuracy against {loser} on "
            f"{self.rows:,} rows ({interval}, McNemar {p})."
        )

    def text(self) -> str:
        """Both models side by side as a plain text table, the verdict below."""
        a, b = (name[:15] for name in self.names)
        lines = [f"{self.level[:15]:16}{a:>16}{b:>16}{'difference':>12}  95 % interval"]
        for title, gap in (("accuracy", self.accuracy), ("macro F1", self.macro_f1)):
            lines.append(
                f"{title:16}{gap.a:>16.1%}{gap.b:>16.1%}{gap.points:>+z12.1f}"
                f"  {gap.low:+z.1f} to {gap.high:+z.1f}"
            )
        lines.append(
            f"{'only this right':16}{self.only_a:>16,}{self.only_b:>16,}"
            f"{self.only_b - self.only_a:>+12,}  McNemar {_p_text(self.p)}"
        )
        lines.append(f"{'both right':16}{self.both:>16,}{self.both:>16,}")
        return "\n".join([*lines, self.verdict])


def compare(
    y_true: Sequence[int] | npt.NDArray[np.integer],
    answers_a: Sequence[int] | npt.NDArray[np.integer],
    answers_b: Sequence[int] | npt.NDArray[np.integer],
    *,
    level: str,
    names: tuple[str, str] = ("A", "B"),
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their predictions for the same rows, each of shape (rows,).

    :param y_true: positions of the true labels; a negative one stands for a label that the
        models do not know, so that no prediction is right.
    :param level: what the labels are, for the reader.
    :param resamples: bootstrap samples behind the intervals.
    :raises ValueError: if there are no rows, if the lengths differ, if something else than
        whole numbers is given, or without resamples.
    """
    true, a, b = (_positions(values) for values in (y_true, answers_a, answers_b))
    if not len(true) == len(a) == len(b):
        raise ValueError(f"rows differ: {len(true)} true labels, {len(a)} and {len(b)} predictions")
    if not len(true):
        raise ValueError("nothing to compare: no rows")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    right_a, right_b = (a == true) & (true >= 0), (b == true) & (true >= 0)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    labels = np.unique(true[true >= 0])
    places = [_places(values, labels) for values in (true, a, b)]

    def f1(of: int, drawn: Positions) -> Floats:
        return macro_f1(places[0], places[of], len(labels), drawn)

    lean = right_b.astype(np.int64) - right_a
    accuracies, f1s = [], []
    for drawn in resampled(len(true), len(labels), resamples, seed):
        accuracies.append(lean[drawn].mean(axis=1))
        f1s.append(f1(2, drawn) - f1(1, drawn))
    rows = np.arange(len(true))[np.newaxis]
    return Comparison(
        level=level,
        names=names,
        rows=len(true),
        resamples=resamples,
        accuracy=_difference(float(right_a.mean()), float(right_b.mean()), accuracies),
        macro_f1=_difference(float(f1(1, rows)[0]), float(f1(2, rows)[0]), f1s),
        both=int((right_a & right_b).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~right_a & ~right_b).sum()),
        p=mcnemar(only_a, only_b),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value of McNemar's exact test on the two counts of discordant rows."""
    discordant = only_a + only_b
    return float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0


def _places(values: _Ints, labels: _Ints) -> _Ints:
    """The place of each value among ``labels``; their number for one that is not there."""
    place = np.searchsorted(labels, values)
    there = np.append(labels, -1)[place] == values  # what lies beyond the last is not there
    return np.where(there & (values >= 0), place, len(labels))


def _difference(a: float, b: float, resampled: Sequence[Floats]) -> Difference:
    low, high = np.quantile(np.concatenate(resampled), [0.025, 0.975])
    return Difference(a=a, b=b, points=100 * (b - a), low=100 * low, high=100 * high)


def _positions(values: Sequence[int] | npt.NDArray[np.integer]) -> _Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"expected a row of whole numbers, not {array.dtype} of {array.shape}")
    return array.astype(np.int64)


def _p_text(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"
