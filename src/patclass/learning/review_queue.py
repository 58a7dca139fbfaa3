"""Which predictions are reviewed, and in which order.

Disputed texts come first, then predictions that are most probably wrong, taking turns between the
labels; every fifth item belongs to a random sample. A released case rests for a while. The sample
keeps the order in which it was drawn, so that whatever part of it is reviewed is representative.
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

_NO_FEEDBACK = Consensus(None, False, ())


@dataclass(frozen=True)
class PendingReviews:
    """Predictions to review.

    :param items: those whose text is stored, in the order of review.
    :param without_text: how many texts cannot be reviewed because they are not stored.
    """

    items: tuple[ReviewItem, ...]
    without_text: int


@dataclass(frozen=True)
class ReviewHistory:
    """Review cases and feedback so far.

    :param cases: by the id of the prediction.
    :param text_hashes: SHA-256 of the text of each case, by the id of the prediction.
    :param feedback: all feedback by the SHA-256 of the text.
    """

    cases: Mapping[str, Case]
    text_hashes: Mapping[str, str]
    feedback: Mapping[str, Sequence[FeedbackRow]]

    def consensus(self, text_sha256: str) -> Consensus:
        """What the reviewers of a text agree on."""
        rows = self.feedback.get(text_sha256)
        return consensus_of(rows) if rows else _NO_FEEDBACK

    def with_text(self, row: PredictionRow) -> PredictionRow:
        """A prediction with the text from its feedback, if the text was not stored with it."""
        if row.text is not None:
            return row
        texts = (each.feedback.text for each in self.feedback.get(row.text_sha256, ()))
        return replace(row, text=next((text for text in texts if text is not None), None))

    def handled_cases(self) -> list[Case]:
        """Cases that are claimed or decided, the most recent first."""
        handled = [case for case in self.cases.values() if case.state != OPEN]
        return sorted(handled, key=lambda case: case.updated, reverse=True)


def pending_reviews(
    rows: Sequence[PredictionRow], history: ReviewHistory, now: datetime
) -> PendingReviews:
    """Those of ``rows`` that are to be reviewed, one for each text, in the order of review."""
    unavailable = {
        history.text_hashes.get(case.prediction_id)
        for case in history.cases.values()
        if case.unavailable(now)
    }
    stored_texts = {row.text_sha256: row.text for row in rows if row.text is not None}
    best: dict[str, ReviewItem] = {}
    without_text: set[str] = set()
    for row in rows:
        text_sha256 = row.text_sha256
        if text_sha256 in unavailable:
            continue
        consensus = history.consensus(text_sha256)
        reviewed = bool(consensus.numbers) and not consensus.disputed
        item = review_item_of(row, consensus.disputed)
        # The whole sample is reviewed: texts without feedback alone would be the easy ones.
        if item is None or (reviewed and item.reason != SAMPLE):
            continue
        row = history.with_text(replace(row, text=row.text or stored_texts.get(text_sha256)))
        if row.text is None:
            without_text.add(text_sha256)
            continue
        item = replace(item, prediction=row)
        best[text_sha256] = min(
            item, best.get(text_sha256, item), key=lambda i: _rank_within_text(i, history)
        )
    return PendingReviews(
        tuple(_in_order(list(best.values()), rows, history, now)), len(without_text)
    )


def _rank_within_text(item: ReviewItem, history: ReviewHistory) -> tuple[int, bool, float, str]:
    """Sort key of predictions for the same text; the smallest one is reviewed."""
    rank = {DISPUTED: 0, SAMPLE: 1}.get(item.reason, 2)
    has_no_case = item.prediction.id not in history.cases
    return rank, has_no_case, -item.priority, item.prediction.id


def _in_order(
    items: list[ReviewItem], rows: Sequence[PredictionRow], history: ReviewHistory, now: datetime
) -> list[ReviewItem]:
    handled = history.handled_cases()
    labels = {row.id: _coarsest_label(row) for row in rows}
    last_turns: dict[str, int] = {}
    for age, case in enumerate(handled):
        last_turns.setdefault(labels.get(case.prediction_id, ""), -age)
    released = [item for item in items if _just_released(item, history, now)]
    others = [item for item in items if not _just_released(item, history, now)]
    sample = [item for item in others if item.reason == SAMPLE]
    ranked = _take_turns([item for item in others if item.reason != SAMPLE], last_turns)
    sample.sort(key=lambda item: item.priority)
    released.sort(key=lambda item: history.cases[item.prediction.id].updated)
    return [*_mix(ranked, sample, len(handled)), *released]


def _just_released(item: ReviewItem, history: ReviewHistory, now: datetime) -> bool:
    """Whether a reviewer has released the case a short while ago, so that it comes last."""
    case = history.cases.get(item.prediction.id)
    if case is None or case.state != OPEN:
        return False
    return case.updated > case.created and now - case.updated < LEASE


def _take_turns(items: Sequence[ReviewItem], last_turns: Mapping[str, int]) -> list[ReviewItem]:
    """Disputes first; then one item of each label in turn, by falling priority.

    :param last_turns: position of each label's latest case, larger for more recent ones; the label
        with the oldest comes first.
    """
    turns: Counter[tuple[bool, str]] = Counter()
    keys: dict[str, tuple[bool, int, float]] = {}
    for item in sorted(items, key=lambda i: (-i.priority, i.prediction.id)):
        label, undisputed = _coarsest_label(item.prediction), item.reason != DISPUTED
        turn = turns[undisputed, label]
        keys[item.prediction.id] = (undisputed, turn, last_turns.get(label, -math.inf))
        turns[undisputed, label] += 1
    return sorted(items, key=lambda i: (*keys[i.prediction.id], -i.priority, i.prediction.id))


def _mix(
    others: Sequence[ReviewItem], sample: Sequence[ReviewItem], n_handled: int
) -> list[ReviewItem]:
    """Make every fifth item one of the sample, counting the cases handled before."""
    others, sample = list(others[::-1]), list(sample[::-1])
    mixed: list[ReviewItem] = []
    while others or sample:
        sample_is_due = (n_handled + len(mixed) + 1) % _SAMPLE_INTERVAL == 0
        use_sample = bool(sample) and (sample_is_due or not others)
        mixed.append((sample if use_sample else others).pop())
    return mixed


def _coarsest_label(row: PredictionRow) -> str:
    return next(iter(row.levels.values()))[0]


# The latest predictions of each model that are considered.
WINDOW = 2000


@dataclass(frozen=True)
class ClaimedReview:
    """A review case claimed by a reviewer.

    :param prediction: with its text.
    :param feedback: valid feedback on the same text so far.
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

    def pending(self, versions: Collection[str]) -> PendingReviews:
        """What is to be reviewed among the latest predictions of these models, and all disputes.

        :raises StoreError: if the store cannot be read.
        """
        history = self._history()
        return pending_reviews(self._rows(versions, history), history, datetime.now(UTC))

    def claim(self, reviewer: str, versions: Collection[str]) -> ClaimedReview | None:
        """The case that the reviewer has claimed, else the next one; None if there is none.

        :raises StoreError: if the store cannot be used.
        """
        # The store keeps two reviewers from one case; the lock keeps one reviewer from two cases.
        with self._claiming:
            history, now = self._history(), datetime.now(UTC)
            claimed = self._claimed_by(reviewer, history, now)
            pending = pending_reviews(self._rows(versions, history), history, now)
            for item in [*claimed, *pending.items]:
                text_sha256 = item.prediction.text_sha256
                if self._reviews.claim(item.prediction.id, text_sha256, item.reason, reviewer):
                    feedback = valid_feedback(history.feedback.get(text_sha256, ()))
                    return ClaimedReview(item.prediction, item.reason, tuple(feedback))
        return None

    def _history(self) -> ReviewHistory:
        return ReviewHistory(
            cases={case.prediction_id: case for case in self._reviews.all()},
            text_hashes=self._predictions.text_hashes_of_cases(),
            feedback=group_by_text(self._feedback.all()),
        )

    def _rows(self, versions: Collection[str], history: ReviewHistory) -> list[PredictionRow]:
        rows = [row for each in versions for row in self._predictions.latest(each, WINDOW)]
        ids = {row.id for row in rows}
        older = (
            self._predictions.get(id)
            for id, text_sha256 in history.text_hashes.items()
            if id not in ids and history.consensus(text_sha256).disputed
        )
        return rows + [row for row in older if row is not None]

    def _claimed_by(self, reviewer: str, history: ReviewHistory, now: datetime) -> list[ReviewItem]:
        """What the reviewer has claimed under a lease still valid, the most recent first."""
        items = []
        for case in history.handled_cases():
            if case.state == CLAIMED and case.reviewer == reviewer and case.unavailable(now):
                row = self._predictions.get(case.prediction_id)
                if row is not None and (row := history.with_text(row)).text is not None:
                    disputed = history.consensus(row.text_sha256).disputed
                    items.append(ReviewItem(row, DISPUTED if disputed else case.reason, 1.0))
        return items
