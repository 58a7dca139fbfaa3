"""The answers that are worth a person's minute, and who has which. Knows the store, no HTTP."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from patclass.learning.order import Known, Waiting, order
from patclass.learning.reasons import Candidate
from patclass.store.database import Database
from patclass.store.feedback import DISPUTED, FeedbackStore
from patclass.store.opinion import by_text, standing
from patclass.store.predictions import PredictionRow, PredictionStore
from patclass.store.reviews import CLAIMED, ReviewStore
from patclass.store.verdict import Given

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
    said: tuple[Given, ...]


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
                    said = standing(known.said.get(text, ()))
                    return Claimed(each.prediction, each.reason, tuple(said))
        return None

    def _known(self) -> Known:
        cases = {case.prediction_id: case for case in self._reviews.all()}
        return Known(cases, self._predictions.texts_of_cases(), by_text(self._feedback.all()))

    def _rows(self, versions: Collection[str], known: Known) -> list[PredictionRow]:
        rows = [row for each in versions for row in self._predictions.latest(each, WINDOW)]
        there = {row.id for row in rows}
        older = (
            self._predictions.get(id)
            for id, text in known.texts.items()
            if id not in there and known.opinion(text).disputed
        )
        return rows + [row for row in older if row is not None]

    def _in_hand(self, reviewer: str, known: Known, now: datetime) -> list[Candidate]:
        """What the reviewer has claimed and neither decided nor let lie, the latest first."""
        found = []
        for case in known.handed_out():
            if case.state == CLAIMED and case.reviewer == reviewer and case.taken(now):
                row = self._predictions.get(case.prediction_id)
                if row is not None and (row := known.whole(row)).text is not None:
                    disputed = known.opinion(row.text_sha256).disputed
                    found.append(Candidate(row, DISPUTED if disputed else case.reason, 1.0))
        return found
