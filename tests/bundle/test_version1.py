"""A bundle of format 1 still loads, answers and verifies."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import patent_rows
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.version1 import upgrade_calibration, upgrade_labels
from patclass.core.errors import BundleError, ConfigError
from patclass.core.files import file_sha256, write_json
from patclass.core.types import softmax
from patclass.inference import Classifier, Options
from patclass.inference.prediction import DEFAULT_THRESHOLD

PATENTS = patent_rows(12, seed=8)
NEW_FILES = (LAYOUT.calibration, LAYOUT.conformal, LAYOUT.linear, LAYOUT.neighbours, LAYOUT.page)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def downgrade(bundle: Path, target: Path) -> Path:
    """A copy as the first release would have written it."""
    shutil.copytree(bundle, target)
    for name in NEW_FILES:
        (target / name).unlink()
    labels = read(target / LAYOUT.labels)
    entries = [{"code": code, "name": labels["names"][code]} for (code,) in labels["paths"]]
    write_json(target / LAYOUT.labels, entries)
    description = read(target / LAYOUT.description)
    del description["text"]["truncation"], description["base"]["embedded"]
    del description["settings"]["answer"], description["settings"]["data"]["min_leaf_rows"]
    write_json(target / LAYOUT.description, description)
    golden = read(target / LAYOUT.golden)
    del golden["probabilities"]
    write_json(target / LAYOUT.golden, golden)
    write_manifest1(target)
    return target


def write_manifest1(folder: Path) -> None:
    (folder / LAYOUT.manifest).unlink()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    manifest = {"format": "patclass-bundle", "version": 1, "files": hashes}
    write_json(folder / LAYOUT.manifest, manifest)


@pytest.fixture(scope="module")
def kept(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return downgrade(bundle, tmp_path_factory.mktemp("kept") / "model")


@pytest.fixture(scope="module")
def old(kept: Path) -> Classifier:
    return Classifier(read_bundle(kept), "cpu")


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(kept, tmp_path / "model"))


def test_it_verifies(kept: Path):
    assert read_bundle(kept).verify("cpu") < 1e-4


def test_it_answers_with_the_same_labels(old: Classifier, classifier: Classifier):
    assert old.classes_ == classifier.classes_ == ["A", "C", "H"]
    assert old.predict(PATENTS) == classifier.predict(PATENTS) == ["A", "C", "H"] * 4
    assert old.tree == classifier.tree


def test_its_probabilities_are_those_of_the_model_as_they_come(old: Classifier):
    texts = [old.text_of(patent) for patent in PATENTS]
    logits = old.bundle.load_pipeline("cpu").run(texts).logits
    np.testing.assert_allclose(old.predict_proba(PATENTS), softmax(logits), atol=1e-5)


def test_no_threshold_is_claimed_that_nobody_has_measured(old: Classifier):
    assert old.bundle.calibration.thresholds == {}
    for answer in old.classify([*PATENTS, "Soil and acid."]):
        assert answer.level == "section"
        assert answer.sure is (answer.confidence >= DEFAULT_THRESHOLD)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (Options(coverage=0.8), "for any level; train it anew"),
        (Options(neighbours=3), "known patents"),
    ],
)
def test_what_it_cannot_give_is_refused(old: Classifier, options: Options, named: str):
    with pytest.raises(ConfigError, match=named):
        old.classify(PATENTS, options)


def test_it_can_be_explained(old: Classifier):
    answer = old.classify([PATENTS[2]], Options(explain=True))[0]
    assert len(answer.passages) == 2


@pytest.mark.parametrize("file", LAYOUT.required(1))
def test_a_needed_file_that_the_manifest_leaves_out_is_named(copy: Path, file: str):
    (copy / file).unlink()
    write_manifest1(copy)
    with pytest.raises(BundleError, match=f"the manifest lists no {file}"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "content",
    [
        *("{}", "7", "null", "[", "[7]", "[null]", '["A", "C", "H"]', '[{"code": "A"}]'),
        '[{"code": 7, "name": "x"}]',
        '[{"code": "A", "name": "x"}, {"code": "A", "name": "x"}]',
        '[{"code": "C", "name": "x"}, {"code": "A", "name": "x"}, {"code": "H", "name": "x"}]',
        '[{"code": ["A"], "name": "x"}]',
    ],
)
def test_damaged_labels_are_refused(copy: Path, content: str):
    (copy / LAYOUT.labels).write_text(content, encoding="utf-8")
    write_manifest1(copy)
    with pytest.raises(BundleError, match=r"labels\.json"):
        read_bundle(copy)


SECTIONS = [{"code": "A", "name": "Human Necessities"}, {"code": "H", "name": "Electricity"}]
OTHERS = [{"code": "good", "name": "good"}, {"code": "bad", "name": "bad"}]


@pytest.mark.parametrize(
    ("wanted", "entries", "level"),
    [
        ("section", SECTIONS, "section"),
        ("class", [{"code": "A01", "name": "A01"}], "class"),
        ("subclass", [{"code": "A01B", "name": "A01B"}], "subclass"),
        ("A61,G06", [{"code": "A61", "name": "A61"}], "label"),
        ("verdict", OTHERS, "label"),
        ("auto", SECTIONS, "section"),
        # 'auto' was the column 'label' wherever there was one.
        ("auto", OTHERS, "label"),
    ],
)
def test_the_level_is_named_after_what_was_asked_for(
    wanted: str, entries: list[dict[str, str]], level: str
):
    found = upgrade_labels(entries, {"data": {"labels": wanted}})
    assert found == {
        "levels": [level],
        "paths": [[entry["code"]] for entry in entries],
        "names": {entry["code"]: entry["name"] for entry in entries},
        "tags": [],
    }


def test_nothing_is_calibrated():
    assert upgrade_calibration() == {
        "inverse_temperatures": [1.0],
        "linear_weight": 0.0,
        "precision": 0.9,
        "thresholds": {},
    }
