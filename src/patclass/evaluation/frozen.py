"""What all parts of a report share: fixed once made, and no unknown fields. Knows no figures."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of everything that is written to ``report.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
