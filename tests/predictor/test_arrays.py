"""The arrays of a component's file."""

import numpy as np
import pytest
from safetensors.numpy import save

from patclass.predictor.arrays import parse_arrays


def test_arrays_and_the_texts_beside_them_are_read():
    data = save({"mean": np.array([1, -1e6], np.float32)}, {"rows": "2"})
    arrays, texts = parse_arrays(data)
    assert arrays["mean"].tolist() == [1, -1e6]
    assert texts == {"rows": "2"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, -1e20])
def test_a_number_that_cannot_be_computed_with_is_refused(value: float):
    with pytest.raises(ValueError, match="mean has a number that is not finite, or beyond 10,000,"):
        parse_arrays(save({"mean": np.array([1, value], np.float32)}))
    half = np.array([60_000], np.float16)  # the largest of its kind is none
    assert parse_arrays(save({"mean": half}))[0]["mean"] == half
