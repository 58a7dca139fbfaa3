"""The pictures of the monitor: what rings has a shape, and every line has a name."""

from typing import Any

import pytest

from fake_service import candidate, monitor_of
from patclass.ui.charts import (
    BRANCH,
    accuracy,
    alternatives,
    confusion,
    distribution,
    reliability,
    shares,
    stability,
)


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """The rows that a chart draws, checked against Vega-Lite's schema on the way."""
    described = chart.to_dict(validate=True)
    return [row for rows in described["datasets"].values() for row in rows]


def marks_of(chart: Any) -> list[str]:
    return [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]


def test_alternatives_have_their_figures_written_and_can_be_clicked():
    chart = alternatives([candidate("E21B", 0.93), candidate("B23B", 0.004)], "E21B")
    rows = rows_of(chart)
    assert [(row["code"], row["shown"], row["kind"]) for row in rows] == [
        *(("E21B", "93 %", "answer"), ("B23B", "under 1 %", "other"))
    ]
    assert marks_of(chart) == ["bar", "text"]
    assert BRANCH in [parameter["name"] for parameter in chart.to_dict()["params"]]


def test_a_long_title_is_cut_in_the_label_only():
    long = {"label": "E21", "name": "Earth or rock drilling; mining; and more", "confidence": 0.5}
    (row,) = rows_of(alternatives([long], ""))
    assert len(row["label"]) <= 34
    assert row["label"].endswith("…")
    assert row["title"] == long["name"]


def test_a_distribution_counts_the_most_frequent_first():
    rows = rows_of(distribution(["B", "E", "E"], {"E": "Fixed constructions"}))
    assert [(row["label"], row["patents"]) for row in rows] == [
        *(("E Fixed constructions", 2), ("B ", 1))
    ]


def test_reliability_has_a_point_for_each_bin_and_the_line_to_keep():
    bins = [{"confidence": 0.3, "accuracy": 0.4, "rows": 5}]
    assert len(rows_of(reliability(bins))) == 3
    assert marks_of(reliability(bins)) == ["line", "circle"]


def test_confusion_shows_counts_and_shares_of_the_true_code():
    rows = rows_of(confusion([("B", "B", 3), ("B", "E", 1), ("E", "E", 2)]))
    shares = {(row["true"], row["answered"]): row["share"] for row in rows}
    assert shares == {("B", "B"): 0.75, ("B", "E"): 0.25, ("E", "E"): 1.0}
    assert marks_of(confusion([("B", "B", 3)])) == ["rect", "text"]


@pytest.mark.parametrize("codes", [5, 60])
def test_a_matrix_of_many_codes_shows_those_most_seen(codes: int):
    cells = [(f"A{n:02}", f"A{n:02}", n + 1) for n in range(codes)]
    rows = rows_of(confusion(cells))
    assert len(rows) == min(codes, 20)
    assert max(row["patents"] for row in rows) == codes


WINDOWS = monitor_of((), ("labels",))["windows"]


def test_accuracy_has_its_interval_what_people_said_and_what_is_usual():
    chart = accuracy(WINDOWS, "section", 0.79)
    assert marks_of(chart) == ["area", "line", "rule", "point", "rule"]
    rows = rows_of(chart)
    assert {row["said"] for row in rows if "said" in row} == {"80 %", "3 of 4"}
    assert {row["height"] for row in rows if "height" in row} == {0.79}


def test_accuracy_without_verdicts_and_reference_is_a_line():
    assert marks_of(accuracy(WINDOWS[:1], "class", None)) == ["area", "line"]


@pytest.mark.parametrize(("signal", "kinds"), [("labels", ["usual", "rings"]), ("length", 2)])
def test_windows_that_ring_are_marked(signal: str, kinds: object):
    chart = stability(WINDOWS, signal)
    assert marks_of(chart) == ["line", "point", "rule"]
    found = [row["kind"] for row in rows_of(chart) if "kind" in row]
    assert found == (kinds if isinstance(kinds, list) else ["usual"] * 2)


def test_shares_of_labels_are_named_beside_their_usual_ones():
    chart = shares(WINDOWS, ["B", "E"])
    assert marks_of(chart) == ["line", "line", "text"]
    found = {(row["label"], row["share"], row["usual"]) for row in rows_of(chart)}
    assert found == {("B", 0.1, 0.25), ("E", 0.34, 0.25)}
