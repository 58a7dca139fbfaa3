"""The route by which people say whether a prediction was right. Knows the store, no patents."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Request

from patclass.errors import StoreError
from patclass.labels.cpc import titles
from patclass.service.context import facts_of, note
from patclass.service.models import Models
from patclass.service.problems import Problem, documented
from patclass.service.schemas import FeedbackRequest, FeedbackResponse
from patclass.store.feedback import Feedback, FeedbackStore

IDEMPOTENCY = "Idempotency-Key"

_Key = Annotated[
    str,
    Header(
        alias=IDEMPOTENCY,
        pattern="^[A-Za-z0-9_-]{8,100}$",
        examples=["verdict-4711"],
        description="Made by the caller, one for each verdict: what is sent twice counts once.",
    ),
]


def add_feedback(router: APIRouter, store: FeedbackStore, models: Models) -> APIRouter:
    """``/v1/feedback``."""

    @router.post(
        "/v1/feedback", status_code=201, responses=documented(400, 401, 409, 413, 422, 503)
    )
    async def give_feedback(
        request: Request, body: FeedbackRequest, idempotency_key: _Key
    ) -> FeedbackResponse:
        """Say whether a prediction was right, or what it should have been."""
        _check_label(body, models)
        caller = facts_of(request.scope).get("key")
        feedback = Feedback(**body.model_dump(), caller=None if caller is None else str(caller))
        try:
            added = await asyncio.to_thread(store.add, idempotency_key, feedback)
        except ValueError as problem:
            raise Problem(409, "key_reused", str(problem)) from problem
        except StoreError as problem:
            note(request.scope, reason=str(problem))
            raise Problem(503, "not_kept", "feedback cannot be kept now; see the log") from problem
        return FeedbackResponse(prediction_id=body.prediction_id, repeated=not added)

    return router


def _check_label(body: FeedbackRequest, models: Models) -> None:
    """Take a label that a loaded model knows, or any code of the CPC."""
    if body.label is None:
        return
    if body.correct:
        raise Problem(422, "invalid", "label: only a prediction that was wrong has another label")
    trees = [model.classifier.tree for model in models.loaded()]
    known = any(body.label in tree.at(level).codes for tree in trees for level in tree.levels)
    if not known and body.label not in titles():
        raise Problem(
            *(422, "unknown_label"),
            f"label: '{body.label}' is no label of a loaded model and no CPC code; "
            "GET /v1/models/NAME/labels lists them",
        )
