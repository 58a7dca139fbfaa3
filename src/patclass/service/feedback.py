"""The feedback route: whether a prediction is correct. Knows the store, no models' outputs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Request

from patclass.core.errors import DataError, StoreError
from patclass.cpc.scheme import parse_code
from patclass.data.text import text_sha256
from patclass.service.auth import RateLimiter
from patclass.service.classification import check_length
from patclass.service.context import facts_of
from patclass.service.errors import ApiError, documented
from patclass.service.metrics import Metrics
from patclass.service.models import Models
from patclass.service.schemas import FeedbackRequest, FeedbackResponse
from patclass.service.storage import Recorder, in_store
from patclass.store.consensus import Feedback
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.predictions import PredictionRow
from patclass.store.reviews import NotClaimedError, ReviewStore

IDEMPOTENCY = "Idempotency-Key"

Key = Annotated[
    str,
    Header(
        alias=IDEMPOTENCY,
        pattern="^[A-Za-z0-9_-]{8,100}$",
        examples=["feedback-4711"],
        description="Chosen by the client for each feedback; a repeated request counts once.",
    ),
]


class FeedbackService:
    """Checks feedback against the stored prediction, stores and counts it."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        models: Models,
        metrics: Metrics,
        max_chars: int,
    ) -> None:
        self._store, self._reviews = FeedbackStore(database), ReviewStore(database)
        self._recorder = recorder
        self._models, self._metrics, self._max_chars = models, metrics, max_chars

    def add(self, key: str, body: FeedbackRequest, caller: str | None) -> bool:
        """Store feedback; False if it was stored before, under the same key.

        :raises ApiError: if it is refused.
        :raises StoreError: if it cannot be stored.
        """
        return self._counted(lambda: self._store.add(key, self.complete(body, caller)))

    def decide(
        self, key: str, body: FeedbackRequest, caller: str | None, key_id: str | None
    ) -> bool:
        """Store feedback that decides a review; False if it was stored before.

        :param key_id: id of the API key that the reviewer uses.
        :raises ApiError: if it is refused, or the reviewer has not claimed the case.
        :raises StoreError: if it cannot be stored.
        """

        def decide() -> bool:
            with claimed_by_reviewer():
                return self._reviews.decide(key, self.complete(body, caller), key_id)

        return self._counted(decide)

    def _counted(self, store: Callable[[], bool]) -> bool:
        try:
            added = store()
        except ValueError as error:
            self._metrics.feedback.labels("refused").inc()
            raise ApiError(409, "key_reused", str(error)) from error
        except ApiError:
            self._metrics.feedback.labels("refused").inc()
            raise
        except StoreError:
            self._metrics.feedback.labels("not_stored").inc()
            raise
        self._metrics.feedback.labels("stored" if added else "repeated").inc()
        return added

    def complete(self, body: FeedbackRequest, caller: str | None) -> Feedback:
        """The feedback with the fields of its prediction.

        :raises ApiError: if there is no such prediction or label, or the text is too long or
            differs.
        :raises StoreError: if the store cannot be read.
        """
        body = self._with_known_label(body)
        prediction = self._recorder.find(body.prediction_id)
        if prediction is None:
            message = f"prediction_id: '{body.prediction_id}' is unknown or deleted"
            raise ApiError(404, "unknown_prediction", message)
        self._check_text(body.text, prediction)
        if body.label == prediction.label:
            message = f"label: '{body.label}' is the predicted label; set correct to true"
            raise ApiError(422, "invalid", message)
        stored_text = prediction.text if body.keep_text else None
        return Feedback(
            **body.model_dump(exclude={"text", "keep_text"}),
            caller=caller,
            predicted_label=prediction.label,
            version=prediction.version,
            text_sha256=prediction.text_sha256,
            text=stored_text if body.text is None else body.text,
        )

    def _check_text(self, text: str | None, prediction: PredictionRow) -> None:
        if text is None:
            return
        try:
            check_length(len(text), self._max_chars)
        except DataError as problem:
            raise ApiError(422, "text_invalid", f"text: {problem}") from problem
        if text_sha256(text) != prediction.text_sha256:
            raise ApiError(
                422,
                "text_differs",
                "text: not the text of this prediction; send it as it was classified, or omit it",
            )

    def _with_known_label(self, body: FeedbackRequest) -> FeedbackRequest:
        """Accept a label of a loaded model, or any CPC code in any spelling, however deep."""
        if body.label is None:
            return body
        if body.correct:
            message = "label: expected only with correct set to false"
            raise ApiError(422, "invalid", message)
        trees = [model.classifier.tree for model in self._models.loaded()]
        exists = any(body.label in tree.at(level).codes for tree in trees for level in tree.levels)
        if exists:
            return body
        try:
            return body.model_copy(update={"label": parse_code(body.label)})
        except DataError as problem:
            message = f"label: {problem} GET /v1/models/NAME/labels lists the labels of a model"
            raise ApiError(422, "unknown_label", message) from problem


@contextmanager
def claimed_by_reviewer() -> Iterator[None]:
    """Translate ``NotClaimedError``.

    :raises ApiError: if the reviewer has not claimed the case or, for an undo, decided it.
    """
    try:
        yield
    except NotClaimedError as error:
        message = f"prediction_id: the case '{error}' is not claimed by this reviewer"
        raise ApiError(409, "not_claimed", message) from error


def add_feedback(router: APIRouter, feedback: FeedbackService, per_minute: int) -> APIRouter:
    """``/v1/feedback``.

    :param per_minute: how much feedback one caller may give.
    """
    limiter = RateLimiter(per_minute)

    @router.post(
        "/v1/feedback",
        status_code=201,
        responses=documented(400, 401, 404, 409, 413, 415, 422, 429, 503),
    )
    async def give_feedback(
        request: Request, body: FeedbackRequest, idempotency_key: Key
    ) -> FeedbackResponse:
        """Store whether a prediction is correct, and the correct label if it is not."""
        caller = caller_of(request)
        check_rate(limiter, request)
        added = await in_store(request, feedback.add, idempotency_key, body, caller)
        return FeedbackResponse(prediction_id=body.prediction_id, repeated=not added)

    return router


def caller_of(request: Request) -> str | None:
    """The name of the caller's API key; None without keys."""
    caller = facts_of(request.scope).get("key")
    return None if caller is None else str(caller)


def key_id_of(request: Request) -> str | None:
    """The id of the caller's API key, which no other key has; None without keys."""
    key_id = facts_of(request.scope).get("key_id")
    return None if key_id is None else str(key_id)


def check_rate(limiter: RateLimiter, request: Request) -> None:
    """Apply the rate limit of the caller, identified by key or address.

    :raises ApiError: with Retry-After, if the limit is reached.
    """
    address = "" if request.client is None else request.client.host
    seconds = limiter.acquire(key_id_of(request) or address)
    if seconds:
        headers = {"Retry-After": str(math.ceil(seconds))}
        message = f"the rate limit is reached; try again in {seconds:.1f} seconds"
        raise ApiError(429, "rate_limited", message, headers)
