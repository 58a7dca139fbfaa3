"""Tags, counted by hand."""

import numpy as np
import pytest

from patclass.data.examples import Example
from patclass.evaluation.metrics import tag_reports


def rows(*tags: bool | None) -> list[Example]:
    return [Example(str(n), "x", (0,), (0,), (tag,)) for n, tag in enumerate(tags)]


def column(*probabilities: float) -> np.ndarray:
    return np.array(probabilities, dtype=np.float32)[:, np.newaxis]


def test_a_tag_is_evaluated_on_rows_where_it_is_known():
    found = tag_reports(rows(True, False, None, True), column(0.9, 0.6, 0.9, 0.3), ["Y"])["Y"]
    assert (found.rows, found.carried) == (3, 2)
    assert (found.precision, found.recall) == (0.5, 0.5)
    # Ranked: positive, negative, positive; the precisions at the positives are 1 and 2/3.
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_a_tag_that_no_row_carries_has_no_recall():
    found = tag_reports(rows(False, False), column(0.1, 0.2), ["Y"])["Y"]
    assert (found.carried, found.recall, found.precision) == (0, None, None)
    assert found.average_precision is None


def test_a_tag_without_known_values_is_left_out():
    untold = [Example("1", "x", (0,), (0,))]
    assert tag_reports([*rows(None), *untold], column(0.1, 0.2), ["Y"]) == {}
