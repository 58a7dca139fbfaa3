"""The pictures of the monitor: what rings has a shape, and every line has a name."""

import pytest

from fake_service import monitor_of
from patclass.ui.monitor_charts import accuracy, shares, stability
from ui.test_charts import marks_of, rows_of

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
