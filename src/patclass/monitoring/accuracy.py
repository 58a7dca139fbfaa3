"""How many answers are right: estimated from confidences, measured by people's verdicts.

The estimate is the mean calibrated confidence (confidence-based performance estimation): as many
answers are right as their confidences promise, as long as calibration holds. It knows nothing of
labels that the model has never seen, so the measured share stands beside it wherever there is one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.cpc.symbols import LEVELS, Symbol
from patclass.evaluation.intervals import wilson
from patclass.store.consensus import FeedbackRow, consensus_of, group_by_text, related
from patclass.store.predictions import PredictionRow


@dataclass(frozen=True)
class Known:
    """What people hold of one text.

    :param label: what is right; None if they know only what is not.
    :param wrong: answers that are wrong, where nobody knows what is right.
    """

    label: str | None
    wrong: frozenset[str] = frozenset()

    def judges(self, level: str, answer: str) -> bool | None:
        """Whether a level's answer is right; None if that is not known."""
        if self.label is not None:
            return is_right(level, answer, self.label)
        return False if any(_contains(wrong, answer) for wrong in self.wrong) else None


def what_is_known(given: Iterable[FeedbackRow]) -> dict[str, Known]:
    """What verdicts, in the order in which they came, say of texts, by the hash of the text.

    A text about which people disagree is left out.
    """
    found = {text: _known(of_text) for text, of_text in group_by_text(given).items() if text}
    return {text: known for text, known in found.items() if known.label or known.wrong}


def _known(said: list[FeedbackRow]) -> Known:
    opinion = consensus_of(said)
    if opinion.label is not None or opinion.disputed:
        return Known(opinion.label)
    heard = [each.feedback for each in said if each.number in opinion.numbers]
    return Known(None, frozenset(f.predicted_label for f in heard if f.predicted_label is not None))


def code_at(level: str, code: str, labels: Collection[str]) -> str | None:
    """The label of a level that a code stands for; None if the code is coarser.

    :param labels: of the level. Where it is none of CPC's, the finest that holds the code counts;
        a code that none of them holds, or that is none of CPC's, stays.
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


def is_right(level: str, answer: str, truth: str) -> bool | None:
    """Whether a level's answer is right; None if the truth is known to a coarser level only."""
    code = code_at(level, truth, (answer,))
    if code is None:
        return None if related(answer, truth) else False
    return answer == code


def _contains(code: str, answer: str) -> bool:
    """Whether an answer is a label or stands below it: of what is wrong all finer is wrong too."""
    symbol = Symbol.parse(answer)
    return answer == code or (
        symbol is not None and Symbol.parse(code) is not None and symbol.is_within(code)
    )


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
