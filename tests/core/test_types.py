import numpy as np

from patclass.core.types import softmax


def test_softmax_survives_large_logits():
    assert softmax(np.array([[1000.0, 1000.0], [-1000.0, 0.0]], np.float32)).tolist() == [
        [0.5, 0.5],
        [0.0, 1.0],
    ]
