"""All figures of made-up answers on a small tree."""

from dataclasses import replace

import numpy as np
import pytest

from patclass.data.corpus import UNSEEN, Corpus
from patclass.evaluation import measure as module
from patclass.evaluation.baselines import LabelledTexts
from patclass.evaluation.measure import measure
from patclass.evaluation.metrics import Metrics
from patclass.evaluation.report import Report
from patclass.evaluation.scored import Scored


def test_levels_come_in_the_order_of_the_tree_and_the_coarsest_decides(report: Report):
    assert list(report.levels) == ["section", "class"]
    assert report.level == "section"
    assert (report.split, report.train_rows, report.leaked_rows) == ("test", 80, 0)


def test_figures_lie_within_their_intervals(report: Report):
    for level in report.levels.values():
        assert level.accuracy_interval.low < level.metrics.accuracy < level.accuracy_interval.high
        assert level.macro_f1_interval.low < level.metrics.macro_f1 < level.macro_f1_interval.high


def test_figures_are_those_of_the_answers(report: Report, scored: Scored):
    sums = scored.tree.sums(scored.calibrated, "class")
    truth = np.array([row.truth[1] for row in scored.rows])
    assert report.levels["class"].metrics.accuracy == (sums.argmax(axis=1) == truth).mean()
    # A fourth of the rows has a class that the tree lacks: no answer to them is right.
    assert report.levels["class"].metrics.accuracy <= 0.75
    assert sum(c.support for c in report.levels["class"].metrics.per_class) == 60


def test_calibration_is_told_before_and_after(report: Report):
    section = report.levels["section"]
    assert section.ece_raw != section.ece
    assert section.reliability_raw != section.reliability


def test_baselines_are_fitted_where_they_are_asked_for(report: Report):
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
    assert min(test.labels) == UNSEEN


def test_sets_are_reported_where_there_are_some(report: Report):
    assert report.levels["class"].sets is None
    sets = report.levels["section"].sets
    assert sets is not None
    assert (sets.target, sets.coverage, sets.mean_size) == (0.9, 1, 2)


def test_sets_of_rows_without_a_known_label_do_not_count(scored: Scored, corpus: Corpus):
    rows = [replace(row, truth=(row.truth[0], None)) for row in scored.rows[:79]]
    partly = replace(scored, rows=[*rows, scored.rows[79]])
    inside = np.zeros((80, 3), dtype=bool)
    inside[79, 2] = True
    level = measure(partly, corpus, "test", [], {"class": inside}).levels["class"]
    assert level.metrics.rows == 1
    assert level.sets is not None
    assert (level.sets.coverage, level.sets.single) == (1, 1)


def test_slices_mistakes_and_tags_are_there(report: Report):
    section = report.levels["section"]
    assert {part.kind for part in section.slices} == {"text length", "year"}
    wrong = round(section.metrics.rows * (1 - section.metrics.accuracy))
    assert len(section.mistakes) == min(25, wrong)
    assert report.tags["Y"].rows == 80


def test_a_level_of_which_nothing_is_known_is_left_out(scored: Scored, corpus: Corpus):
    rows = [replace(row, truth=(None, row.truth[1])) for row in scored.rows]
    report = measure(replace(scored, rows=rows), corpus, "test", ["section"])
    assert list(report.levels) == ["class"]
    assert report.level == "class"


def test_nothing_known_is_an_error(scored: Scored, corpus: Corpus):
    rows = [replace(row, truth=(None, None)) for row in scored.rows]
    with pytest.raises(ValueError, match="no row of test"):
        measure(replace(scored, rows=rows), corpus, "test", [])


def test_the_same_answers_make_the_same_report(report: Report, scored: Scored, corpus: Corpus):
    sets = {"section": np.ones((80, 2), dtype=bool)}
    assert measure(scored, corpus, "test", ["section"], sets) == report
