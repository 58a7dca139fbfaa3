"""Label sets, counted by hand."""

import numpy as np
import pytest

from patclass.evaluation.calibration import set_report

INSIDE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)


def test_label_sets_are_counted():
    found = set_report(INSIDE, np.array([0, 2, 1, 2]), 0.9)
    assert (found.target, found.coverage) == (0.9, 0.5)
    assert found.mean_size == pytest.approx(6 / 4)
    assert (found.single, found.empty) == (0.25, 0.25)
    assert found.interval.low < 0.5 < found.interval.high


def test_an_unknown_label_is_in_no_set():
    assert set_report(np.ones((2, 3), dtype=bool), np.array([-1, 0]), 0.9).coverage == 0.5


def test_label_sets_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        set_report(INSIDE, np.array([0]), 0.9)
