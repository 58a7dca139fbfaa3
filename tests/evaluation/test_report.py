"""The text and the figures of a report."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from patclass.cpc.tree import LabelTree
from patclass.data.examples import SPLITS, UNKNOWN_LABEL, Corpus, Example
from patclass.data.text import TextView
from patclass.evaluation import baselines as module
from patclass.evaluation.baselines import LabelledTexts
from patclass.evaluation.calibration import RiskCoverage
from patclass.evaluation.intervals import Interval
from patclass.evaluation.metrics import ClassMetrics, Metrics
from patclass.evaluation.report import LevelReport, Report, measure
from patclass.evaluation.tables import confusion_text
from patclass.predictor.all_codes import carried_nodes
from patclass.predictor.scored import Scored


def figures(accuracy: float, loss: float, labels: int = 3) -> Metrics:
    classes = tuple(
        ClassMetrics(code=f"L{n:02}", precision=0.25, recall=0.5, f1=1 / 3, support=4)
        for n in range(labels)
    )
    confusion = tuple(tuple(10 * row + column for column in range(3)) for row in range(3))
    return Metrics(
        rows=12,
        accuracy=accuracy,
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
def test_a_model_that_only_equals_tfidf_fails(accuracy: float):
    weak = report(accuracy)
    assert not weak.passed
    assert weak.verdict.startswith("FAILED: the model is not worth using")
    assert f"accuracy of {accuracy:.1%} does not beat TF-IDF" in weak.verdict
    assert "(60.0%)" in weak.verdict
    assert "guessing" not in weak.verdict


@pytest.mark.parametrize("loss", [math.log(3), 2.0])
def test_a_model_with_the_loss_of_guessing_fails(loss: float):
    weak = report(0.9, loss)
    assert not weak.passed
    assert f"its loss of {loss:.3f} is not better than guessing (1.099)" in weak.verdict
    assert "does not beat" not in weak.verdict


def test_both_reasons_are_named():
    assert len(report(0.1, 2.0).failures) == 2
    assert "does not beat" in report(0.1, 2.0).verdict
    assert "guessing" in report(0.1, 2.0).verdict


def test_a_model_without_a_baseline_has_not_passed():
    alone = report(baselines={})
    assert not alone.passed
    assert alone.failures == []
    assert alone.verdict.startswith("not compared: 80.0% accuracy, but no baseline")


def test_a_model_without_a_baseline_can_still_fail():
    assert report(loss=2.0, baselines={}).verdict.startswith("FAILED")


def test_the_text_compares_the_model_with_both_baselines():
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


def test_the_text_ends_with_split_rows_and_conclusion():
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


def test_the_level_of_the_conclusion_must_exist():
    with pytest.raises(ValidationError, match="no figures of level 'group'"):
        Report.model_validate(report().model_dump() | {"level": "group"})


def test_leaked_rows_are_reported_only_when_there_are_some():
    assert "warning: 7 test texts also stand in train" in report(leaked_rows=7).text()
    assert "warning" not in report().text()


def test_a_report_round_trips_through_json_and_rejects_unknown_fields():
    stored = report().model_dump(mode="json")
    assert Report.model_validate(stored) == report()
    with pytest.raises(ValidationError):
        Report.model_validate(stored | {"surprise": 1})


def test_levels_come_in_the_order_of_the_tree_and_the_coarsest_decides(report: Report):
    assert list(report.levels) == ["section", "class"]
    assert report.level == "section"
    assert (report.split, report.train_rows, report.leaked_rows) == ("test", 80, 0)


def test_figures_lie_within_their_intervals(report: Report):
    for level in report.levels.values():
        assert level.accuracy_interval.low < level.metrics.accuracy < level.accuracy_interval.high
        assert level.macro_f1_interval.low < level.metrics.macro_f1 < level.macro_f1_interval.high


def test_figures_match_the_predictions(report: Report, scored: Scored):
    sums = scored.tree.sums(scored.calibrated, "class")
    y_true = np.array([row.y_true[1] for row in scored.rows])
    assert report.levels["class"].metrics.accuracy == (sums.argmax(axis=1) == y_true).mean()
    # A quarter of the rows has a class that the tree lacks: no prediction for them is correct.
    assert report.levels["class"].metrics.accuracy <= 0.75
    assert sum(c.support for c in report.levels["class"].metrics.per_class) == 60


def test_calibration_is_reported_before_and_after(report: Report):
    section = report.levels["section"]
    assert section.ece_raw != section.ece
    assert section.reliability_raw != section.reliability


def test_baselines_are_fitted_at_the_requested_levels(report: Report):
    assert set(report.levels["section"].baselines) == {"majority", "tfidf"}
    assert report.levels["section"].baselines["tfidf"].rows == 80
    assert report.levels["section"].baselines["majority"].accuracy == 0.75
    assert report.levels["class"].baselines == {}


def test_baselines_learn_labels_of_the_tree_only(
    scored: Scored, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
):
    seen: list[LabelledTexts] = []
    real = module.tfidf_regression

    def spy(*parts: LabelledTexts) -> Metrics:
        seen.extend(parts[:3])
        return real(*parts)

    monkeypatch.setattr(module, "tfidf_regression", spy)
    measure(scored, corpus, "test", ["class"])
    train, validation, test = seen
    assert [len(part.texts) for part in (train, validation, test)] == [60, 20, 80]
    assert min(train.labels) == 0
    assert min(test.labels) == UNKNOWN_LABEL


def test_label_sets_are_reported_when_available(report: Report):
    assert report.levels["class"].sets is None
    sets = report.levels["section"].sets
    assert sets is not None
    assert (sets.target, sets.coverage, sets.mean_size) == (0.9, 1, 2)


def test_sets_of_rows_without_a_known_label_do_not_count(scored: Scored, corpus: Corpus):
    rows = [replace(row, y_true=(row.y_true[0], None)) for row in scored.rows[:79]]
    partly = replace(scored, rows=[*rows, scored.rows[79]])
    inside = np.zeros((80, 3), dtype=bool)
    inside[79, 2] = True
    level = measure(partly, corpus, "test", [], {"class": inside}).levels["class"]
    assert level.metrics.rows == 1
    assert level.sets is not None
    assert (level.sets.coverage, level.sets.single) == (1, 1)


def test_slices_and_mistakes_are_reported(report: Report):
    section = report.levels["section"]
    assert {part.kind for part in section.slices} == {"text length", "year"}
    wrong = round(section.metrics.rows * (1 - section.metrics.accuracy))
    assert len(section.mistakes) == min(25, wrong)


def test_all_codes_are_reported_by_level(scored: Scored, corpus: Corpus, report: Report):
    assert set(report.codes) == {"section", "class"}
    section = report.codes["section"]
    assert (section.rows, section.labels, section.labels_per_row) == (80, 2, 1)
    assert report.codes["class"].rows == 54  # of those that carry a class
    assert section.micro_f1 is None
    given = np.zeros((80, 3), dtype=bool)
    given[:, 0] = True  # A is carried by 54 of 80 rows
    found = measure(replace(scored, given=given), corpus, "test", []).codes["section"]
    assert found.micro_f1 is not None
    assert found.micro_f1.value == pytest.approx(2 * 54 / 160)
    assert "all codes" in report.text()


def test_all_codes_are_compared_with_a_baseline(scored: Scored, corpus: Corpus):
    found = measure(scored, corpus, "test", ["section"])
    assert set(found.codes_baselines) == {"section"}
    assert found.codes_baselines["section"].rows == found.codes["section"].rows
    assert "TF-IDF one versus rest" in found.text()


def test_where_labels_overlap_the_verdict_is_by_micro_f1():
    names = {code: code for code in "abc"}
    paths = (("a",), ("b",), ("c",))
    tree = LabelTree(("label",), paths, names, paths)
    words = {0: "pump", 1: "valve", 2: "seal"}
    pairs = [(0, 1), (1, 2), (0, 2)] * 20
    rows = [
        Example(f"P{n}", f"{words[a]} {words[b]} {n}", (None,), (a, b), (a, b))
        for n, (a, b) in enumerate(pairs)
    ]
    corpus = Corpus("made up", TextView(("text",)), tree, dict.fromkeys(SPLITS, rows), ())
    y_true, _ = carried_nodes(rows, tree)
    leaves = np.where(y_true, 0.5, 0).astype(np.float32)
    perfect = Scored(rows, tree, leaves, leaves, y_true.astype(np.float32), y_true)
    report = measure(perfect, corpus, "test", ["label"])
    assert (report.model.accuracy, report.model.rows) == (1, 60)
    assert report.levels["label"].baselines == {}
    assert "micro F1" in report.verdict
    blank = replace(perfect, given=np.zeros_like(y_true))
    assert measure(blank, corpus, "test", ["label"]).failures[0].startswith("its micro F1 of 0.0%")


def test_without_rows_of_known_codes_there_is_no_report_of_them(scored: Scored, corpus: Corpus):
    unknown = replace(scored, rows=[replace(row, carried=None) for row in scored.rows])
    assert measure(unknown, corpus, "test", []).codes == {}


def test_a_level_without_known_labels_is_left_out(scored: Scored, corpus: Corpus):
    rows = [replace(row, y_true=(None, row.y_true[1])) for row in scored.rows]
    report = measure(replace(scored, rows=rows), corpus, "test", ["section"])
    assert list(report.levels) == ["class"]
    assert report.level == "class"


def test_data_without_known_labels_are_an_error(scored: Scored, corpus: Corpus):
    rows = [replace(row, y_true=(None, None)) for row in scored.rows]
    with pytest.raises(ValueError, match="no row of test"):
        measure(replace(scored, rows=rows), corpus, "test", [])


def test_the_same_predictions_make_the_same_report(report: Report, scored: Scored, corpus: Corpus):
    sets = {"section": np.ones((80, 2), dtype=bool)}
    assert measure(scored, corpus, "test", ["section"], sets) == report
