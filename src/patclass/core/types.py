"""Types that every layer shares: arrays and frozen records. Knows numpy and pydantic only."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


class Frozen(BaseModel):
    """Base of everything that is written to ``report.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
