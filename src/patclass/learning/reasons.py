"""Why an answer is worth a person's minute, and how much. Knows one prediction, no store."""

import hashlib
from dataclasses import dataclass

from patclass.inference.classifier import AGREEMENT
from patclass.store.feedback import DISPUTED
from patclass.store.predictions import PredictionRow

UNSURE, NEIGHBOURS, DRIFTED, SAMPLE = "unsure", "neighbours", "drifted", "sample"

# All reasons that there are, in words for people.
REASONS = {
    DISPUTED: "People disagree about it.",
    UNSURE: "The model is not sure of it.",
    NEIGHBOURS: "Hardly any known patent that is near has this code.",
    DRIFTED: "The text is unlike those that the model was tested on.",
    SAMPLE: "Chance chose it, to see how often answers are right.",
}

# Of all predictions, so many are drawn by chance.
SHARE = 0.1

# Less than that, and it is wrong more often than right, whatever its threshold says.
_EVEN = 0.5

# The distance is the root of the mean square of some sixteen values that usual texts spread by one:
# were they independent, it would leave these bounds once in 250 texts. What is no patent
# at all lies below rather than above: it has nothing of what patents differ by.
_NEAREST, _FARTHEST = 0.5, 1.5

# Of a thousand patents hardly one has a token in a hundred that is new to the model.
_UNSEEN = 0.05


@dataclass(frozen=True)
class Candidate:
    """A prediction that a person could look at.

    :param priority: how probable it is that the answer is wrong, as far as its row tells; one for
        a dispute. Of the sample it is the number drawn, which tells nothing.
    """

    prediction: PredictionRow
    reason: str
    priority: float


def candidate_of(row: PredictionRow, disputed: bool) -> Candidate | None:
    """A prediction with the first reason that holds; None if it can do without a person.

    The sample is drawn from all predictions before anything is asked of the answer: what people
    say of it holds for all. Confidences are calibrated, so one less the confidence is how often
    such answers are wrong. Where something else speaks against the answer, the confidence counts
    half: near patents have the other half, an unusual text nothing.
    """
    drawn = _draw(row.id)
    if disputed:
        return Candidate(row, DISPUTED, 1.0)
    if drawn < SHARE:
        return Candidate(row, SAMPLE, drawn)
    if not row.sure or row.confidence < _EVEN:
        return Candidate(row, UNSURE, 1 - row.confidence)
    if row.agreement is not None and row.agreement < AGREEMENT:
        return Candidate(row, NEIGHBOURS, 1 - (row.confidence + row.agreement) / 2)
    if _unusual(row):
        return Candidate(row, DRIFTED, 1 - row.confidence / 2)
    return None


def _draw(prediction_id: str) -> float:
    """A number from 0 to 1 that belongs to the prediction for ever, and hangs on nothing else."""
    digest = hashlib.sha256(prediction_id.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _unusual(row: PredictionRow) -> bool:
    far = row.distance is not None and not _NEAREST <= row.distance <= _FARTHEST
    return far or (row.unseen is not None and row.unseen > _UNSEEN)
