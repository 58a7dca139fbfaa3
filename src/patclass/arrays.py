"""Arrays of logits and probabilities. Knows numpy only, so that reports need no torch."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Positions = npt.NDArray[np.intp]


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
