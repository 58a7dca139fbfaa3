"""Confusion matrices as JSON, and the most confused pairs."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from patclass.evaluation.metrics import MAX_DENSE, Metrics, confused_pairs, evaluate


def metrics(labels: int) -> Metrics:
    y_true = [row % labels for row in range(2 * labels)]
    probabilities = np.eye(labels, dtype=np.float32)[[(t + t % 2) % labels for t in y_true]]
    return evaluate(y_true, probabilities, [f"L{n}" for n in range(labels)])


@pytest.mark.parametrize("labels", [3, MAX_DENSE, MAX_DENSE + 1, 300])
def test_a_matrix_round_trips_through_json(labels: int):
    assert Metrics.model_validate_json(metrics(labels).model_dump_json()) == metrics(labels)


def test_a_large_matrix_is_stored_by_its_cells():
    stored = json.loads(metrics(300).model_dump_json())["confusion"]
    assert stored["labels"] == 300
    assert len(stored["cells"]) == 300
    assert stored["cells"][:2] == [[0, 0, 2], [1, 2, 2]]


@pytest.mark.parametrize(
    "stored",
    [
        {"labels": 10**9, "cells": []},
        {"labels": 2, "cells": [[0, 2, 1]]},
        {"labels": 2, "cells": [[0, 1]]},
        {"labels": 2, "cells": [["a", 1, 1]]},
        {"labels": 2, "cells": [1]},
        {"cells": []},
    ],
)
def test_a_damaged_matrix_is_refused(stored: dict[str, object]):
    with pytest.raises(ValidationError):
        Metrics.model_validate(metrics(3).model_dump() | {"confusion": stored})


def test_confused_pairs_are_sorted_by_frequency():
    pairs = confused_pairs([[9, 1, 0], [4, 2, 0], [0, 1, 3]], ["A", "B", "C"])
    assert [(p.true, p.predicted, p.rows) for p in pairs] == [
        ("B", "A", 4),
        ("A", "B", 1),
        ("C", "B", 1),
    ]
    assert pairs[0].share == pytest.approx(4 / 6)
    assert len(confused_pairs([[9, 1, 0], [4, 2, 0], [0, 1, 3]], ["A", "B", "C"], limit=2)) == 2
