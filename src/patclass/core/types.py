"""Types that every layer shares: arrays, callbacks, frozen records. Knows numpy and pydantic."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]

# Called with one line of text for the user, and with a number of rows that were done.
Echo = Callable[[str], object]
OnProgress = Callable[[int], object]


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


class Frozen(BaseModel):
    """Base of records that are written to JSON: immutable, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
