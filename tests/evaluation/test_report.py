"""What a report says of a model, in words and in figures."""

import math

import pytest
from pydantic import ValidationError

from patclass.evaluation.intervals import Interval
from patclass.evaluation.level_report import LevelReport
from patclass.evaluation.metrics import ClassMetrics, Metrics
from patclass.evaluation.report import Report
from patclass.evaluation.selective import RiskCoverage
from patclass.evaluation.tables import confusion_text


def figures(accuracy: float, loss: float, labels: int = 3) -> Metrics:
    classes = tuple(
        ClassMetrics(code=f"L{n:02}", precision=0.25, recall=0.5, f1=1 / 3, support=4)
        for n in range(labels)
    )
    confusion = tuple(tuple(10 * row + column for column in range(3)) for row in range(3))
    return Metrics(
        rows=12,
        accuracy=accuracy,
        micro_f1=accuracy,
        macro_f1=1 / 3,
        loss=loss,
        per_class=classes,
        confusion=confusion,
    )


BASELINES = {"majority": figures(0.4, 1.0), "tfidf": figures(0.6, 0.9)}


def level(metrics: Metrics, baselines: dict[str, Metrics]) -> LevelReport:
    return LevelReport(
        metrics=metrics,
        accuracy_interval=Interval(low=0.7, high=0.9),
        macro_f1_interval=Interval(low=0.25, high=0.5),
        ece_raw=0.125,
        ece=0.0625,
        reliability_raw=(),
        reliability=(),
        risk_coverage=RiskCoverage(points=(), aurc=0.1),
        operating_points=(),
        baselines=baselines,
    )


def report(
    accuracy: float = 0.8,
    loss: float = 0.5,
    labels: int = 3,
    leaked_rows: int = 0,
    baselines: dict[str, Metrics] = BASELINES,
) -> Report:
    return Report(
        split="test",
        train_rows=90,
        leaked_rows=leaked_rows,
        level="section",
        levels={
            "section": level(figures(accuracy, loss, labels), baselines),
            "class": level(figures(0.5, 1.5), {}),
        },
    )


def test_a_model_that_beats_the_baseline_passes_with_its_gain():
    assert report().passed
    assert report().failures == []
    assert report().verdict.startswith("passed: 80.0% accuracy, +20.0 points against TF-IDF")


@pytest.mark.parametrize("accuracy", [0.5, 0.6])
def test_a_model_that_does_not_beat_tfidf_fails_even_when_it_equals_it(accuracy: float):
    weak = report(accuracy)
    assert not weak.passed
    assert weak.verdict.startswith("FAILED: the model is not worth using")
    assert f"accuracy of {accuracy:.1%} does not beat TF-IDF" in weak.verdict
    assert "(60.0%)" in weak.verdict
    assert "guessing" not in weak.verdict


@pytest.mark.parametrize("loss", [math.log(3), 2.0])
def test_a_model_no_surer_than_guessing_fails(loss: float):
    weak = report(0.9, loss)
    assert not weak.passed
    assert f"its loss of {loss:.3f} is not better than guessing (1.099)" in weak.verdict
    assert "does not beat" not in weak.verdict


def test_both_reasons_are_named():
    assert len(report(0.1, 2.0).failures) == 2
    assert "does not beat" in report(0.1, 2.0).verdict
    assert "guessing" in report(0.1, 2.0).verdict


def test_a_model_without_a_rival_has_not_passed():
    alone = report(baselines={})
    assert not alone.passed
    assert alone.failures == []
    assert alone.verdict.startswith("not compared: 80.0% accuracy, but no baseline")


def test_a_model_without_a_rival_can_fail_all_the_same():
    assert report(loss=2.0, baselines={}).verdict.startswith("FAILED")


def test_the_text_sets_the_model_beside_both_baselines():
    lines = report().text().splitlines()
    assert lines[0].startswith("section, 12 rows")
    shown = {line[:24].strip(): line[24:].split() for line in lines[:4]}
    assert shown["model"] == [
        *("80.0%", "70.0-90.0%", "0.333", "0.250-0.500", "0.500", "0.125", "0.062")
    ]
    assert shown["TF-IDF + regression"] == ["60.0%", "0.333", "0.900"]
    assert shown["majority class"] == ["40.0%", "0.333", "1.000"]


def test_the_text_has_a_table_for_each_level():
    lines = report().text().splitlines()
    assert [line for line in lines if line.startswith("class, 12 rows")]
    assert sum(line.startswith("model ") for line in lines) == 2
    assert max(len(line) for line in lines[:8]) <= 100


def test_the_text_has_a_line_for_each_label():
    lines = report().text().splitlines()
    assert sum(line.split() == ["L01", "0.250", "0.500", "0.333", "4"] for line in lines) == 1


def test_the_text_ends_with_split_rows_and_verdict():
    last = report().text().splitlines()[-1]
    assert last == f"test, 12 rows: {report().verdict}"


def test_the_confusion_matrix_is_written_with_its_labels():
    rows = [line.split() for line in confusion_text(figures(0.8, 0.5)).splitlines()]
    assert rows[0][-3:] == ["L00", "L01", "L02"]
    assert rows[1:] == [
        ["L00", "0", "1", "2"],
        ["L01", "10", "11", "12"],
        ["L02", "20", "21", "22"],
    ]


def test_more_labels_than_fit_a_terminal_are_left_out():
    assert "true / pred." in report().text()
    assert "precision" in report().text()
    assert "true / pred." not in report(labels=31).text()
    assert "precision" not in report(labels=31).text()


def test_the_level_of_the_verdict_must_be_there():
    with pytest.raises(ValidationError, match="no figures of level 'group'"):
        Report.model_validate(report().model_dump() | {"level": "group"})


def test_leaked_rows_are_said_and_only_then():
    assert "warning: 7 test texts also stand in train" in report(leaked_rows=7).text()
    assert "warning" not in report().text()


def test_a_report_survives_json_and_refuses_what_it_does_not_know():
    stored = report().model_dump(mode="json")
    assert Report.model_validate(stored) == report()
    with pytest.raises(ValidationError):
        Report.model_validate(stored | {"surprise": 1})
