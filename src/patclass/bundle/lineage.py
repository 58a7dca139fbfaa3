"""What a retrained model comes from: ``lineage.json`` in its bundle."""

from pydantic import BaseModel, ConfigDict, Field


class Lineage(BaseModel):
    """A model's parent, and which verdicts of people it has learnt from.

    ``parent`` is the parent's version. Verdicts are numbered as in the store; those from
    ``feedback_from`` to ``feedback_until`` were considered. ``rows`` says how many texts went into
    each part, ``gate`` being those kept back to judge the model, ``left_out`` how many texts could
    not be used, by reason. ``weight`` is what a verdict counts beside a row of the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str
    feedback_from: int = Field(ge=0)
    feedback_until: int = Field(ge=0)
    rows: dict[str, int]
    left_out: dict[str, int]
    weight: float = Field(gt=0)
