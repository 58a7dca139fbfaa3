"""The route by which people say whether a prediction was right. Knows the store, no patents."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Request

from patclass.core.errors import StoreError
from patclass.cpc.scheme import titles
from patclass.data.text import text_sha256
from patclass.service.auth import Rate
from patclass.service.context import facts_of
from patclass.service.errors import Problem, documented
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
        examples=["verdict-4711"],
        description="Made by the caller, one for each verdict: what is sent twice counts once.",
    ),
]


class Verdicts:
    """Verdicts checked against what was predicted, kept and counted."""

    def __init__(
        self, database: Database, recorder: Recorder, models: Models, metrics: Metrics
    ) -> None:
        self._store, self._reviews = FeedbackStore(database), ReviewStore(database)
        self._recorder = recorder
        self._models, self._metrics = models, metrics

    def give(self, key: str, body: FeedbackRequest, caller: str | None) -> bool:
        """Keep a verdict; False if it was kept before.

        :raises Problem: if it is refused, or cannot be kept.
        """
        return self._counted(lambda: self._store.add(key, self.complete(body, caller)))

    def decide(self, key: str, body: FeedbackRequest, caller: str | None) -> bool:
        """Keep a verdict that settles a case; False if it was kept before.

        :raises Problem: if it is refused, or the case is not the reviewer's.
        :raises StoreError: if it cannot be kept.
        """

        def keep() -> bool:
            with yours():
                return self._reviews.decide(key, self.complete(body, caller))

        return self._counted(keep)

    def _counted(self, keep: Callable[[], bool]) -> bool:
        try:
            added = keep()
        except ValueError as problem:
            self._metrics.feedback.labels("refused").inc()
            raise Problem(409, "key_reused", str(problem)) from problem
        except Problem:
            self._metrics.feedback.labels("refused").inc()
            raise
        except StoreError:
            self._metrics.feedback.labels("not_kept").inc()
            raise
        self._metrics.feedback.labels("kept" if added else "repeated").inc()
        return added

    def complete(self, body: FeedbackRequest, caller: str | None) -> Feedback:
        """A verdict with what is known of the prediction that it is about.

        :raises Problem: if there is no such prediction or label, or the text is another one.
        :raises StoreError: if the store cannot be read.
        """
        self._check_label(body)
        found = self._recorder.find(body.prediction_id)
        if found is None:
            raise Problem(
                *(404, "unknown_prediction"),
                f"prediction_id: '{body.prediction_id}' is not known, or was forgotten",
            )
        _check_text(body.text, found)
        if body.label == found.label:
            message = f"label: '{body.label}' was the answer; say that it is correct"
            raise Problem(422, "invalid", message)
        kept = found.text if body.keep_text else None
        return Feedback(
            **body.model_dump(exclude={"text", "keep_text"}),
            caller=caller,
            predicted_label=found.label,
            version=found.version,
            text_sha256=found.text_sha256,
            text=kept if body.text is None else body.text,
        )

    def _check_label(self, body: FeedbackRequest) -> None:
        """Take a label that a loaded model knows, or any code of the CPC."""
        if body.label is None:
            return
        if body.correct:
            message = "label: only a prediction that was wrong has another label"
            raise Problem(422, "invalid", message)
        trees = [model.classifier.tree for model in self._models.loaded()]
        known = any(body.label in tree.at(level).codes for tree in trees for level in tree.levels)
        if not known and body.label not in titles():
            raise Problem(
                *(422, "unknown_label"),
                f"label: '{body.label}' is no label of a loaded model and no CPC code; "
                "GET /v1/models/NAME/labels lists them",
            )


@contextmanager
def yours() -> Iterator[None]:
    """Refuse whoever wants to change another's case.

    :raises Problem: if it is not claimed, or for an undo decided, by the reviewer.
    """
    try:
        yield
    except NotClaimedError as problem:
        message = f"prediction_id: the case '{problem}' is not in this reviewer's hands"
        raise Problem(409, "not_yours", message) from problem


def add_feedback(router: APIRouter, verdicts: Verdicts, a_minute: int) -> APIRouter:
    """``/v1/feedback``.

    :param a_minute: how many verdicts one caller may give.
    """
    rate = Rate(a_minute)

    @router.post(
        *("/v1/feedback",),
        status_code=201,
        responses=documented(400, 401, 404, 409, 413, 422, 429, 503),
    )
    async def give_feedback(
        request: Request, body: FeedbackRequest, idempotency_key: Key
    ) -> FeedbackResponse:
        """Say whether a prediction was right, or what it should have been."""
        caller = caller_of(request)
        check_rate(rate, request)
        added = await in_store(request, verdicts.give, idempotency_key, body, caller)
        return FeedbackResponse(prediction_id=body.prediction_id, repeated=not added)

    return router


def caller_of(request: Request) -> str | None:
    """The name of the caller's API key, if there are keys."""
    caller = facts_of(request.scope).get("key")
    return None if caller is None else str(caller)


def check_rate(rate: Rate, request: Request) -> None:
    """Refuse a caller, known by key or address, who calls too often.

    :raises Problem: saying when to come back.
    """
    address = "" if request.client is None else request.client.host
    seconds = rate.wait(caller_of(request) or address)
    if seconds:
        wait = {"Retry-After": str(math.ceil(seconds))}
        raise Problem(429, "too_often", f"too often; come back in {seconds:.1f} seconds", wait)


def _check_text(text: str | None, found: PredictionRow) -> None:
    if text is not None and text_sha256(text) != found.text_sha256:
        raise Problem(
            *(422, "text_differs"),
            "text: it is not the text of this prediction; send it as it was classified, or "
            "leave it out",
        )
