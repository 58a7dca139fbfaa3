"""The shipped model: complete, small, without texts, and as accurate as reported."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

from conftest import SHARED, Run
from helpers import full
from languages import ABSTRACTS
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.registry import SHIPPED, locate
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import SPLITS
from patclass.data.language import other_language
from patclass.evaluation.report import Report
from patclass.inference import Classifier, load
from patclass.inference.prediction import Options

LARGEST = 20_000_000
EVERY = full(25, 11)  # every n-th test row: about 110, or 250


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return load(SHIPPED, "cpu")


def test_it_fits_into_the_package_and_is_documented():
    folder = locate(SHIPPED)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LARGEST
    card = (folder / LAYOUT.card).read_text(encoding="utf-8")
    assert "38,574 patents with IPC and CPC codes" in card
    assert "not to decide alone" in card


def test_it_contains_no_training_text():
    index = read_bundle(locate(SHIPPED)).neighbours
    assert index is not None
    assert len(index.records) > 19_000
    assert all(record.title is None for record in index.records)


def test_it_reproduces_its_golden_logits(shipped: Classifier):
    assert shipped.bundle.verify("cpu") <= shipped.bundle.golden.tolerance


@pytest.mark.parametrize("code", ["de", "ja"])
def test_it_warns_of_texts_in_other_languages_and_is_never_sure(shipped: Classifier, code: str):
    assert shipped.bundle.description.data.languages == ("en",)
    texts = [ABSTRACTS[code][1], ABSTRACTS["en"][1]]
    found = shipped.classify(texts, Options(threshold=0))
    codes = [{each.code for each in prediction.warnings} for prediction in found]
    assert ["other_language" in of_text for of_text in codes] == [True, False]
    assert [prediction.sure for prediction in found] == [False, True]
    assert found[0].level == "section"


def test_it_warns_of_no_english_patent_and_of_nearly_all_foreign_ones():
    if not SHARED.is_dir():
        pytest.skip("the shared patents are not on this machine")

    def warned(name: str) -> list[str | None]:
        table = pq.read_table(SHARED / "data" / name, columns=["title", "abstract"])
        rows = [f"{row['title'] or ''} {row['abstract']}" for row in table.to_pylist()]
        return [other_language(text, ("en",)) for text in rows]

    assert set(warned("patents-test.parquet")) == {None}
    assert warned("patents-test-languages.parquet").count(None) <= 3


def test_predict_works_with_a_fresh_installation(patclass: Run):
    done = patclass(
        "predict",
        "A drill bit with cutters of diamond and nozzles for drilling mud "
        "is screwed to the lower end of a drill string.",
        env={"PATCLASS_MODEL": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("E")


def test_it_is_calibrated_on_unseen_patents(shipped: Classifier, tmp_path: Path):
    if not SHARED.is_dir():
        pytest.skip("the shared patents are not on this machine")
    test = pq.read_table(SHARED / "data" / "patents-test.parquet")
    sampled = test.take(list(range(0, len(test), EVERY)))
    for split in SPLITS:  # reading the training rows would take longer than classifying
        pq.write_table(sampled, tmp_path / f"{split}.parquet")
    data = DataSettings(data=str(tmp_path), labels="cpc", text="title+abstract")
    rows = load_corpus(data, shipped.tree)["test"]
    stored = (shipped.bundle.folder / LAYOUT.report).read_bytes()
    report = Report.model_validate_json(stored)
    leaves = shipped._pipeline.run([row.text for row in rows]).leaves
    for depth, level in enumerate(shipped.tree.levels):
        found = shipped.tree.sums(leaves, level)
        known = [i for i, row in enumerate(rows) if row.y_true[depth] is not None]
        y_true = np.array([rows[i].y_true[depth] for i in known])
        reported = report.levels[level]
        correct = found[known].argmax(axis=1) == y_true
        check_within(correct.sum(), len(known), reported.metrics.accuracy)
        conformal = shipped.bundle.conformal.levels[level]
        assert conformal.allows(0.9) == (level != "main_group")  # it knows half of those there are
        if not conformal.allows(0.9):
            continue
        sets = conformal.sets(found[known], 0.9)
        held = sets[np.arange(len(known)), y_true] & (y_true >= 0)
        check_within(held.sum(), len(known), 0.9)


def check_within(correct: int, rows: int, share: float) -> None:
    """The number correct lies in the central 99.9 % of the binomial distribution."""
    low, high = binom.interval(0.999, rows, share)
    assert low <= correct <= high, f"{correct} of {rows} rows, expected {share:.1%}"
