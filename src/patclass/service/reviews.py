"""The review routes: claim, decide, undo and release cases. Knows the queue, no ranking."""

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
from patclass.service.classification import model_named
from patclass.service.errors import ApiError, documented
from patclass.service.feedback import (
    FeedbackService,
    Key,
    caller_of,
    claimed_by_reviewer,
    key_id_of,
)
from patclass.service.models import LoadedModel, Models
from patclass.service.schemas import (
    NO_NUL,
    PREDICTION_ID,
    PREDICTION_ID_EXAMPLE,
    FeedbackFields,
    FeedbackRequest,
    FeedbackResponse,
    Strict,
)
from patclass.service.storage import in_store
from patclass.store.consensus import FeedbackRow
from patclass.store.database import Database
from patclass.store.reviews import LEASE, ReviewStore

Reason = Literal["disputed", "unsure", "neighbours", "drifted", "sample"]
PredictionId = Annotated[
    str,
    Path(pattern=PREDICTION_ID, description="Of the case.", examples=[PREDICTION_ID_EXAMPLE]),
]


class ReviewerRequest(Strict):
    """The reviewer."""

    reviewer: str = Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["Ada"])


class DecisionRequest(ReviewerRequest, FeedbackFields):
    """A reviewer's decision."""


class WaitingCase(BaseModel):
    """An open case, without its text."""

    prediction_id: str
    created: datetime = Field(description="Time of the prediction.")
    reason: Reason
    priority: float = Field(
        description="Estimated probability that the prediction is wrong; of the sample, its rank."
    )
    level: str
    label: str
    confidence: float


class ReviewsResponse(BaseModel):
    """The review queue."""

    waiting: dict[Reason, int] = Field(description="Number of cases by reason.")
    without_text: int = Field(
        description="Further cases whose texts are not stored (setting keep_texts)."
    )
    cases: list[WaitingCase] = Field(description="The first cases, in order.")


class LevelAnswer(BaseModel):
    """The best label of one level."""

    level: str
    label: str
    name: str
    confidence: float


class EarlierFeedback(BaseModel):
    """Earlier feedback on the same text."""

    created: datetime
    reviewer: str | None
    correct: bool
    answer: str | None = Field(description="The predicted label.")
    label: str | None = Field(description="The correct label, if the prediction is wrong.")
    note: str | None


class ReviewCase(BaseModel):
    """A case claimed by the reviewer."""

    prediction_id: str
    created: datetime
    model: str
    model_version: str
    reason: Reason
    reason_text: str = Field(description="Description of the reason.")
    text: str
    level: str
    label: str
    name: str
    confidence: float
    sure: bool
    levels: list[LevelAnswer] = Field(description="Coarsest first.")
    feedback: list[EarlierFeedback]
    claimed_until: datetime = Field(description="When the claim expires.")


class ReviewResponse(BaseModel):
    """The state of a case."""

    prediction_id: str
    state: Literal["open", "claimed"]


LIMIT = 20

_ERRORS = (400, 401, 404, 409, 413, 415, 422, 503)


class ReviewService:
    """Cases of the loaded models."""

    def __init__(self, database: Database, models: Models) -> None:
        self._queue, self._store = ReviewQueue(database), ReviewStore(database)
        self._models = models

    def waiting(self, limit: int) -> ReviewsResponse:
        """The review queue.

        :raises StoreError: if the store cannot be read.
        """
        return _queue_response(self._queue.pending(self._versions()), limit)

    def claim(self, reviewer: str, key_id: str | None) -> ReviewCase:
        """The case that the reviewer has claimed, else the next one, which is claimed.

        :param key_id: id of the API key that the reviewer uses.
        :raises ApiError: if there is none.
        :raises StoreError: if the store cannot be used.
        """
        claimed = self._queue.claim(reviewer, self._versions(), key_id)
        if claimed is None:
            raise ApiError(404, "no_case", "there is no open case")
        version = claimed.prediction.version
        model = next((m for m in self._models.loaded() if m.version == version), None)
        return _case(claimed, model)

    def release(self, prediction_id: str, reviewer: str, key_id: str | None) -> None:
        """Release a claimed case.

        :raises ApiError: if the reviewer has not claimed it.
        :raises StoreError: if the store cannot be used.
        """
        with claimed_by_reviewer():
            self._store.release(prediction_id, reviewer, key_id)

    def undo(self, prediction_id: str, reviewer: str, key_id: str | None) -> None:
        """Withdraw a decision; the case is claimed by the reviewer again.

        :raises ApiError: if the reviewer has not decided it.
        :raises StoreError: if the store cannot be used.
        """
        with claimed_by_reviewer():
            self._store.undo(prediction_id, reviewer, key_id)

    def _versions(self) -> set[str]:
        return {model.version for model in self._models.loaded()}


def add_reviews(
    router: APIRouter, reviews: ReviewService, feedback: FeedbackService, models: Models
) -> APIRouter:
    """``/v1/reviews`` and below."""

    @router.get("/v1/reviews", responses=documented(401, 422, 503))
    async def list_reviews(
        request: Request, limit: Annotated[int, Query(ge=1, le=100)] = LIMIT
    ) -> ReviewsResponse:
        """The number of open cases by reason, and the first of them."""
        model_named(models, None)  # refuses until all models are loaded
        return await in_store(request, reviews.waiting, limit)

    @router.post("/v1/reviews/claim", responses=documented(*_ERRORS))
    async def claim_review(request: Request, body: ReviewerRequest) -> ReviewCase:
        """Claim the next case, or return the one already claimed; no other reviewer gets it.

        A claim belongs to the API key that it was made with and to the name of the reviewer.
        """
        model_named(models, None)
        return await in_store(request, reviews.claim, body.reviewer, key_id_of(request))

    @router.post(
        "/v1/reviews/{prediction_id}/decision",
        status_code=201,
        responses=documented(*_ERRORS),
    )
    async def decide_review(
        request: Request, prediction_id: PredictionId, body: DecisionRequest, idempotency_key: Key
    ) -> FeedbackResponse:
        """Decide a case; this overrides all other feedback on its text."""
        decision = FeedbackRequest(prediction_id=prediction_id, text=None, **body.model_dump())
        who = caller_of(request), key_id_of(request)
        added = await in_store(request, feedback.decide, idempotency_key, decision, *who)
        return FeedbackResponse(prediction_id=prediction_id, repeated=not added)

    @router.post("/v1/reviews/{prediction_id}/undo", responses=documented(*_ERRORS))
    async def undo_review(
        request: Request, prediction_id: PredictionId, body: ReviewerRequest
    ) -> ReviewResponse:
        """Withdraw one's own decision; the case is claimed again."""
        key_id = key_id_of(request)
        await in_store(request, reviews.undo, prediction_id, body.reviewer, key_id)
        return ReviewResponse(prediction_id=prediction_id, state="claimed")

    @router.post("/v1/reviews/{prediction_id}/release", responses=documented(*_ERRORS))
    async def release_review(
        request: Request, prediction_id: PredictionId, body: ReviewerRequest
    ) -> ReviewResponse:
        """Release a case without a decision; for half an hour other cases come first."""
        key_id = key_id_of(request)
        await in_store(request, reviews.release, prediction_id, body.reviewer, key_id)
        return ReviewResponse(prediction_id=prediction_id, state="open")

    return router


def _queue_response(pending: PendingReviews, limit: int) -> ReviewsResponse:
    counts = Counter(item.reason for item in pending.items)
    return ReviewsResponse.model_validate(
        {
            "waiting": {reason: counts[reason] for reason in REASONS},
            "without_text": pending.without_text,
            "cases": [_waiting_case(item) for item in pending.items[:limit]],
        }
    )


def _waiting_case(item: ReviewItem) -> WaitingCase:
    return WaitingCase.model_validate(
        asdict(item.prediction)
        | {
            "prediction_id": item.prediction.id,
            "reason": item.reason,
            "priority": item.priority,
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
            "reason_text": REASONS[claimed.reason],
            "name": _name(model, row.level, row.label),
            "levels": [
                LevelAnswer(
                    level=level, label=label, name=_name(model, level, label), confidence=confidence
                )
                for level, (label, confidence) in row.levels.items()
            ],
            "feedback": [_earlier_feedback(each) for each in claimed.feedback],
            "claimed_until": datetime.now(UTC) + LEASE,
        }
    )


def _earlier_feedback(row: FeedbackRow) -> EarlierFeedback:
    more = {"created": row.created, "answer": row.feedback.predicted_label}
    return EarlierFeedback.model_validate(asdict(row.feedback) | more)


def _name(model: LoadedModel | None, level: str, label: str) -> str:
    """A label's title, by the model if it is loaded, else by the CPC."""
    if model is not None and level in model.classifier.tree.levels:
        labels = model.classifier.tree.at(level)
        if label in labels:
            return labels[labels.index(label)].name
    return title_of(label)
