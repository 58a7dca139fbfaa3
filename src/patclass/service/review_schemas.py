"""What goes in and out where people review answers. Knows fields only."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from patclass.service.schemas import NO_NUL, Strict

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
