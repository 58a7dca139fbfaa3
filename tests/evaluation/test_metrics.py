"""Metrics, tags and confusion matrices against figures computed by hand, and slices of the rows."""

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from patclass.data.examples import Example, Facts
from patclass.evaluation.metrics import (
    MAX_DENSE,
    Metrics,
    Slice,
    confused_pairs,
    evaluate,
    mistakes,
    slices,
)
from patclass.predictor.scored import LabelledPredictions

CODES = ["A", "B", "C", "D"]
TRUTH = [0, 0, 1, 1, 2]
# Predicted: A, B, B, B, A. Label D is neither true nor predicted anywhere.
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.3, 0.5, 0.1, 0.1],
        [0.2, 0.6, 0.1, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.6, 0.2, 0.1, 0.1],
    ],
    dtype=np.float32,
)


@pytest.fixture
def metrics() -> Metrics:
    return evaluate(TRUTH, PROBABILITIES, CODES)


def test_accuracy_is_the_share_of_correct_predictions(metrics: Metrics):
    assert metrics.rows == 5
    assert metrics.accuracy == pytest.approx(3 / 5)


def test_confusion_counts_true_labels_in_rows_and_predictions_in_columns(metrics: Metrics):
    assert metrics.confusion == ((1, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0))


def test_precision_recall_and_f1_of_each_label(metrics: Metrics):
    figures = [(c.code, c.precision, c.recall, c.f1, c.support) for c in metrics.per_class]
    assert figures == [
        ("A", pytest.approx(1 / 2), pytest.approx(1 / 2), pytest.approx(1 / 2), 2),
        ("B", pytest.approx(2 / 3), pytest.approx(1), pytest.approx(4 / 5), 2),
        ("C", 0, 0, 0, 1),
        ("D", 0, 0, 0, 0),
    ]


def test_macro_f1_is_the_mean_over_labels_that_occur(metrics: Metrics):
    assert metrics.macro_f1 == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)


def test_loss_is_the_mean_negative_logarithm_of_the_true_label(metrics: Metrics):
    true = (0.7, 0.3, 0.6, 0.5, 0.1)
    assert metrics.loss == pytest.approx(-sum(map(math.log, true)) / 5, abs=1e-6)


def test_a_uniform_prediction_has_the_loss_of_guessing():
    metrics = evaluate([0, 3], np.full((2, 4), 0.25, dtype=np.float32), CODES)
    assert metrics.loss == pytest.approx(math.log(4))


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    metrics = evaluate([0], np.array([[0, 1]], dtype=np.float32), ["A", "B"])
    assert 20 < metrics.loss < 40


def test_perfect_predictions_reach_every_maximum():
    metrics = evaluate([0, 1, 2, 3], np.eye(4, dtype=np.float32), CODES)
    assert (metrics.accuracy, metrics.macro_f1) == (1, 1)
    assert metrics.loss == pytest.approx(0, abs=1e-6)


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no rows"):
        evaluate([], np.zeros((0, 4), dtype=np.float32), CODES)


def test_an_unknown_label_is_wrong_and_in_no_cell():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    metrics = evaluate([-1, 1], probabilities, ["A", "B"])
    assert (metrics.rows, metrics.accuracy) == (2, 0.5)
    assert metrics.confusion == ((0, 0), (0, 1))
    assert metrics.loss == pytest.approx(-math.log(0.8), abs=1e-6)
    assert [c.support for c in metrics.per_class] == [0, 1]


def test_rows_of_unknown_labels_only_have_figures_too():
    metrics = evaluate([-1], np.array([[0.9, 0.1]], dtype=np.float32), ["A", "B"])
    assert (metrics.accuracy, metrics.macro_f1, metrics.loss) == (0, 0, 0)


def found(rows: list[Example], kind: str, correct: list[bool] | None = None) -> list[Slice]:
    right = np.array(correct if correct is not None else [True] * len(rows))
    return [part for part in slices(rows, right) if part.kind == kind]


def row(length: int = 5, **facts: object) -> Example:
    return Example("1", "x" * length, (0,), (0,), (), Facts(**facts))


def test_texts_are_divided_at_the_quartiles():
    rows = [row(length) for length in range(1, 101)]
    parts = found(rows, "text length", [n < 25 for n in range(100)])
    assert [part.rows for part in parts] == [25, 25, 25, 25]
    assert [part.name for part in parts][:2] == ["up to 25 characters", "26 to 50 characters"]
    assert parts[-1].name == "more than 75 characters"
    assert [part.accuracy for part in parts] == [1, 0, 0, 0]


def test_texts_of_equal_length_are_one_slice():
    assert [(p.name, p.rows) for p in found([row(7)] * 9, "text length")] == [("7 characters", 9)]


def test_few_years_are_slices_of_their_own():
    rows = [row(year=2001), row(year=2003), row(year=2001), row()]
    parts = found(rows, "year", [True, False, False, True])
    assert [(p.name, p.rows, p.accuracy) for p in parts] == [
        ("2001", 2, 0.5),
        ("2003", 1, 0),
        ("not known", 1, 1),
    ]


def test_many_years_become_at_most_five_spans_of_about_equal_size():
    parts = found([row(year=1990 + n) for n in range(30)], "year")
    assert [(p.name, p.rows) for p in parts] == [
        ("1990 to 1995", 6),
        ("1996 to 2001", 6),
        ("2002 to 2007", 6),
        ("2008 to 2013", 6),
        ("2014 to 2019", 6),
    ]


def test_sources_are_sorted_by_frequency_and_the_rest_grouped():
    rows = [row(source=f"S{n}") for n in range(12) for _ in range(12 - n)]
    parts = found(rows, "source")
    assert [p.name for p in parts] == [*(f"S{n}" for n in range(10)), "other sources"]
    assert parts[-1].rows == 2 + 1


def test_a_source_may_have_the_name_of_a_group():
    parts = found([row(source="not known"), row()], "source")
    assert [(p.name, p.rows) for p in parts] == [("not known", 1), ("not known", 1)]


def test_an_attribute_without_values_is_left_out():
    assert {part.kind for part in slices([row()] * 3, np.ones(3, dtype=bool))} == {"text length"}


def test_a_slice_of_few_rows_has_a_wide_interval():
    (part,) = found([row()] * 2, "text length", [True, True])
    assert part.interval.high == 1
    assert part.interval.low == pytest.approx(0.342, abs=1e-3)


def level_answers(y_true: list[int], probabilities: list[list[float]]) -> LabelledPredictions:
    rows = [
        Example(f"P{n}", "secret text", (t,), (0,), (), Facts(title=f"Title {n}"))
        for n, t in enumerate(y_true)
    ]
    table = np.array(probabilities, dtype=np.float32)
    codes = ["A", "B", "C"][: table.shape[1]]
    return LabelledPredictions(codes, rows, np.arange(len(rows)), np.array(y_true), table)


def test_only_mistakes_are_listed_by_confidence():
    found = mistakes(level_answers([0, 0, -1], [[0.9, 0.1, 0], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7]]))
    assert [(m.id, m.true, m.predicted, m.second) for m in found] == [
        ("P2", None, "C", "B"),
        ("P1", "A", "B", "C"),
    ]
    assert found[0].title == "Title 2"
    assert "secret" not in "".join(m.model_dump_json() for m in found)


def test_the_number_of_mistakes_is_limited():
    assert len(mistakes(level_answers([1] * 40, [[0.9, 0.1]] * 40))) == 25


def test_a_single_label_has_no_second_prediction():
    assert mistakes(level_answers([-1], [[0.9]]))[0].second is None


def metrics_of(labels: int) -> Metrics:
    y_true = [row % labels for row in range(2 * labels)]
    probabilities = np.eye(labels, dtype=np.float32)[[(t + t % 2) % labels for t in y_true]]
    return evaluate(y_true, probabilities, [f"L{n}" for n in range(labels)])


@pytest.mark.parametrize("labels", [3, MAX_DENSE, MAX_DENSE + 1, 300])
def test_a_matrix_round_trips_through_json(labels: int):
    assert Metrics.model_validate_json(metrics_of(labels).model_dump_json()) == metrics_of(labels)


def test_a_large_matrix_is_stored_by_its_cells():
    stored = json.loads(metrics_of(300).model_dump_json())["confusion"]
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
        Metrics.model_validate(metrics_of(3).model_dump() | {"confusion": stored})


def test_confused_pairs_are_sorted_by_frequency():
    pairs = confused_pairs([[9, 1, 0], [4, 2, 0], [0, 1, 3]], ["A", "B", "C"])
    assert [(p.true, p.predicted, p.rows) for p in pairs] == [
        ("B", "A", 4),
        ("A", "B", 1),
        ("C", "B", 1),
    ]
    assert pairs[0].share == pytest.approx(4 / 6)
    assert len(confused_pairs([[9, 1, 0], [4, 2, 0], [0, 1, 3]], ["A", "B", "C"], limit=2)) == 2
