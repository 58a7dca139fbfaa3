"""Figures with intervals and bounds, and the lines of their table. Knows no models."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from patclass.core.types import Positions
from patclass.evaluation.calibration import (
    BoolArray,
    Floats,
    expected_calibration_error,
)
from patclass.evaluation.intervals import (
    RESAMPLES,
    Interval,
    counted,
    percentiles,
    resampled,
    wilson,
)
from patclass.evaluation.multilabel import Estimate
from patclass.predictor.calibration import PRECISION, lowest_threshold
from patclass.predictor.scored import LabelledPredictions


@dataclass(frozen=True)
class Figure:
    """A figure of some rows.

    :param share: whether it is one, and so printed in per cent.
    :param bound: what it should reach.
    :param at_most: whether the bound is one from above.
    """

    name: str
    value: float
    rows: int
    interval: Interval | None = None
    bound: float | None = None
    at_most: bool = False
    share: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether it is on the right side of its bound; None without one."""
        if self.bound is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def as_json(self) -> dict[str, object]:
        """For a file."""
        interval = self.interval and self.interval.model_dump()
        return asdict(self) | {"interval": interval, "reached": self.reached}


HEADING = "| | rows | figure | 95 % | bound | |\n|---|---|---|---|---|---|"


def line(figure: Figure) -> str:
    """The figure as a line of a table in Markdown."""
    return f"| {' | '.join(_cells(figure))} |"


def _cells(figure: Figure) -> list[str]:
    def text(value: float) -> str:
        return f"{value:.1%}" if figure.share else f"{value:.3f}"

    interval = figure.interval
    bound = "" if figure.bound is None else f"{'≤' if figure.at_most else '≥'} {text(figure.bound)}"
    reached = {None: "", True: "reached", False: "missed"}[figure.reached]
    spread = "" if interval is None else f"{text(interval.low)} to {text(interval.high)}"
    return [figure.name, f"{figure.rows:,}", text(figure.value), spread, bound, reached]


def estimated(
    name: str, found: Estimate, rows: int, bound: float | None = None, share: bool = True
) -> Figure:
    """A figure with the interval that it came with."""
    return Figure(name, found.value, rows, found.interval, bound, share=share)


def share_of(
    name: str, right: int, rows: int, bound: float | None = None, at_most: bool = False
) -> Figure:
    """A share of rows, with Wilson's interval."""
    return Figure(name, right / rows, rows, wilson(right, rows), bound, at_most)


def interval_of(
    statistic: Callable[[Positions], float], rows: int, resamples: int = RESAMPLES
) -> Interval:
    """The bootstrap interval of what ``statistic`` says of row numbers drawn with replacement."""
    drawn = (row for block in resampled(rows, 0, resamples, 0) for row in block)
    return percentiles(np.array([statistic(row) for row in drawn]))


def ece(predictions: LabelledPredictions) -> tuple[float, Interval]:
    """The expected calibration error; that of resamples is larger, as they have fewer rows."""
    sure, correct = predictions.confidences, predictions.correct

    def statistic(rows: Positions) -> float:
        return expected_calibration_error(sure[rows], correct[rows])

    return expected_calibration_error(sure, correct), interval_of(statistic, len(sure))


def ece_if_calibrated(predictions: LabelledPredictions, draws: int = 200) -> float:
    """The error that a model with these confidences would show if each of them were exact.

    It is above zero, as few rows are in a bin: the mean over answers drawn by the confidences.
    """
    sure = predictions.confidences
    drawn = np.random.default_rng(0).random((draws, len(sure))) < sure
    return float(np.mean([expected_calibration_error(sure, correct) for correct in drawn]))


def answered(
    confidences: Floats, correct: BoolArray, precision: float = PRECISION
) -> tuple[float, Interval]:
    """The share answered from the lowest confidence with that precision on these rows."""

    def statistic(rows: Positions) -> float:
        sure = confidences[rows]
        lowest = lowest_threshold(sure, correct[rows], precision)
        return 0.0 if lowest is None else float((sure >= lowest).mean())

    return statistic(np.arange(len(correct))), interval_of(statistic, len(correct))


def accuracy_of_draws(correct: BoolArray) -> Estimate:
    """Mean accuracy over draws of examples; resamples draw test rows and draws.

    :param correct: shape (draws, rows).
    """
    draws, rows = correct.shape
    generator = np.random.default_rng(0)
    means = [
        correct[generator.integers(draws, size=draws)].mean(axis=0)[row].mean()
        for block in resampled(rows, 0, RESAMPLES, 0)
        for row in block
    ]
    return Estimate(value=float(correct.mean()), interval=percentiles(np.array(means)))


def f1_of_draws(y_true: BoolArray, y_pred: BoolArray, groups: Positions) -> Estimate:
    """Mean F1 over draws of examples; resamples draw groups of test rows, such as families.

    :param y_true: shape (rows,).
    :param y_pred: shape (draws, rows).
    :param groups: the number of each row's group, shape (rows,).
    """
    number = int(groups.max()) + 1
    hits, counts = (
        np.stack([np.bincount(groups, weights=row, minlength=number) for row in table])
        for table in ((y_pred & y_true).astype(int), y_pred.astype(int) + y_true)
    )

    def f1(weights: npt.NDArray[np.floating]) -> Floats:
        return np.asarray((2 * (weights @ hits.T) / np.maximum(weights @ counts.T, 1)).mean(axis=1))

    blocks = resampled(number, 0, RESAMPLES, 0)
    drawn = np.concatenate([f1(counted(block, number).astype(float)) for block in blocks])
    return Estimate(value=float(f1(np.ones((1, number)))[0]), interval=percentiles(drawn))
