"""In which order answers wait for a person. Knows rows and what was said of them, no store.

Disputes come first, then the answers that are most probably wrong, label by label in turn, and
every fifth time one that chance chose. What somebody gave back rests for a while. The sample keeps
the order of its draw and takes no turns, so that however much of it is judged stands for all.
"""

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from patclass.inference.classifier import AGREEMENT
from patclass.store.consensus import (
    Consensus,
    FeedbackRow,
    consensus_of,
    group_by_text,
    valid_feedback,
)
from patclass.store.database import Database
from patclass.store.feedback import DISPUTED, FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.reviews import CLAIMED, LEASE, OPEN, Case, ReviewStore

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
class ReviewItem:
    """A prediction that a person could look at.

    :param priority: how probable it is that the answer is wrong, as far as its row tells; one for
        a dispute. Of the sample it is the number drawn, which tells nothing.
    """

    prediction: PredictionRow
    reason: str
    priority: float


def review_item_of(row: PredictionRow, disputed: bool) -> ReviewItem | None:
    """A prediction with the first reason that holds; None if it can do without a person.

    The sample is drawn from all predictions before anything is asked of the answer: what people
    say of it holds for all. Confidences are calibrated, so one less the confidence is how often
    such answers are wrong. Where something else speaks against the answer, the confidence counts
    half: near patents have the other half, an unusual text nothing.
    """
    drawn = _draw(row.id)
    if disputed:
        return ReviewItem(row, DISPUTED, 1.0)
    if drawn < SHARE:
        return ReviewItem(row, SAMPLE, drawn)
    if not row.sure or row.confidence < _EVEN:
        return ReviewItem(row, UNSURE, 1 - row.confidence)
    if row.agreement is not None and row.agreement < AGREEMENT:
        return ReviewItem(row, NEIGHBOURS, 1 - (row.confidence + row.agreement) / 2)
    if _unusual(row):
        return ReviewItem(row, DRIFTED, 1 - row.confidence / 2)
    return None


def _draw(prediction_id: str) -> float:
    """A number from 0 to 1 that belongs to the prediction for ever, and hangs on nothing else."""
    digest = hashlib.sha256(prediction_id.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _unusual(row: PredictionRow) -> bool:
    far = row.novelty is not None and not _NEAREST <= row.novelty <= _FARTHEST
    return far or (row.oov_rate is not None and row.oov_rate > _UNSEEN)


# Each time so many cases are handed out, the last of them is of the sample.
_FIFTH = 5

_NOTHING = Consensus(None, False, ())


@dataclass(frozen=True)
class Waiting:
    """What waits for a person.

    :param candidates: those with a text, in the order in which they are handed out.
    :param without_text: how many more there would be, had their texts been kept.
    """

    candidates: tuple[ReviewItem, ...]
    without_text: int


@dataclass(frozen=True)
class Known:
    """What is remembered beside predictions.

    :param texts: the hash of the text of each case, by prediction.
    :param said: all verdicts by the hash of the text.
    """

    cases: Mapping[str, Case]
    texts: Mapping[str, str]
    said: Mapping[str, Sequence[FeedbackRow]]

    def opinion(self, text: str) -> Consensus:
        """What people hold of a text."""
        return consensus_of(self.said[text]) if text in self.said else _NOTHING

    def whole(self, row: PredictionRow) -> PredictionRow:
        """A row with the text that was given with a verdict, where it was not kept itself."""
        if row.text is not None:
            return row
        given = (each.feedback.text for each in self.said.get(row.text_sha256, ()))
        return replace(row, text=next((text for text in given if text is not None), None))

    def handed_out(self) -> list[Case]:
        """Cases that somebody has or had in hand, the latest first."""
        found = [case for case in self.cases.values() if case.state != OPEN]
        return sorted(found, key=lambda case: case.updated, reverse=True)


def order(rows: Sequence[PredictionRow], known: Known, now: datetime) -> Waiting:
    """What waits among ``rows``, in the order in which it is handed out."""
    closed = {known.texts.get(c.prediction_id) for c in known.cases.values() if c.unavailable(now)}
    kept = {row.text_sha256: row.text for row in rows if row.text is not None}
    best: dict[str, ReviewItem] = {}
    without: set[str] = set()
    for row in rows:
        text, opinion = row.text_sha256, known.opinion(row.text_sha256)
        judged = bool(opinion.numbers) and not opinion.disputed
        found = None if text in closed else review_item_of(row, opinion.disputed)
        # Of the sample all are reviewed: those that nobody judges by themselves are the easy ones.
        if found is None or (judged and found.reason != SAMPLE):
            continue
        whole = known.whole(replace(row, text=row.text or kept.get(text)))
        if whole.text is None:
            without.add(text)
            continue
        found = replace(found, prediction=whole)
        best[text] = min(found, best.get(text, found), key=lambda c: _of_one_text(c, known))
    return Waiting(tuple(_in_turn(list(best.values()), rows, known, now)), len(without))


def _of_one_text(candidate: ReviewItem, known: Known) -> tuple[int, bool, float, str]:
    """Which of several predictions for one text stands for it: the smallest."""
    place = {DISPUTED: 0, SAMPLE: 1}.get(candidate.reason, 2)
    has_no_case = candidate.prediction.id not in known.cases
    return place, has_no_case, -candidate.priority, candidate.prediction.id


def _in_turn(
    found: list[ReviewItem], rows: Sequence[PredictionRow], known: Known, now: datetime
) -> list[ReviewItem]:
    handed = known.handed_out()
    labels = {row.id: _label(row) for row in rows}
    last: dict[str, int] = {}
    for ago, case in enumerate(handed):
        last.setdefault(labels.get(case.prediction_id, ""), -ago)
    resting = [each for each in found if _given_back(each, known, now)]
    awake = [each for each in found if not _given_back(each, known, now)]
    sample = sorted((c for c in awake if c.reason == SAMPLE), key=lambda c: c.priority)
    others = _spread([c for c in awake if c.reason != SAMPLE], last)
    resting.sort(key=lambda c: known.cases[c.prediction.id].updated)
    return [*_mixed(others, sample, len(handed)), *resting]


def _given_back(candidate: ReviewItem, known: Known, now: datetime) -> bool:
    """Whether somebody has just given the case back, so that others should come first."""
    case = known.cases.get(candidate.prediction.id)
    if case is None or case.state != OPEN:
        return False
    return case.updated > case.created and now - case.updated < LEASE


def _spread(found: Sequence[ReviewItem], last: Mapping[str, int]) -> list[ReviewItem]:
    """Disputes first; then labels in turn, from each the most doubtful that is left.

    :param last: when each label was handed out; the one that has waited longest begins.
    """
    turns: Counter[tuple[bool, str]] = Counter()
    places: dict[str, tuple[bool, int, float]] = {}
    for each in sorted(found, key=lambda c: (-c.priority, c.prediction.id)):
        label, later = _label(each.prediction), each.reason != DISPUTED
        places[each.prediction.id] = (later, turns[later, label], last.get(label, -math.inf))
        turns[later, label] += 1
    return sorted(found, key=lambda c: (*places[c.prediction.id], -c.priority, c.prediction.id))


def _mixed(
    others: Sequence[ReviewItem], sample: Sequence[ReviewItem], handed: int
) -> list[ReviewItem]:
    """Every fifth of the sample, counted with those that were handed out before."""
    others, sample = list(others[::-1]), list(sample[::-1])
    mixed: list[ReviewItem] = []
    while others or sample:
        due = (handed + len(mixed) + 1) % _FIFTH == 0
        mixed.append((sample if sample and (due or not others) else others).pop())
    return mixed


def _label(row: PredictionRow) -> str:
    """The coarsest label predicted."""
    return next(iter(row.levels.values()))[0]


# Of each model's answers the last so many are looked through.
WINDOW = 2000


@dataclass(frozen=True)
class Claimed:
    """A case in somebody's hands.

    :param prediction: with its text.
    :param said: the verdicts on the same text that hold so far.
    """

    prediction: PredictionRow
    reason: str
    said: tuple[FeedbackRow, ...]


class ReviewQueue:
    """The queue of one store, for several threads at once."""

    def __init__(self, database: Database) -> None:
        self._predictions = PredictionStore(database)
        self._feedback, self._reviews = FeedbackStore(database), ReviewStore(database)
        self._one_at_a_time = threading.Lock()

    def waiting(self, versions: Collection[str]) -> Waiting:
        """What waits among the last answers of these models, and all disputes.

        :raises StoreError: if the store cannot be read.
        """
        known = self._known()
        return order(self._rows(versions, known), known, datetime.now(UTC))

    def claim(self, reviewer: str, versions: Collection[str]) -> Claimed | None:
        """The case that the reviewer has in hand, else the next; None if there is none.

        :raises StoreError: if the store cannot be used.
        """
        # People are kept apart by the store; the lock keeps one person from two cases.
        with self._one_at_a_time:
            known, now = self._known(), datetime.now(UTC)
            in_hand = self._in_hand(reviewer, known, now)
            found = order(self._rows(versions, known), known, now).candidates
            for each in [*in_hand, *found]:
                text = each.prediction.text_sha256
                if self._reviews.claim(each.prediction.id, text, each.reason, reviewer):
                    said = valid_feedback(known.said.get(text, ()))
                    return Claimed(each.prediction, each.reason, tuple(said))
        return None

    def _known(self) -> Known:
        cases = {case.prediction_id: case for case in self._reviews.all()}
        return Known(
            cases, self._predictions.text_hashes_of_cases(), group_by_text(self._feedback.all())
        )

    def _rows(self, versions: Collection[str], known: Known) -> list[PredictionRow]:
        rows = [row for each in versions for row in self._predictions.latest(each, WINDOW)]
        there = {row.id for row in rows}
        older = (
            self._predictions.get(id)
            for id, text in known.texts.items()
            if id not in there and known.opinion(text).disputed
        )
        return rows + [row for row in older if row is not None]

    def _in_hand(self, reviewer: str, known: Known, now: datetime) -> list[ReviewItem]:
        """What the reviewer has claimed and neither decided nor let lie, the latest first."""
        found = []
        for case in known.handed_out():
            if case.state == CLAIMED and case.reviewer == reviewer and case.unavailable(now):
                row = self._predictions.get(case.prediction_id)
                if row is not None and (row := known.whole(row)).text is not None:
                    disputed = known.opinion(row.text_sha256).disputed
                    found.append(ReviewItem(row, DISPUTED if disputed else case.reason, 1.0))
        return found
