"""Which predictions are reviewed, and in which order.

Disputed texts come first, then predictions that are most probably wrong, taking turns between the
labels; every fifth item belongs to a random sample. A released case rests for a while. The sample
keeps the order in which it was drawn, so that whatever part of it is reviewed is representative.
"""

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from patclass.inference.classifier import AGREEMENT
from patclass.store.consensus import FeedbackRow
from patclass.store.database import Database
from patclass.store.feedback import DISPUTED, FeedbackStore
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.reviews import (
    LEASE,
    OPEN,
    Candidate,
    Case,
    HandledCase,
    ReviewStore,
    TextState,
)

UNSURE, NEIGHBOURS, DRIFTED, SAMPLE = "unsure", "neighbours", "drifted", "sample"

# All reasons for a review, with the explanation that reviewers see.
REASONS = {
    DISPUTED: "Reviewers disagree about it.",
    UNSURE: "The confidence is low.",
    NEIGHBOURS: "Few of the most similar patents have this code.",
    DRIFTED: "The text is unlike those that the model was tested on.",
    SAMPLE: "It was drawn at random, to measure how many predictions are right.",
}

# Share of all predictions in the random sample.
SAMPLE_SHARE = 0.1

# Below this confidence a prediction is more often wrong than right, whatever the threshold.
_MIN_CONFIDENCE = 0.5

# Novelty is the root mean square of some sixteen standardised values: if they were independent,
# one typical text in 250 would be outside of these bounds. Texts that are not patents are below
# rather than above: they lack the features by which patents differ.
_MIN_NOVELTY, _MAX_NOVELTY = 0.5, 1.5

# Of a thousand patents hardly one has an out-of-vocabulary rate of 1 %.
_MAX_OOV_RATE = 0.05


@dataclass(frozen=True)
class ReviewItem:
    """A prediction to review.

    :param priority: the estimated probability that the prediction is wrong; 1 for a disputed text.
        Of the sample it is the random number drawn.
    """

    prediction: PredictionRow
    reason: str
    priority: float


def review_item_of(row: PredictionRow, disputed: bool) -> ReviewItem | None:
    """A prediction with the first reason that applies; None if it needs no review.

    The sample is drawn from all predictions, before any other reason but a dispute, so that it is
    representative. As confidences are calibrated, 1 - confidence is the probability of an error.
    Where the neighbours disagree, it is the mean of confidence and agreement that is subtracted;
    for an unusual text, half the confidence.
    """
    drawn = _draw(row.id)
    if disputed:
        return ReviewItem(row, DISPUTED, 1.0)
    if drawn < SAMPLE_SHARE:
        return ReviewItem(row, SAMPLE, drawn)
    if not row.sure or row.confidence < _MIN_CONFIDENCE:
        return ReviewItem(row, UNSURE, 1 - row.confidence)
    if row.agreement is not None and row.agreement < AGREEMENT:
        return ReviewItem(row, NEIGHBOURS, 1 - (row.confidence + row.agreement) / 2)
    if _is_unusual(row):
        return ReviewItem(row, DRIFTED, 1 - row.confidence / 2)
    return None


def _draw(prediction_id: str) -> float:
    """A pseudo-random number from 0 to 1 that depends on the prediction's id alone."""
    digest = hashlib.sha256(prediction_id.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _is_unusual(row: PredictionRow) -> bool:
    if row.novelty is not None and not _MIN_NOVELTY <= row.novelty <= _MAX_NOVELTY:
        return True
    return row.oov_rate is not None and row.oov_rate > _MAX_OOV_RATE


# Every fifth item is of the sample.
_SAMPLE_INTERVAL = 5

# The latest cases handled, by which labels and the sample take turns.
_RECENT = 100


@dataclass(frozen=True)
class PendingReviews:
    """Predictions to review.

    :param items: those whose text is stored, in the order of review; without their texts.
    :param without_text: how many texts cannot be reviewed because they are not stored.
    """

    items: tuple[ReviewItem, ...]
    without_text: int


@dataclass(frozen=True)
class Assessed:
    """A candidate with the item that it is, unless its text is disputed; nothing of it changes."""

    candidate: Candidate
    item: ReviewItem | None


def pending_reviews(
    assessed: Collection[Assessed],
    states: Mapping[str, TextState],
    handled: Sequence[HandledCase],
    now: datetime,
) -> PendingReviews:
    """Those that are to be reviewed, one for each text, in the order of review.

    :param states: by the SHA-256 of the text.
    :param handled: the latest cases, the most recent first.
    """
    with_text = {each.candidate.row.text_sha256 for each in assessed if each.candidate.has_text}
    best: dict[str, ReviewItem] = {}
    without_text: set[str] = set()
    for each in assessed:
        row, item = each.candidate.row, each.item
        state = states.get(row.text_sha256, _UNTOUCHED)
        if state is not _UNTOUCHED:
            item = _after_reviews(each, state, now)
        if item is None:
            continue
        if row.text_sha256 not in with_text and not state.has_text:
            without_text.add(row.text_sha256)
            continue
        other = best.get(row.text_sha256)
        if other is None or _rank_within_text(item, state) < _rank_within_text(other, state):
            best[row.text_sha256] = item
    return PendingReviews(tuple(_in_order(best, states, handled, now)), len(without_text))


_UNTOUCHED = TextState()


def _after_reviews(each: Assessed, state: TextState, now: datetime) -> ReviewItem | None:
    """The item, if the text is still to be reviewed."""
    if state.unavailable(now):
        return None
    if state.disputed:
        return ReviewItem(each.candidate.row, DISPUTED, 1.0)
    # The whole sample is reviewed: texts without feedback alone would be the easy ones.
    reviewed = state.reviewed and each.item is not None and each.item.reason != SAMPLE
    return None if reviewed else each.item


def _rank_within_text(item: ReviewItem, state: TextState) -> tuple[int, bool, float, str]:
    """Sort key of predictions for the same text; the smallest one is reviewed."""
    rank = {DISPUTED: 0, SAMPLE: 1}.get(item.reason, 2)
    return rank, item.prediction.id not in state.cases, -item.priority, item.prediction.id


def _in_order(
    items: Mapping[str, ReviewItem],
    states: Mapping[str, TextState],
    handled: Sequence[HandledCase],
    now: datetime,
) -> list[ReviewItem]:
    """The items of all texts in the order of review."""
    last_turns: dict[str, int] = {}
    for age, case in enumerate(handled):
        last_turns.setdefault(_coarsest_label(case.levels), -age)
    since_sample = next(
        (age for age, case in enumerate(handled) if case.reason == SAMPLE), len(handled)
    )
    released: list[tuple[datetime, ReviewItem]] = []
    ranked: list[ReviewItem] = []
    sample: list[ReviewItem] = []
    for text_sha256, item in items.items():
        own = states.get(text_sha256, _UNTOUCHED).cases.get(item.prediction.id)
        if own is not None and _just_released(own, now):
            released.append((own.updated, item))
        else:
            (sample if item.reason == SAMPLE else ranked).append(item)
    ranked = _take_turns(ranked, last_turns)
    sample.sort(key=lambda item: item.priority)
    released.sort(key=lambda pair: pair[0])
    return [*_mix(ranked, sample, since_sample), *(item for _, item in released)]


def _just_released(case: Case, now: datetime) -> bool:
    """Whether a reviewer has released the case a short while ago, so that it comes last."""
    return case.state == OPEN and case.updated > case.created and now - case.updated < LEASE


def _take_turns(items: Sequence[ReviewItem], last_turns: Mapping[str, int]) -> list[ReviewItem]:
    """Disputes first; then one item of each label in turn, by falling priority.

    :param last_turns: position of each label's latest case, larger for more recent ones; the label
        with the oldest comes first.
    """
    turns: Counter[tuple[bool, str]] = Counter()
    keys: dict[str, tuple[bool, int, float]] = {}
    for item in sorted(items, key=lambda i: (-i.priority, i.prediction.id)):
        label, undisputed = _coarsest_label(item.prediction.levels), item.reason != DISPUTED
        turn = turns[undisputed, label]
        keys[item.prediction.id] = (undisputed, turn, last_turns.get(label, -math.inf))
        turns[undisputed, label] += 1
    return sorted(items, key=lambda i: (*keys[i.prediction.id], -i.priority, i.prediction.id))


def _mix(
    others: Sequence[ReviewItem], sample: Sequence[ReviewItem], since_sample: int
) -> list[ReviewItem]:
    """Make every fifth item one of the sample.

    :param since_sample: how many cases were handled since the last one of the sample.
    """
    others, sample = list(others[::-1]), list(sample[::-1])
    mixed: list[ReviewItem] = []
    while others or sample:
        use_sample = bool(sample) and (since_sample >= _SAMPLE_INTERVAL - 1 or not others)
        mixed.append((sample if use_sample else others).pop())
        since_sample = 0 if use_sample else since_sample + 1
    return mixed


def _coarsest_label(levels: Mapping[str, tuple[str, float]]) -> str:
    return next(iter(levels.values()))[0]


# The latest predictions of each model that are considered, and the oldest disputes.
WINDOW, DISPUTES = 2000, 500

# Earlier feedback that a reviewer is shown.
_SHOWN = 50


@dataclass(frozen=True)
class ClaimedReview:
    """A review case claimed by a reviewer.

    :param prediction: with its text.
    :param feedback: the latest valid feedback on the same text, without its texts.
    """

    prediction: PredictionRow
    reason: str
    feedback: tuple[FeedbackRow, ...]


class ReviewQueue:
    """The review queue of one store; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._predictions = PredictionStore(database)
        self._feedback, self._reviews = FeedbackStore(database), ReviewStore(database)
        self._claiming = threading.Lock()
        # Of the latest call, by number: predictions never change.
        self._assessed: dict[int, Assessed] = {}

    def pending(self, versions: Collection[str]) -> PendingReviews:
        """What is to be reviewed among the latest predictions of these models, and disputes.

        :raises StoreError: if the store cannot be read.
        """
        handled, before = self._reviews.latest_handled(_RECENT), self._assessed
        known = {number: each.candidate for number, each in before.items()}
        candidates, states = self._reviews.waiting(versions, WINDOW, DISPUTES, known)
        assessed = {
            number: before.get(number) or Assessed(each, review_item_of(each.row, disputed=False))
            for number, each in candidates.items()
        }
        self._assessed = assessed
        return pending_reviews(assessed.values(), states, handled, datetime.now(UTC))

    def claim(
        self, reviewer: str, versions: Collection[str], key_id: str | None = None
    ) -> ClaimedReview | None:
        """The case that the reviewer has claimed, else the next one; None if there is none.

        :param key_id: id of the reviewer's API key; tells reviewers of one name apart.
        :raises StoreError: if the store cannot be used.
        """
        # The store keeps two reviewers from one case; the lock keeps one reviewer from two cases.
        with self._claiming:
            for item in self._next(reviewer, versions, key_id):
                row = self._with_text(item.prediction)
                if row is None:
                    continue
                claim = row.id, row.text_sha256, item.reason, reviewer, key_id
                if self._reviews.claim(*claim):
                    feedback = self._feedback.latest_on(row.text_sha256, _SHOWN)
                    return ClaimedReview(row, item.reason, tuple(feedback))
        return None

    def _next(
        self, reviewer: str, versions: Collection[str], key_id: str | None
    ) -> Iterator[ReviewItem]:
        """What the reviewer has claimed already, the most recent first; then what is pending."""
        for row, reason, disputed in self._reviews.claimed_by(reviewer, key_id):
            yield ReviewItem(row, DISPUTED if disputed else reason, 1.0)
        yield from self.pending(versions).items

    def _with_text(self, row: PredictionRow) -> PredictionRow | None:
        """The prediction with its text, or that of another one of the same text; None without."""
        stored = self._predictions.get(row.id)
        if stored is None or stored.text is not None:
            return stored
        text = self._predictions.text(row.text_sha256)
        return None if text is None else replace(row, text=text)
