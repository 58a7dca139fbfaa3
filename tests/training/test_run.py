"""The complete training at small size: from data to a verified bundle, for both kinds of base."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import patent_rows, write_jsonl
from helpers import tiny_run, tiny_settings, tiny_train
from languages import ABSTRACTS
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import write_manifest
from patclass.core.errors import BundleError, ModelError, OutputError, TrainingError
from patclass.core.files import write_json
from patclass.inference import Options, load
from patclass.model import device
from patclass.model.device import CpuProbe, Products
from patclass.training import loop
from patclass.training import run as run_module
from patclass.training.run import train, work_folder


def test_a_run_produces_a_bundle_that_predicts(tiny_base: Path, patents: Path, tmp_path: Path):
    result = tiny_run(tiny_base, patents, tmp_path / "model", epochs=8)
    assert result.bundle == tmp_path / "model"
    assert result.report is not None
    assert result.report.model.accuracy > 0.6
    section = result.report.levels["section"]
    assert section.metrics == result.report.model
    assert section.baselines["majority"].accuracy < 0.5
    assert read_bundle(result.bundle).verify("cpu") < 1e-4
    classifier = load(result.bundle, "cpu")
    assert classifier.classes_ == ["A", "C", "H"]
    rows = patent_rows(24, 3)
    right = [
        predicted == row["main_code"][0]
        for predicted, row in zip(classifier.predict(rows), rows, strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(result.report.model.accuracy)


def test_encoder_and_decoder_bases_write_the_same_files(
    tiny_base: Path, patents: Path, tmp_path: Path
):
    tiny_run(tiny_base, patents, tmp_path / "model", epochs=1)
    files = {
        p.relative_to(tmp_path / "model").as_posix()
        for p in (tmp_path / "model").rglob("*")
        if p.is_file()
    }
    assert files == {
        "README.md",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "bundle.json",
        "calibration.json",
        "conformal.safetensors",
        "confusion.png",
        "curve.jsonl",
        "golden.json",
        "head.safetensors",
        "neighbours.safetensors",
        "labels.json",
        "linear.safetensors",
        "manifest.json",
        "reference.safetensors",
        "report.html",
        "report.json",
        "tokenizer.json",
    }


def test_the_first_line_reports_device_and_precision(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    lines: list[str] = []
    tiny_train(tiny_settings(tiny_bert, patents, tmp_path / "model", epochs=1), lines.append)
    assert lines[0].startswith("device: cpu, float32: oneDNN's fast products are")
    assert any("90 train, 18 validation, 24 test" in line for line in lines)


def test_five_labels_and_their_names_are_restored_on_loading(tiny_bert: Path, tmp_path: Path):
    rows = [row | {"label": f"kind {number % 5}"} for number, row in enumerate(patent_rows(60))]
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    tiny_run(tiny_bert, data, tmp_path / "model", epochs=1)
    classifier = load(tmp_path / "model", "cpu")
    assert classifier.classes_ == [f"kind {n}" for n in range(5)]
    assert classifier.predict_proba(["A device."]).shape == (1, 5)


def test_head_and_adapter_are_trained_and_saved(tiny_base: Path, patents: Path, tmp_path: Path):
    """The bundle predicts like the trained model, and not like an untrained one."""
    from safetensors.torch import load_file

    tiny_run(tiny_base, patents, tmp_path / "one", epochs=1, learning_rate=1e-12)
    tiny_run(tiny_base, patents, tmp_path / "two", epochs=1)
    for file in ("head.safetensors", "adapter/adapter_model.safetensors"):
        before, after = (load_file(tmp_path / name / file) for name in ("one", "two"))
        assert before.keys() == after.keys()
        assert all(not tensor.equal(after[name]) for name, tensor in before.items())


def test_a_tree_is_learnt_and_predicts_at_every_level(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    more = {"labels": "cpc", "min_leaf_rows": 2, "epochs": 8, "learning_rate": 1e-2}
    result = tiny_run(tiny_bert, patents, tmp_path / "model", **more)
    assert result.report is not None
    assert list(result.report.levels) == ["section", "class", "subclass"]
    assert result.report.levels["section"].metrics.accuracy > 0.6
    classifier = load(tmp_path / "model", "cpu")
    assert classifier.classes_ == ["A01B", "A02B", "C01B", "C02B", "H01B", "H02B"]
    rows = patent_rows(24, 3)
    sections = classifier.predict_proba(rows, "section")
    np.testing.assert_allclose(sections.sum(axis=1), 1, atol=1e-5)
    classes = classifier.predict_proba(rows, "class").reshape(24, 3, 2).sum(axis=2)
    np.testing.assert_allclose(classes, sections, atol=1e-5)
    curve = (tmp_path / "model" / "curve.jsonl").read_text().splitlines()
    levels = [entry["level"] for entry in map(json.loads, curve) if entry.get("epoch") == 8]
    assert levels == ["section", "class", "subclass"]


def test_every_component_can_be_disabled(tiny_bert: Path, patents: Path, tmp_path: Path):
    more = {"linear": False, "index_rows": 0, "truncation": "windows", "epochs": 1}
    tiny_run(tiny_bert, patents, tmp_path / "model", **more)
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert not files & {"linear.safetensors", "neighbours.safetensors"}
    bundle = read_bundle(tmp_path / "model")
    assert bundle.neighbours is None
    assert bundle.description.text.truncation == "windows"
    assert load(tmp_path / "model", "cpu").predict_proba(["A device."]).shape == (1, 3)


def test_a_base_that_is_not_packed_is_not_embedded(tiny_bert: Path, patents: Path, tmp_path: Path):
    with pytest.raises(ModelError, match=r"embed_base: .* is not packed.*compact_base\.py"):
        tiny_run(tiny_bert, patents, tmp_path / "model", embed_base=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("real", [True, False])
def test_mixed_precision_is_used_only_where_it_is_faster(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: bool
):
    plain = Products(100.0, 2e-7)
    probe = CpuProbe(plain, plain, Products(200.0 if real else 2.0, 2e-3))
    monkeypatch.setattr(device, "probe_cpu", lambda: probe)
    used: list[bool] = []

    class Spy(torch.autocast):
        def __init__(self, kind: str, dtype: torch.dtype | None = None, enabled: bool = True):
            if dtype is not None:  # the head switches it off without naming a format
                used.append(enabled)
            super().__init__(kind, dtype, enabled)

    monkeypatch.setattr(loop.torch, "autocast", Spy)
    lines: list[str] = []
    more = {"epochs": 1, "mixed_precision": True}
    settings = tiny_settings(tiny_bert, patents, tmp_path / "model", **more)
    tiny_train(settings, lines.append)
    assert set(used) == {real}
    assert any(line.startswith("mixed precision: not here") for line in lines) is not real
    # The settings keep the requested value, as another machine may resume the run.
    assert read_bundle(tmp_path / "model").description.settings.fit.mixed_precision


def test_the_model_card_uses_the_given_name_of_the_data(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    named = {"data_name": "patents of 2007", "epochs": 1}
    tiny_run(tiny_bert, patents, tmp_path / "model", **named)
    assert read_bundle(tmp_path / "model").description.data.source == "patents of 2007"
    assert "Source: `patents of 2007`" in (tmp_path / "model" / LAYOUT.card).read_text()


@pytest.mark.parametrize("code", ["en", "de"])
def test_a_model_knows_the_languages_of_its_training_texts(
    code: str, tiny_bert: Path, tmp_path: Path
):
    rows = [row | {"abstract": ABSTRACTS[code][1]} for row in patent_rows(60)]
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    tiny_run(tiny_bert, data, tmp_path / "model", epochs=1)
    classifier = load(tmp_path / "model", "cpu")
    assert classifier.bundle.description.data.languages == (code,)
    assert f"Languages: {ABSTRACTS[code][0]}." in (tmp_path / "model" / LAYOUT.card).read_text()
    for other in ("en", "de", "fr"):
        (prediction,) = classifier.classify([ABSTRACTS[other][1]])
        warned = "other_language" in {warning.code for warning in prediction.warnings}
        assert warned is (other != code)


def test_a_bundle_that_states_no_languages_warns_of_none(tree_bundle: Path, tmp_path: Path):
    folder = shutil.copytree(tree_bundle, tmp_path / "model")
    description = json.loads((folder / LAYOUT.description).read_text())
    del description["data"]["languages"]
    write_json(folder / LAYOUT.description, description)
    (folder / LAYOUT.manifest).unlink()
    write_manifest(folder)
    for prediction in load(folder, "cpu").classify([text for _, text in ABSTRACTS.values()]):
        assert "other_language" not in {warning.code for warning in prediction.warnings}


def test_rejected_rows_are_counted_and_listed(tiny_bert: Path, tmp_path: Path):
    bad = [{"id": "x1", "title": "", "abstract": "", "main_code": "A01B"}, {"title": "No code"}]
    data = write_jsonl(tmp_path / "rows.jsonl", patent_rows(60) + bad)
    lines: list[str] = []
    tiny_train(tiny_settings(tiny_bert, data, tmp_path / "m", epochs=1), lines.append)
    assert "rejected: 1 rows (train: no text)" in lines
    listed = (work_folder(tmp_path / "m") / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in listed] == [61, 62]
    description = read_bundle(tmp_path / "m").description
    assert description.data.rejects == {"train: no label": 1, "train: no text": 1}


def test_a_finished_run_leaves_no_checkpoint_and_can_be_repeated(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    for _ in range(2):
        tiny_run(tiny_bert, patents, tmp_path / "model", epochs=1, checkpoint_steps=1)
    left = {path.name for path in work_folder(tmp_path / "model").iterdir()}
    assert left == {"curve.jsonl", "rejects.jsonl", "settings.json"}
    assert (tmp_path / "model.previous" / "manifest.json").is_file()


def test_a_bundle_that_fails_verification_in_a_fresh_process_is_not_saved(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    honest = run_module.save_trained

    def falsify(target, trained, check):
        def altered(folder: Path) -> None:
            head = folder / "head.safetensors"
            data = bytearray(head.read_bytes())
            data[-1] ^= 0x40
            head.write_bytes(data)
            check(folder)

        honest(target, trained, altered)

    monkeypatch.setattr(run_module, "save_trained", falsify)
    settings = tiny_settings(tiny_bert, patents, tmp_path / "model", epochs=1)
    with pytest.raises(BundleError, match=r"fresh process.*head\.safetensors was altered"):
        train(settings, echo=lambda line: None)
    assert not (tmp_path / "model").exists()


def test_a_token_limit_over_that_of_the_base_is_refused(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    with pytest.raises(ModelError, match=r"max_tokens 500.*at most 128"):
        tiny_run(tiny_bert, patents, tmp_path / "model", max_tokens=500)


def test_resuming_without_a_checkpoint_is_an_error(tiny_bert: Path, patents: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(tiny_settings(tiny_bert, patents, tmp_path / "m"), resume=True, echo=lambda _: None)


@pytest.mark.parametrize("place", ["model.run", "model.previous", "model"])
def test_foreign_folders_are_not_modified(
    place: str, tiny_bert: Path, patents: Path, tmp_path: Path
):
    if place == "model.previous":
        tiny_run(tiny_bert, patents, tmp_path / "model", epochs=1)
    (tmp_path / place).mkdir()
    (tmp_path / place / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=rf"{place} exists and was not made by patclass"):
        tiny_run(tiny_bert, patents, tmp_path / "model", epochs=1)
    assert (tmp_path / place / "thesis.txt").read_text() == "years of work"


def test_a_model_of_overlapping_labels(tiny_bert: Path, tmp_path: Path):
    """Rows with lists of labels: learnt, evaluated, saved, and answered with all of them."""
    words = {"pumps": "pump impeller", "valves": "valve seat", "seals": "seal gasket"}
    pairs = [["pumps", "valves"], ["valves", "seals"], ["pumps"], ["seals", "pumps"]]

    def rows(count: int, start: int) -> list[dict[str, object]]:
        return [
            {
                "text": f"A device with {' and '.join(words[w] for w in pairs[n % 4])}, number {n}",
                "label": pairs[n % 4],
            }
            for n in range(start, start + count)
        ]

    (tmp_path / "data").mkdir()
    for split, count, start in (("train", 80, 0), ("validation", 24, 100), ("test", 24, 200)):
        write_jsonl(tmp_path / "data" / f"{split}.jsonl", rows(count, start))
    result = tiny_run(tiny_bert, tmp_path / "data", tmp_path / "model", epochs=6)
    assert result.report is not None
    assert result.report.codes["label"].precision_at[1].value == result.report.model.accuracy
    assert set(result.report.codes_baselines) == {"label"}
    classifier = load(tmp_path / "model", "cpu")
    text = "A device with valve seat and seal gasket"
    found = classifier.classify([text], Options(all_codes=True))
    codes = {code.code: code.role for code in found[0].codes or ()}
    assert "main" in codes.values()
    assert codes.keys() <= words.keys()
