"""Accuracy of live predictions: estimated from confidences, measured by feedback.

The estimate is the mean calibrated confidence (confidence-based performance estimation). It holds
as long as the calibration does, and not for labels that the training data lacks; so the accuracy
measured on reviewed texts is reported with it where there is any.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.cpc.levels import LEVELS
from patclass.cpc.symbols import Symbol
from patclass.evaluation.intervals import wilson
from patclass.store.consensus import FeedbackRow, consensus_of, group_by_text, related
from patclass.store.predictions import PredictionRow


@dataclass(frozen=True)
class ReviewedText:
    """The consensus of the feedback on one text.

    :param label: the correct code; None if the feedback only says which labels are wrong.
    :param wrong: labels that are wrong, where the correct one is not known.
    """

    label: str | None
    wrong: frozenset[str] = frozenset()

    def confirms(self, level: str, predicted: str) -> bool | None:
        """Whether a level's predicted label is correct; None if that is not known."""
        if self.label is not None:
            return is_correct(level, predicted, self.label)
        return False if any(_contains(wrong, predicted) for wrong in self.wrong) else None


def reviewed_texts(feedback: Iterable[FeedbackRow]) -> dict[str, ReviewedText]:
    """Reviewed texts by the hash of the text; texts with disputed feedback are left out.

    :param feedback: in the order of its arrival.
    """
    reviewed = {text: _reviewed(rows) for text, rows in group_by_text(feedback).items() if text}
    return {text: each for text, each in reviewed.items() if each.label or each.wrong}


def _reviewed(rows: list[FeedbackRow]) -> ReviewedText:
    consensus = consensus_of(rows)
    if consensus.label is not None or consensus.disputed:
        return ReviewedText(consensus.label)
    valid = [row.feedback for row in rows if row.number in consensus.numbers]
    labels = (each.predicted_label for each in valid)
    return ReviewedText(None, frozenset(label for label in labels if label is not None))


def code_at(level: str, code: str, labels: Collection[str]) -> str | None:
    """The label of a level that contains a code; None if the code is coarser than the level.

    :param labels: of the level. If the level is none of the CPC, the finest label that contains
        the code is returned; a code that no label contains, or no CPC code, is returned as it is.
    """
    symbol = Symbol.parse(code)
    if symbol is None or code in labels:
        return code
    if level in LEVELS:
        return symbol.cut(level)
    above = [label for label in labels if Symbol.parse(label) and symbol.is_within(label)]
    if above:
        return max(above, key=len)
    return None if any(related(label, code) for label in labels) else code


def is_correct(level: str, predicted: str, code: str) -> bool | None:
    """Whether a level's predicted label is correct; None if the true code is too coarse to tell."""
    true_label = code_at(level, code, (predicted,))
    if true_label is None:
        return None if related(predicted, code) else False
    return predicted == true_label


def _contains(wrong: str, predicted: str) -> bool:
    """Whether a predicted label is ``wrong`` or below it: below a wrong code all are wrong."""
    symbol = Symbol.parse(predicted)
    return predicted == wrong or (
        symbol is not None and Symbol.parse(wrong) is not None and symbol.is_within(wrong)
    )


@dataclass(frozen=True)
class Accuracy:
    """Estimated and measured accuracy of one level.

    :param rows: number of predictions.
    :param estimated: the mean confidence, 0 to 1; ``estimated_low`` and ``estimated_high`` bound
        the accuracy of 95 % of windows if the confidences are calibrated.
    :param reviewed: number of predictions with feedback, of which ``correct`` were correct.
    :param low: of the measured share's 95 % interval (Wilson), as ``high``; None without feedback.
    """

    rows: int
    estimated: float
    estimated_low: float
    estimated_high: float
    reviewed: int
    correct: int
    low: float | None = None
    high: float | None = None

    @property
    def measured(self) -> float | None:
        """The share of reviewed predictions that were correct; None without feedback."""
        return self.correct / self.reviewed if self.reviewed else None


def estimate(
    levels: Sequence[str], rows: Sequence[PredictionRow], reviewed: Mapping[str, ReviewedText]
) -> dict[str, Accuracy]:
    """The accuracy of each level that has predictions.

    :param reviewed: reviewed texts by the hash of the text.
    """
    accuracies = {}
    for level in levels:
        predictions = [(row, *row.levels[level]) for row in rows if level in row.levels]
        if predictions:
            confidences = np.array([confidence for _, _, confidence in predictions])
            correct = [
                reviewed[row.text_sha256].confirms(level, label)
                for row, label, _ in predictions
                if row.text_sha256 in reviewed
            ]
            accuracies[level] = _accuracy(confidences, [c for c in correct if c is not None])
    return accuracies


def _accuracy(
    confidences: "np.ndarray[tuple[int], np.dtype[np.float64]]", correct: list[bool]
) -> Accuracy:
    mean = float(confidences.mean())
    # A sum of Bernoulli variables, each with its own probability.
    variance = (confidences * (1 - confidences)).sum()
    deviation = 1.96 * float(np.sqrt(variance)) / len(confidences)
    low, high = (None, None)
    if correct:
        interval = wilson(sum(correct), len(correct))
        low, high = interval.low, interval.high
    return Accuracy(
        rows=len(confidences),
        estimated=mean,
        estimated_low=max(0.0, mean - deviation),
        estimated_high=min(1.0, mean + deviation),
        reviewed=len(correct),
        correct=sum(correct),
        low=low,
        high=high,
    )
