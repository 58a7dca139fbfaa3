"""The routes by which people review answers one after the other. Knows the queue, no ranking."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from patclass.cpc.scheme import title_of
from patclass.learning.review_queue import (
    REASONS,
    ClaimedReview,
    PendingReviews,
    ReviewItem,
    ReviewQueue,
)
from patclass.service.answering import model_named
from patclass.service.errors import Problem, documented
from patclass.service.feedback import Key, Verdicts, caller_of, yours
from patclass.service.models import LoadedModel, Models
from patclass.service.schemas import NO_NUL, FeedbackRequest, FeedbackResponse, Strict
from patclass.service.storage import in_store
from patclass.store.consensus import FeedbackRow
from patclass.store.database import Database
from patclass.store.reviews import LEASE, ReviewStore

Reason = Literal["disputed", "unsure", "neighbours", "drifted", "sample"]
PredictionId = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{32}$",
        description="Of the case.",
        examples=["7e691700702366cc7e691700702366cc"],
    ),
]


class ReviewerRequest(Strict):
    """Who reviews."""

    reviewer: str = Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["Ada"])


class DecisionRequest(ReviewerRequest):
    """What the reviewer holds to be right."""

    correct: bool = Field(examples=[False])
    label: str | None = Field(
        None,
        examples=["E21B"],
        max_length=200,
        description="What it should have been, if it was wrong.",
    )
    note: str | None = Field(None, max_length=2000, pattern=NO_NUL)


class WaitingCase(BaseModel):
    """A case that waits, without its text."""

    prediction_id: str
    created: datetime = Field(description="When the answer was given.")
    reason: Reason
    priority: float = Field(
        description="How probable it is that the answer is wrong, as far as is known; of the "
        "sample only its place."
    )
    level: str
    label: str
    confidence: float


class ReviewsResponse(BaseModel):
    """What waits for people."""

    waiting: dict[Reason, int] = Field(description="How many cases, by reason.")
    without_text: int = Field(
        description="How many more there would be, had their texts been kept (--keep-texts)."
    )
    cases: list[WaitingCase] = Field(description="The first ones, in their order.")


class LevelAnswer(BaseModel):
    """The best label of one level."""

    level: str
    label: str
    name: str
    confidence: float


class EarlierVerdict(BaseModel):
    """What somebody said of the same text before."""

    created: datetime
    reviewer: str | None
    correct: bool
    answer: str | None = Field(description="The label that they were shown.")
    label: str | None = Field(description="What it should have been.")
    note: str | None


class ReviewCase(BaseModel):
    """A case in the reviewer's hands."""

    prediction_id: str
    created: datetime
    model: str
    model_version: str
    reason: Reason
    why: str = Field(description="The reason in words.")
    text: str
    level: str
    label: str
    name: str
    confidence: float
    sure: bool
    levels: list[LevelAnswer] = Field(description="Coarsest first.")
    verdicts: list[EarlierVerdict]
    until: datetime = Field(description="From then on somebody else may get it.")


class ReviewResponse(BaseModel):
    """How far a case is now."""

    prediction_id: str
    state: Literal["open", "claimed"]


SHOWN = 20

_REFUSALS = (400, 401, 404, 409, 413, 422, 503)


class Reviews:
    """Cases of the loaded models, as people are shown them."""

    def __init__(self, database: Database, models: Models) -> None:
        self._queue, self._store = ReviewQueue(database), ReviewStore(database)
        self._models = models

    def waiting(self, limit: int) -> ReviewsResponse:
        """What waits.

        :raises StoreError: if the store cannot be read.
        """
        return _shown(self._queue.pending(self._versions()), limit)

    def claim(self, reviewer: str) -> ReviewCase:
        """The case in the reviewer's hands, else the next.

        :raises Problem: if there is none.
        :raises StoreError: if the store cannot be used.
        """
        claimed = self._queue.claim(reviewer, self._versions())
        if claimed is None:
            raise Problem(404, "no_case", "no case waits just now")
        version = claimed.prediction.version
        model = next((m for m in self._models.loaded() if m.version == version), None)
        return _case(claimed, model)

    def release(self, prediction_id: str, reviewer: str) -> None:
        """Give a case back.

        :raises Problem: if it is not in the reviewer's hands.
        :raises StoreError: if the store cannot be used.
        """
        with yours():
            self._store.release(prediction_id, reviewer)

    def undo(self, prediction_id: str, reviewer: str) -> None:
        """Take a decision back; the case is in the reviewer's hands again.

        :raises Problem: if the reviewer has not decided it.
        :raises StoreError: if the store cannot be used.
        """
        with yours():
            self._store.undo(prediction_id, reviewer)

    def _versions(self) -> set[str]:
        return {model.version for model in self._models.loaded()}


def add_reviews(
    router: APIRouter, reviews: Reviews, verdicts: Verdicts, models: Models
) -> APIRouter:
    """``/v1/reviews`` and below."""

    @router.get("/v1/reviews", responses=documented(401, 422, 503))
    async def list_reviews(
        request: Request, limit: Annotated[int, Query(ge=1, le=100)] = SHOWN
    ) -> ReviewsResponse:
        """How many answers wait for a person, why, and the first of them."""
        model_named(models, None)  # nothing is ranked before all models are there
        return await in_store(request, reviews.waiting, limit)

    @router.post("/v1/reviews/claim", responses=documented(*_REFUSALS))
    async def claim_review(request: Request, body: ReviewerRequest) -> ReviewCase:
        """The next case, or the one that the reviewer still has; nobody else gets it meanwhile."""
        model_named(models, None)
        return await in_store(request, reviews.claim, body.reviewer)

    @router.post(
        *("/v1/reviews/{prediction_id}/decision",),
        status_code=201,
        responses=documented(*_REFUSALS),
    )
    async def decide_review(
        request: Request, prediction_id: PredictionId, body: DecisionRequest, idempotency_key: Key
    ) -> FeedbackResponse:
        """Settle a case, whatever others have said of it."""
        verdict = FeedbackRequest(prediction_id=prediction_id, text=None, **body.model_dump())
        given = (idempotency_key, verdict, caller_of(request))
        added = await in_store(request, verdicts.decide, *given)
        return FeedbackResponse(prediction_id=prediction_id, repeated=not added)

    @router.post("/v1/reviews/{prediction_id}/undo", responses=documented(*_REFUSALS))
    async def undo_review(
        request: Request, prediction_id: PredictionId, body: ReviewerRequest
    ) -> ReviewResponse:
        """Take one's decision back; the case is claimed again."""
        await in_store(request, reviews.undo, prediction_id, body.reviewer)
        return ReviewResponse(prediction_id=prediction_id, state="claimed")

    @router.post("/v1/reviews/{prediction_id}/release", responses=documented(*_REFUSALS))
    async def release_review(
        request: Request, prediction_id: PredictionId, body: ReviewerRequest
    ) -> ReviewResponse:
        """Give a case back undecided; for half an hour the others come first."""
        await in_store(request, reviews.release, prediction_id, body.reviewer)
        return ReviewResponse(prediction_id=prediction_id, state="open")

    return router


def _shown(pending: PendingReviews, limit: int) -> ReviewsResponse:
    counts = Counter(candidate.reason for candidate in pending.items)
    return ReviewsResponse.model_validate(
        {
            "waiting": {reason: counts[reason] for reason in REASONS},
            "without_text": pending.without_text,
            "cases": [_waiting(candidate) for candidate in pending.items[:limit]],
        }
    )


def _waiting(candidate: ReviewItem) -> WaitingCase:
    return WaitingCase.model_validate(
        asdict(candidate.prediction)
        | {
            "prediction_id": candidate.prediction.id,
            "reason": candidate.reason,
            "priority": candidate.priority,
        }
    )


def _case(claimed: ClaimedReview, model: LoadedModel | None) -> ReviewCase:
    row = claimed.prediction
    return ReviewCase.model_validate(
        asdict(row)
        | {
            "prediction_id": row.id,
            "model_version": row.version,
            "reason": claimed.reason,
            "why": REASONS[claimed.reason],
            "name": _name(model, row.level, row.label),
            "levels": [
                LevelAnswer(
                    level=level, label=label, name=_name(model, level, label), confidence=share
                )
                for level, (label, share) in row.levels.items()
            ],
            "verdicts": [_verdict(given) for given in claimed.feedback],
            "until": datetime.now(UTC) + LEASE,
        }
    )


def _verdict(given: FeedbackRow) -> EarlierVerdict:
    more = {"created": given.created, "answer": given.feedback.predicted_label}
    return EarlierVerdict.model_validate(asdict(given.feedback) | more)


def _name(model: LoadedModel | None, level: str, label: str) -> str:
    """A label's title, by the model if it is still loaded."""
    if model is not None and level in model.classifier.tree.levels:
        labels = model.classifier.tree.at(level)
        if label in labels:
            return labels[labels.index(label)].name
    return title_of(label)
