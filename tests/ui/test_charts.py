"""The charts: their data, validated against the schema of Vega-Lite."""

import pytest

from fake_service import monitor_of, scored
from patclass.ui.charts import (
    SELECTED_CODE,
    accuracy,
    alternatives,
    code_counts,
    label_shares,
    stability_index,
)
from vega import marks_of, rows_of


def test_alternatives_show_their_values_and_can_be_clicked():
    chart = alternatives([scored("E21B", 0.93), scored("B23B", 0.004)], "E21B")
    rows = rows_of(chart)
    assert [(row["code"], row["percent"], row["kind"]) for row in rows] == [
        ("E21B", "93 %", "predicted"),
        ("B23B", "< 1 %", "other"),
    ]
    assert marks_of(chart) == ["bar", "text"]
    assert SELECTED_CODE in [parameter["name"] for parameter in chart.to_dict()["params"]]


def test_a_long_title_is_truncated_in_the_label_only():
    long = {"label": "E21", "name": "Earth or rock drilling; mining; and more", "confidence": 0.5}
    (row,) = rows_of(alternatives([long], ""))
    assert len(row["label"]) <= 34
    assert row["label"].endswith("…")
    assert row["title"] == long["name"]


def test_code_counts_have_the_most_frequent_first():
    rows = rows_of(code_counts(["B", "E", "E"], {"E": "Fixed constructions"}))
    assert [(row["label"], row["patents"]) for row in rows] == [
        ("E Fixed constructions", 2),
        ("B ", 1),
    ]


WINDOWS = monitor_of((), ("labels",))["windows"]


def test_accuracy_has_intervals_feedback_and_the_reference():
    chart = accuracy(WINDOWS, "section", 0.79)
    assert marks_of(chart) == ["area", "line", "rule", "point", "rule"]
    rows = rows_of(chart)
    assert {row["percent"] for row in rows if "percent" in row} == {"80 %"}
    assert {row["counts"] for row in rows if "counts" in row} == {"3 of 4"}
    assert {row["height"] for row in rows if "height" in row} == {0.79}


def test_accuracy_without_feedback_and_reference_is_a_line():
    assert marks_of(accuracy(WINDOWS[:1], "class", None)) == ["area", "line"]


@pytest.mark.parametrize(("signal", "kinds"), [("labels", ["normal", "alert"]), ("length", 2)])
def test_alerts_are_marked(signal: str, kinds: object):
    chart = stability_index(WINDOWS, signal)
    assert marks_of(chart) == ["line", "point", "rule"]
    found = [row["kind"] for row in rows_of(chart) if "kind" in row]
    assert found == (kinds if isinstance(kinds, list) else ["normal"] * 2)


def test_shares_of_labels_are_drawn_with_those_of_the_reference():
    chart = label_shares(WINDOWS, ["B", "E"])
    assert marks_of(chart) == ["line", "line", "text"]
    found = {(row["label"], row["share"], row["reference"]) for row in rows_of(chart)}
    assert found == {("B", 0.1, 0.25), ("E", 0.34, 0.25)}
