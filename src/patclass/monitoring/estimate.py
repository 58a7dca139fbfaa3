"""How many answers are right: estimated from confidences, measured by people's verdicts.

The estimate is the mean calibrated confidence (confidence-based performance estimation): as many
answers are right as their confidences promise, as long as calibration holds. It knows nothing of
labels that the model has never seen, so the measured share stands beside it wherever there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.evaluation.intervals import wilson
from patclass.monitoring.known import Known
from patclass.store.predictions import PredictionRow


@dataclass(frozen=True)
class Accuracy:
    """Of the answers at one level.

    :param estimated: the share that should be right, and the interval that holds it in 95 windows
        of 100 if the confidences are right.
    :param judged: how many answers people have judged, of which ``right`` were right.
    :param low: of the measured share's 95 % interval (Wilson), as ``high``; None without verdicts.
    """

    rows: int
    estimated: float
    estimated_low: float
    estimated_high: float
    judged: int
    right: int
    low: float | None = None
    high: float | None = None

    @property
    def measured(self) -> float | None:
        """The share of judged answers that were right."""
        return self.right / self.judged if self.judged else None


def estimate(
    levels: Sequence[str], rows: Sequence[PredictionRow], known: Mapping[str, Known]
) -> dict[str, Accuracy]:
    """The accuracy at each level that has answers.

    :param known: what people hold of texts, by the hash of the text.
    """
    found = {}
    for level in levels:
        answers = [(row, *row.levels[level]) for row in rows if level in row.levels]
        if answers:
            shares = np.array([share for _, _, share in answers])
            judged = [
                known[row.text_sha256].judges(level, label)
                for row, label, _ in answers
                if row.text_sha256 in known
            ]
            found[level] = _accuracy(shares, [right for right in judged if right is not None])
    return found


def _accuracy(
    shares: "np.ndarray[tuple[int], np.dtype[np.float64]]", judged: list[bool]
) -> Accuracy:
    mean = float(shares.mean())
    # Right or wrong by its own share each: the variance of the sum is that of unequal coins.
    deviation = 1.96 * float(np.sqrt((shares * (1 - shares)).sum())) / len(shares)
    low, high = (None, None)
    if judged:
        interval = wilson(sum(judged), len(judged))
        low, high = interval.low, interval.high
    return Accuracy(
        rows=len(shares),
        estimated=mean,
        estimated_low=max(0.0, mean - deviation),
        estimated_high=min(1.0, mean + deviation),
        judged=len(judged),
        right=sum(judged),
        low=low,
        high=high,
    )
