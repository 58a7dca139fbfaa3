"""A damaged bundle is refused: every kind of damage, with its error message."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import patent_rows, write_jsonl
from helpers import rewrite_manifest, tiny_run
from kept import FolderCache
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT, VERSION
from patclass.bundle.golden import GOLDEN_TEXTS, check_golden, make_golden
from patclass.bundle.manifest import check_manifest
from patclass.core.errors import BundleError, ConfigError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.inference import Classifier, Options
from patclass.predictor.calibration import Calibration
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.drift_reference import DriftReference
from patclass.predictor.linear import LinearModel
from patclass.predictor.neighbours import NeighbourIndex

REQUIRED = (*LAYOUT.required, Calibration.FILE, ConformalSets.FILE, DriftReference.FILE)

EVERY_FILE = (
    *REQUIRED,
    LinearModel.FILE,
    NeighbourIndex.FILE,
    LAYOUT.report,
    LAYOUT.report_page,
    LAYOUT.confusion,
    LAYOUT.curve,
    LAYOUT.card,
)


@pytest.fixture(scope="module")
def original(tiny_bert: Path, folder_cache: FolderCache) -> Path:
    def make(folder: Path) -> None:
        data = write_jsonl(folder / "rows.jsonl", patent_rows(60))
        tiny_run(tiny_bert, data, folder / "model", epochs=1)

    return folder_cache.folder("bundle", make) / "model"


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def test_an_untouched_bundle_verifies(bundle: Path):
    assert read_bundle(bundle).verify("cpu") < 1e-4


@pytest.mark.parametrize("file", EVERY_FILE)
def test_a_missing_file_is_named(bundle: Path, file: str):
    (bundle / file).unlink()
    with pytest.raises(BundleError, match=f"{file} is missing"):
        read_bundle(bundle)


@pytest.mark.parametrize("file", EVERY_FILE)
def test_an_altered_file_is_named(bundle: Path, file: str):
    data = bytearray((bundle / file).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / file).write_bytes(data)
    with pytest.raises(BundleError, match=f"{file} was altered"):
        read_bundle(bundle)


def test_a_folder_without_manifest_is_not_a_bundle(bundle: Path):
    (bundle / LAYOUT.manifest).unlink()
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "other", "version": 5}', "7"])
def test_a_damaged_manifest_is_refused(bundle: Path, content: str):
    (bundle / LAYOUT.manifest).write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        read_bundle(bundle)


def test_a_newer_format_requires_a_newer_release(bundle: Path):
    corrupt_json(bundle / LAYOUT.manifest, lambda manifest: manifest.update(version=VERSION + 1))
    with pytest.raises(BundleError, match=rf"format {VERSION + 1}.*install a newer patclass"):
        read_bundle(bundle)


def test_a_manifest_may_not_point_outside(bundle: Path):
    (bundle.parent / "secret").write_text("x")
    corrupt_json(bundle / LAYOUT.manifest, lambda m: m["files"].update({"../secret": "0" * 64}))
    with pytest.raises(BundleError, match=r"'\.\./secret' outside"):
        read_bundle(bundle)


@pytest.mark.parametrize("file", REQUIRED)
def test_a_manifest_without_a_required_file_is_refused(bundle: Path, file: str):
    (bundle / file).unlink()
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=f"the manifest lists no {file}"):
        read_bundle(bundle)


# From here on, the manifest is rewritten after the damage, so that hashes do not detect it.


def corrupt_json(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_head_of_the_wrong_shape_is_refused(bundle: Path):
    save_file({"weight": torch.zeros(2, 32), "bias": torch.zeros(2)}, bundle / LAYOUT.head)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"head\.safetensors has shapes .*\(2, 32\)"):
        read_bundle(bundle).verify("cpu")


def test_a_head_that_is_not_a_safetensors_file_is_refused(bundle: Path):
    (bundle / LAYOUT.head).write_bytes(b"\x80\x04pickle")
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"cannot read the head .*head\.safetensors"):
        read_bundle(bundle).verify("cpu")


def test_another_head_of_the_right_shape_is_detected_by_the_golden_logits(bundle: Path):
    head = load_file(bundle / LAYOUT.head)
    save_file({name: tensor.flip(0) for name, tensor in head.items()}, bundle / LAYOUT.head)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(bundle).verify("cpu")


def test_a_zeroed_adapter_is_detected_by_the_golden_logits(bundle: Path):
    """Equivalent to serving an untrained adapter instead of the trained one."""
    path = bundle / LAYOUT.adapter / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(t) for name, t in load_file(path).items()}, path)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(bundle).verify("cpu")


def test_another_base_is_refused(bundle: Path):
    corrupt_json(bundle / LAYOUT.description, lambda d: d["base"].update(sha256="0" * 64))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"was made with another base"):
        read_bundle(bundle).verify("cpu")


def test_a_missing_base_is_reported_with_a_remedy(bundle: Path):
    corrupt_json(bundle / LAYOUT.description, lambda d: d["base"].update(name="/gone/tiny"))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"needs base '/gone/tiny'.*PATCLASS_BASE_PATH"):
        read_bundle(bundle).verify("cpu")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda labels: labels["paths"].pop(), id="one fewer"),
        pytest.param(lambda labels: labels["paths"].append(["B"]), id="one more"),
        pytest.param(lambda labels: labels["paths"].reverse(), id="another order"),
        pytest.param(lambda labels: labels["paths"][0].__setitem__(0, "B"), id="another code"),
        pytest.param(lambda labels: labels["nodes"].append(["B"]), id="a node"),
    ],
)
def test_inconsistent_labels_are_refused(bundle: Path, change):
    corrupt_json(bundle / LAYOUT.labels, lambda labels: labels["names"].update(B="Operations"))
    corrupt_json(bundle / LAYOUT.labels, change)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json has \d labels"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "content",
    [
        *("{}", "7", "[", "[]", '[{"code": "A", "name": "x"}]'),
        '{"levels": ["a"], "paths": [["A"], ["C"], ["H"]], "names": {"A": "x"}, "nodes": []}',
        '{"levels": ["a"], "paths": [["A"]], "names": {"A": "x"}, "nodes": [], "extra": 1}',
        '{"levels": ["a"], "paths": [["A"], ["A"]], "names": {"A": "x"}, "nodes": []}',
        '{"levels": ["a"], "paths": [["A"], []], "names": {"A": "x"}, "nodes": []}',
        '{"levels": ["a"], "paths": [["A"]], "names": {"A": "x"}, "nodes": [["Y"]]}',
        '{"levels": ["a"], "paths": [["A"]], "names": {"A": "x"}, "nodes": [["A"], ["A"]]}',
        '{"levels": ["a"], "paths": [["A"]], "names": {"A": "x"}, "nodes": [["A", "A"]]}',
        '{"levels": ["a"], "paths": [["A"]], "names": {"A": "x"}, "nodes": [[]]}',
    ],
)
def test_damaged_labels_are_refused(bundle: Path, content: str):
    (bundle / LAYOUT.labels).write_text(content)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json"):
        read_bundle(bundle)


def test_labels_without_a_level_are_refused(bundle: Path):
    corrupt_json(bundle / LAYOUT.labels, lambda labels: labels["levels"].clear())
    rewrite_manifest(bundle)
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_a_path_that_is_deeper_than_the_levels_is_refused(bundle: Path):
    corrupt_json(bundle / LAYOUT.labels, lambda labels: labels["paths"][0].insert(0, "X"))
    corrupt_json(bundle / LAYOUT.labels, lambda labels: labels["names"].update(X="x"))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json is damaged"):
        read_bundle(bundle)


def test_a_level_without_a_label_is_refused(bundle: Path):
    corrupt_json(bundle / LAYOUT.labels, lambda labels: labels["levels"].append("class"))
    corrupt_json(bundle / Calibration.FILE, lambda c: c["inverse_temperatures"].append(1.0))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json is damaged"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(
            lambda c: c["inverse_temperatures"].append(1.0), "not made for", id="a level more"
        ),
        pytest.param(lambda c: c["inverse_temperatures"].clear(), "not made for", id="no level"),
        pytest.param(lambda c: c.update(sharp=1), "damaged at 'sharp'", id="an unknown key"),
        pytest.param(lambda c: c.pop("thresholds"), "damaged at 'thresholds'", id="a key less"),
        pytest.param(
            lambda c: c.update(linear_weights="much"), "damaged at 'linear_weights'", id="a word"
        ),
        pytest.param(
            lambda c: c.update(inverse_temperatures=[float("nan")]),
            "damaged: NaN is no finite number",
            id="not a number",
        ),
        pytest.param(lambda c: c.update(smoothing=[0, 0]), "not made for", id="a share more"),
        pytest.param(lambda c: c.update(linear_weights=[]), "not made for", id="no weight"),
        pytest.param(
            lambda c: c.update(smoothing=[1]), r"damaged at 'smoothing\.0'", id="all is spread"
        ),
    ],
)
def test_a_damaged_calibration_is_refused(bundle: Path, change, named: str):
    corrupt_json(bundle / Calibration.FILE, change)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=rf"calibration\.json is .*{named}"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"inverse_temperatures": [9.0]},
        {"linear_weights": [0.0]},
    ],
)
def test_another_calibration_is_detected_by_the_golden_probabilities(bundle: Path, change):
    corrupt_json(bundle / Calibration.FILE, lambda calibration: calibration.update(change))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"does not answer as it did .*probabilities"):
        read_bundle(bundle).verify("cpu")


def test_a_missing_linear_model_is_detected_by_the_golden_probabilities(bundle: Path):
    assert read_bundle(bundle).calibration.linear_weights[0] > 0.1
    (bundle / LinearModel.FILE).unlink()
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"does not answer as it did .*probabilities"):
        read_bundle(bundle).verify("cpu")


def test_a_linear_model_of_other_labels_is_refused(bundle: Path):
    path = bundle / LinearModel.FILE
    arrays = load_file(path)
    for name in ("scales", "intercept"):
        arrays[name] = arrays[name][1:].clone()
    save_file(arrays, path)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"linear\.safetensors does not have 3 labels"):
        read_bundle(bundle).verify("cpu")


@pytest.mark.parametrize("file", [LinearModel.FILE, NeighbourIndex.FILE, ConformalSets.FILE])
def test_arrays_that_are_not_a_safetensors_file_are_refused(bundle: Path, file: str):
    (bundle / file).write_bytes(b"\x80\x04pickle")
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=file.replace(".", r"\.")):
        Classifier(read_bundle(bundle), "cpu").classify(["soil"], Options(coverage=0.5))


def test_a_bundle_without_linear_model_and_neighbours_still_predicts(
    tiny_bert: Path, original: Path, tmp_path: Path
):
    more = {"epochs": 1, "linear": False, "index_rows": 0}
    tiny_run(tiny_bert, original.parent / "rows.jsonl", tmp_path / "model", **more)
    found = read_bundle(tmp_path / "model")
    assert not (found.folder / LinearModel.FILE).exists()
    assert not (found.folder / NeighbourIndex.FILE).exists()
    assert found.verify("cpu") < 1e-4
    classifier = Classifier(found, "cpu")
    assert classifier.classify(["soil and seed"])[0].neighbours == ()
    with pytest.raises(ConfigError, match="has no index of similar patents"):
        classifier.classify(["soil and seed"], Options(neighbours=1))


def test_titles_of_neighbours_can_be_left_out(tiny_bert: Path, original: Path, tmp_path: Path):
    more = {"epochs": 1, "linear": False, "index_titles": False}
    tiny_run(tiny_bert, original.parent / "rows.jsonl", tmp_path / "model", **more)
    index = read_bundle(tmp_path / "model").neighbours
    assert {record.title for record in index.records} == {None}
    assert all(record.id.startswith("P0-") for record in index.records)


def test_the_neighbours_contain_only_ids_titles_and_codes(original: Path):
    rows = {row["id"]: row for row in patent_rows(60)}
    records = read_bundle(original).neighbours.records
    assert len(records) == read_bundle(original).description.data.rows["train"]
    for record in records:
        row = rows[record.id]
        assert (record.title, record.codes) == (row["title"], (row["main_code"][0],))


def test_a_description_with_an_unknown_key_is_refused_with_its_name(bundle: Path):
    corrupt_json(bundle / LAYOUT.description, lambda d: d["text"].update(max_token=3))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"bundle\.json is damaged at 'text\.max_token'"):
        read_bundle(bundle)


def test_the_manifest_lists_every_file_and_the_bundle_contains_no_pickle(original: Path):
    manifest = check_manifest(original)
    files = {p.relative_to(original).as_posix() for p in original.rglob("*") if p.is_file()}
    assert set(manifest.files) == files - {LAYOUT.manifest}
    assert {Path(name).suffix for name in files} <= {
        ".json",
        ".jsonl",
        ".safetensors",
        ".md",
        ".png",
        ".html",
    }


def test_the_model_card_has_the_figures_of_the_run(original: Path):
    card = (original / LAYOUT.card).read_text()
    report = json.loads((original / LAYOUT.report).read_text())
    description = read_bundle(original).description
    figures = report["levels"]["section"]
    assert f"{figures['metrics']['accuracy']:.1%}" in card
    assert f"{figures['baselines']['tfidf']['accuracy']:.1%}" in card
    assert description.data.fingerprint in card
    assert "- `A` Human necessities" in card


def test_the_bundle_contains_no_training_text(original: Path):
    everything = b"".join(p.read_bytes() for p in original.rglob("*") if p.is_file())
    assert not [row for row in patent_rows(60) if row["abstract"].encode() in everything]


def test_golden_texts_span_short_long_and_foreign_scripts():
    assert min(len(text.split()) for text in GOLDEN_TEXTS) == 1
    assert max(len(text) for text in GOLDEN_TEXTS) > 3000
    assert any(not text.isascii() for text in GOLDEN_TEXTS)


AB = LabelTree.flat(LabelSet.of_codes("AB"))


@dataclass
class ConstantPipeline:
    """Stands in for a pipeline with the same outputs for all texts."""

    logits: np.ndarray
    leaves: np.ndarray
    tree: LabelTree = AB

    def run(self, texts: Sequence[str]) -> "ConstantPipeline":
        return self


@pytest.fixture
def fixed() -> ConstantPipeline:
    shape = (len(GOLDEN_TEXTS), 2)
    return ConstantPipeline(np.ones(shape, np.float32), np.full(shape, 0.5, np.float32))


@pytest.mark.parametrize(
    ("what", "value"),
    [
        *(("logits", value) for value in (2.0, float("nan"), float("inf"))),
        *(("probabilities", value) for value in (0.6, float("nan"))),
    ],
)
def test_differing_golden_values_are_refused_even_if_nan(
    fixed: ConstantPipeline, what: str, value: float
):
    golden = make_golden(fixed, "float32")
    assert golden.codes == ("A", "B")
    near = ConstantPipeline(fixed.logits + np.float32(1e-5), fixed.leaves)
    assert check_golden(golden, near, "here") == pytest.approx(1e-5, rel=0.1)
    (fixed.logits if what == "logits" else fixed.leaves)[3, 1] = value
    with pytest.raises(BundleError, match=f"here does not answer as it did .*: {what} differ"):
        check_golden(golden, fixed, "here")


def test_golden_logits_of_another_shape_are_refused(fixed: ConstantPipeline):
    golden = make_golden(fixed, "float32")
    other = ConstantPipeline(np.ones((len(GOLDEN_TEXTS), 3), np.float32), fixed.leaves)
    with pytest.raises(BundleError, match="golden logits have shape"):
        check_golden(golden, other, "here")
