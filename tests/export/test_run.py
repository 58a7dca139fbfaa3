"""A complete export: its files, its refusals and its fallbacks."""

import json
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from bundle.test_embedded import packed_copy
from conftest import patent_rows
from helpers import rewrite_manifest, run_script, tiny_run
from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.golden import TOLERANCES
from patclass.bundle.manifest import check_manifest
from patclass.bundle.weights import load_weights
from patclass.core.errors import BundleError, DataError, OutputError
from patclass.core.files import file_sha256
from patclass.data.corpus import load_corpus
from patclass.engines.base import instruction_sets
from patclass.engines.openvino import GRAPH, WEIGHTS
from patclass.export import openvino as schemes_module
from patclass.export import run as run_module
from patclass.export.openvino import INT8, Scheme, to_graph
from patclass.export.parity import Limits
from patclass.export.run import FORMS
from patclass.inference import Options, load
from patclass.predictor.all_codes import AllCodes
from patclass.predictor.components import COMPONENTS

PATENTS = patent_rows(12, seed=8)
EVERYTHING = Options(k=3, coverage=0.8, neighbours=3, explain=True)

ENGINE_FILES = {
    "openvino-f32": ["engine/model.bin", "engine/model.xml"],
    "openvino-int8": ["engine/model.bin", "engine/model.xml"],
    "merged": ["base/config.json", "base/model.safetensors", "head.safetensors"],
}
KEPT = (
    LAYOUT.tokenizer,
    LAYOUT.labels,
    *(component.FILE for component in COMPONENTS),
    LAYOUT.report,
    LAYOUT.confusion,
)
WRITTEN = {*LAYOUT.required, LAYOUT.card}
# The tolerance of the tiny bundles' probabilities in int8: far less than margins between labels.
NEAR = 0.1

Exports = Callable[..., Any]
TinyExport = Callable[..., Any]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def folder_contents(target: Path) -> list[str]:
    """Everything in the target folder of a bundle."""
    return sorted(path.name for path in target.parent.iterdir())


# Output


def test_it_is_a_bundle_that_verifies(each_export: Any):
    opened = read_bundle(each_export.folder)
    assert opened.verify("cpu") < 1e-4


def kept(export: Any) -> set[str]:
    """The files that are the original's; one with one label a patent has none of all codes."""
    every = bool(read_bundle(export.source).tree.nodes)
    return {name for name in KEPT if every or name != AllCodes.FILE}


def test_its_manifest_lists_the_engine_and_every_other_file(each_export: Any):
    found = files(each_export.folder) - {LAYOUT.manifest}
    assert set(check_manifest(each_export.folder).files) == found
    assert found == {*kept(each_export), *WRITTEN, *ENGINE_FILES[each_export.form]}


def test_it_records_its_precision_and_its_original(each_export: Any, fastest: Any):
    engine = read_bundle(each_export.folder).description.engine
    assert engine == each_export.info
    asked = each_export.form == "openvino-int8"
    weights, refused = (fastest.name, fastest.refused) if asked else ("float32", ())
    kind = "merged" if each_export.form == "merged" else "openvino"
    assert (engine.kind, engine.weights, len(engine.refused)) == (kind, weights, len(refused))
    for reason, begin in zip(engine.refused, refused, strict=True):
        assert reason.startswith(begin)
    assert engine.made_from == read_bundle(each_export.source).sha256
    assert engine.made_from == file_sha256(each_export.source / LAYOUT.manifest)


def test_parity_is_recorded_level_by_level(each_export: Any):
    source, engine = read_bundle(each_export.source), each_export.info
    assert engine.parity.texts == 42
    assert engine.parity.source == (
        f"{each_export.source.parent.name}: its validation and test rows"
    )
    assert tuple(engine.parity.levels) == source.tree.levels
    for level in engine.parity.levels.values():
        if each_export.exact:
            assert (level.agreement, level.sure_agreement) == (1, 1)
        assert level.agreement >= 0.8
        assert 0 < level.sure <= level.labelled == 42
    difference = engine.parity.largest_logit_difference
    if each_export.exact:
        assert difference < 1e-4
    else:
        assert 1e-4 < difference < 1


def test_it_is_reported_as_a_table(each_export: Any):
    *refused, table, chosen = each_export.messages
    assert refused == [f"refused, {reason}" for reason in each_export.info.refused]
    assert table.startswith(f"{each_export.info.weights}: 42 texts of ")
    levels = [line.split()[0] for line in table.splitlines()[2:]]
    assert levels == list(each_export.info.parity.levels)
    reason = "as those before were refused" if refused else "as asked for"
    gain = rf"\d+\.\d times as fast as the original \({platform.machine()}.*\)"
    assert re.fullmatch(rf"chosen: {each_export.info.weights}, {reason}; {gain}", chosen)


def test_the_instruction_sets_of_the_processor_are_recorded(each_export: Any):
    assert each_export.info.exported_on == instruction_sets()
    assert each_export.info.exported_on[0] == platform.machine()


def test_everything_else_is_copied_from_the_original(each_export: Any):
    for name in kept(each_export):
        assert (each_export.folder / name).read_bytes() == (each_export.source / name).read_bytes()
    was, now = (
        read(folder / LAYOUT.description) for folder in (each_export.source, each_export.folder)
    )
    if each_export.form == "merged":
        was["base"] |= {"sha256": now["base"]["sha256"], "embedded": True}
    assert now == was | {"engine": now["engine"]}


def test_it_contains_no_calibration_or_parity_text(each_export: Any):
    everything = b"".join(path.read_bytes() for path in each_export.folder.rglob("*.*"))
    texts = [
        row["abstract"].encode() for split in ((90, 1), (18, 2)) for row in patent_rows(*split)
    ]
    assert not [text for text in texts if text in everything]


def test_eight_bits_are_smaller_than_float(exports: Exports, fastest: Any):
    if not fastest.name.startswith("int8"):
        pytest.skip(f"no eight bits are computed here, but {fastest.name}")
    small, large = (
        (exports("bundle", form).folder / LAYOUT.engine / WEIGHTS).stat().st_size
        for form in ("openvino-int8", "openvino-f32")
    )
    assert small < 0.7 * large


# Predictions


@pytest.fixture
def near(each_export: Any) -> float:
    """The tolerance of the probabilities."""
    return 1e-4 if each_export.exact else NEAR


def test_it_predicts_like_the_original(each_export: Any, near: float):
    before, after = each_export.original, each_export.classifier
    for level in before.tree.levels:
        one, other = (each.predict_proba(PATENTS, level) for each in (before, after))
        np.testing.assert_allclose(other, one, rtol=0, atol=near)
        if each_export.exact:
            assert before.predict(PATENTS, level) == after.predict(PATENTS, level)
    assert after.predict(PATENTS, "section") == ["A", "C", "H"] * 4
    assert after.classes_ == before.classes_


def test_it_predicts_with_all_evidence(each_export: Any, near: float):
    before, after = (
        classifier.classify(PATENTS, replace(EVERYTHING, all_codes=bool(classifier.tree.nodes)))
        for classifier in (each_export.original, each_export.classifier)
    )
    for one, other in zip(before, after, strict=True):
        assert (other.label, other.level, other.read_share) == (
            one.label,
            one.level,
            one.read_share,
        )
        assert len(other.neighbours) == 3
        probabilities = {code.code: code.probability for code in other.codes or ()}
        for code in one.codes or ():
            if code.code in probabilities:
                assert probabilities[code.code] == pytest.approx(code.probability, abs=near)
        assert len(other.passages) == len(one.passages)
        if each_export.exact:
            assert other.neighbours[0].id == one.neighbours[0].id
            assert [found.label for found in other.label_set] == [
                found.label for found in one.label_set
            ]


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(each_export: Any):
    classifier = each_export.classifier
    texts = ["Soil.", *[row["abstract"] for row in PATENTS], "A circuit " * 40]
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5 if each_export.exact else 0.02)


@pytest.mark.parametrize("form", ["openvino-f32", "openvino-int8"])
def test_another_device_is_refused_with_a_message(exports: Exports, form: str):
    with pytest.raises(BundleError, match="device cuda: the bundle was exported for the CPU"):
        load(exports("bundle", form).folder, "cuda")


HEAVY = ["torch", "transformers", "peft", "sklearn", "scipy", "pandas", "pyarrow", "datasets"]

ANSWER = f"""
import json, sys
from patclass.inference import Options, load
found = load(sys.argv[1]).classify(
    ["plough seed soil", "antenna circuit gate"],
    Options(k=2, coverage=0.8, neighbours=2, explain=True),
)
there = sorted({{name.split(".")[0] for name in sys.modules}} & set({[*HEAVY, "nncf"]}))
reports = sys.modules["openvino_telemetry"] is not None
print(json.dumps([[each.label for each in found], there, reports]))
"""


@pytest.mark.parametrize("form", ["openvino-f32", "openvino-int8"])
def test_it_predicts_without_torch_and_without_telemetry(exports: Exports, form: str):
    assert json.loads(run_script(ANSWER, exports("bundle", form).folder)) == [
        *(["A", "H"], [], False)
    ]


# Refusals


@pytest.mark.parametrize("form", FORMS)
def test_it_cannot_be_exported_again(
    exports: Exports, tiny_export: TinyExport, tmp_path: Path, form: str
):
    folder = exports("bundle", form).folder
    with pytest.raises(BundleError, match="was exported before; export the one it was made from"):
        tiny_export(folder, "openvino-f32", tmp_path / "again")
    assert folder_contents(tmp_path / "again") == []


def test_too_little_data_is_refused_before_anything_is_written(
    tiny_export: TinyExport, bundle: Path, tmp_path: Path
):
    with pytest.raises(DataError, match="are needed"):
        tiny_export(bundle, "openvino-f32", tmp_path / "out", texts=10_000)
    assert folder_contents(tmp_path / "out") == []


def test_a_foreign_target_folder_is_refused_and_left_unchanged(
    tiny_export: TinyExport, bundle: Path, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="was not made by patclass"):
        tiny_export(bundle, "merged", tmp_path / "out")
    assert files(tmp_path) == {"out/thesis.txt"}


def test_an_earlier_export_is_backed_up(tiny_export: TinyExport, bundle: Path, tmp_path: Path):
    for form in ("merged", "openvino-f32"):
        tiny_export(bundle, form, tmp_path / "out")
    assert folder_contents(tmp_path / "out") == ["out", "out.previous"]
    assert read_bundle(tmp_path / "out").description.engine.kind == "openvino"
    assert read_bundle(tmp_path / "out.previous").description.engine.kind == "merged"


def test_a_bundle_that_fails_verification_in_a_fresh_process_is_not_written(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(folder: Path, device: str) -> None:
        assert read_bundle(folder).description.engine is not None
        raise BundleError("it does not answer there")

    monkeypatch.setattr(run_module, "verify_in_fresh_process", fail)
    corpus = load_corpus(opened.description.data_settings(), opened.tree)
    with pytest.raises(BundleError, match="does not answer there"):
        run_module.export(opened, "merged", tmp_path / "out", corpus, texts=40)
    assert folder_contents(tmp_path / "out") == []


def test_a_missing_base_is_named(tiny_export: TinyExport, bundle: Path, tmp_path: Path):
    folder = Path(shutil.copytree(bundle, tmp_path / "model"))
    description = read(folder / LAYOUT.description)
    description["base"]["name"] = "/gone/tiny"
    (folder / LAYOUT.description).write_text(json.dumps(description))
    rewrite_manifest(folder)
    with pytest.raises(BundleError, match="needs base '/gone/tiny'"):
        tiny_export(folder, "merged", tmp_path / "out")
    assert folder_contents(tmp_path / "out") == ["model"]


# Damage


@pytest.fixture(params=FORMS)
def copy(request: pytest.FixtureRequest, exports: Exports, tmp_path: Path) -> tuple[str, Path]:
    """An export format, and a copy of a bundle in it, to be damaged."""
    folder = exports("bundle", request.param).folder
    return request.param, Path(shutil.copytree(folder, tmp_path / "model"))


def test_a_corrupt_engine_file_is_named(copy: tuple[str, Path]):
    form, folder = copy
    for name in ENGINE_FILES[form]:
        data = (folder / name).read_bytes()
        place = len(data) // 2
        (folder / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(BundleError, match=f"{name} was altered"):
            read_bundle(folder)
        (folder / name).write_bytes(data)
    read_bundle(folder)


def test_a_missing_part_of_the_engine_is_named(copy: tuple[str, Path]):
    form, folder = copy
    for name in ENGINE_FILES[form]:
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(BundleError, match=f"{name} is missing"):
            read_bundle(folder)
        rewrite_manifest(folder)
        with pytest.raises(BundleError, match=f"the manifest lists no {name}"):
            read_bundle(folder)
        (folder / name).write_bytes(data)
        rewrite_manifest(folder)
    read_bundle(folder)


@pytest.mark.parametrize("form", ["openvino-f32", "openvino-int8"])
def test_a_damaged_graph_with_a_matching_hash_is_refused_with_its_name(
    exports: Exports, tmp_path: Path, form: str
):
    folder = Path(shutil.copytree(exports("bundle", form).folder, tmp_path / "model"))
    (folder / LAYOUT.engine / GRAPH).write_text("<net/>")
    rewrite_manifest(folder)
    with pytest.raises(BundleError, match=r"model: cannot read .*engine/model\.xml"):
        load(folder, "cpu")


def test_another_graph_is_detected_by_the_golden_logits(
    exports: Exports, negated_graph: ov.Model, tmp_path: Path
):
    folder = Path(shutil.copytree(exports("bundle", "openvino-int8").folder, tmp_path / "model"))
    ov.save_model(negated_graph, folder / LAYOUT.engine / GRAPH, compress_to_fp16=False)
    rewrite_manifest(folder)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(folder).verify("cpu")


def test_another_merged_base_is_detected_by_its_hash(
    exports: Exports, tiny_bert: Path, tmp_path: Path
):
    folder = Path(shutil.copytree(exports("bundle", "merged").folder, tmp_path / "model"))
    shutil.copyfile(tiny_bert / "model.safetensors", folder / "base" / "model.safetensors")
    rewrite_manifest(folder)
    with pytest.raises(BundleError, match="was made with another base"):
        load(folder, "cpu")


# Fallback


@pytest.fixture(scope="module")
def negated_graph(bundle: Path) -> ov.Model:
    """The graph of the flat tiny bundle with negated logits."""
    source = read_bundle(bundle)
    model = load_weights(bundle, source.description, source.tree.outputs, "cpu")
    model.head.weight.data.neg_()
    model.head.bias.data.neg_()
    return to_graph(model)


@pytest.fixture
def bad_scheme(negated_graph: ov.Model) -> Scheme:
    return Scheme("int8", lambda graph, texts, count: negated_graph.clone())


@pytest.mark.parametrize(
    ("safer", "arithmetic"), [(INT8[2], "int8"), (INT8[3], "bfloat16")], ids=["weights", "bfloat16"]
)
@pytest.mark.usefixtures("_eight_bit_weights")
def test_eight_bits_without_parity_fall_back_to_the_next_safer_scheme(
    tiny_export: TinyExport,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad_scheme: Scheme,
    safer: Scheme,
    arithmetic: str,
):
    # Two of 42 texts may differ: with so few, one already exceeds the real limits.
    monkeypatch.setattr(run_module, "QUANTISED", Limits(0.95, 0.95, 0.8, 0.05, 0.2, float("inf")))
    monkeypatch.setattr(run_module, "INT8", (bad_scheme, safer))
    monkeypatch.setattr(schemes_module, "has_bfloat16", lambda: True)
    found = tiny_export(bundle, "openvino-int8", tmp_path / "out")
    assert found.info.weights == safer.name
    (reason,) = found.info.refused
    assert re.match(
        r"int8: section: [\d.]+% agree \(required: 95%\); .* sure .* F1 falls by", reason
    )
    table, refusal, next_table, chosen = found.messages
    assert table.startswith("int8: 42 texts")
    assert refusal == f"refused, {reason}"
    assert next_table.startswith(f"{safer.name}: 42 texts")
    assert chosen.startswith(f"chosen: {safer.name}, as those before were refused; ")
    written = read_bundle(tmp_path / "out")
    assert written.description.engine.refused == (reason,)
    assert written.description.arithmetic == arithmetic
    assert written.golden.tolerance == TOLERANCES[arithmetic]
    assert load(tmp_path / "out", "cpu").predict(PATENTS) == ["A", "C", "H"] * 4


def test_schemes_are_tried_from_fastest_to_safest(
    tiny_export: TinyExport,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad_scheme: Scheme,
):
    """When no eight-bit scheme has parity, float32 is written."""
    monkeypatch.setattr(run_module, "INT8", [replace(bad_scheme, name=way.name) for way in INT8])
    found = tiny_export(bundle, "openvino-int8", tmp_path / "out")
    assert found.info.weights == "float32"
    names = [reason.partition(": ")[0] for reason in found.info.refused]
    assert names == [way.name for way in INT8]
    assert len(found.messages) == 2 * (len(INT8) + 1)
    written = read_bundle(tmp_path / "out")
    assert written.description.arithmetic == "float32"
    assert written.golden.tolerance == TOLERANCES["float32"]
    assert load(tmp_path / "out", "cpu").predict(PATENTS) == ["A", "C", "H"] * 4


def test_arithmetic_that_the_processor_lacks_is_not_tried(
    tiny_export: TinyExport, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def computed(*arguments: object) -> ov.Model:
        raise AssertionError("it was tried")

    lacking = [replace(way, make=computed, lacking=lambda: "not here") for way in INT8]
    monkeypatch.setattr(run_module, "INT8", lacking)
    found = tiny_export(bundle, "openvino-int8", tmp_path / "out")
    assert found.info.weights == "float32"
    assert found.info.refused == tuple(f"{way.name}: not here" for way in INT8)
    assert found.messages[:4] == tuple(f"refused, {way.name}: not here" for way in INT8)


NOTHING_PASSES = Limits(1.1, 0, 0, 1, 1, 1e6)


@pytest.mark.parametrize("form", FORMS)
def test_without_parity_nothing_is_written(
    tiny_export: TinyExport,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
):
    monkeypatch.setattr(run_module, "QUANTISED", NOTHING_PASSES)
    monkeypatch.setattr(run_module, "EXACT", NOTHING_PASSES)
    monkeypatch.setattr(run_module, "INT8", INT8[2:])
    # What OpenVINO cannot compute on a processor is refused with another reason, over lines.
    reason = r"(?s)was not exported: .*float32: .*section: 100\.0% agree"
    with pytest.raises(BundleError, match=reason):
        tiny_export(bundle, form, tmp_path / "out")
    assert folder_contents(tmp_path / "out") == []


def test_float_is_never_replaced_by_eight_bits(
    tiny_export: TinyExport, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_module, "EXACT", NOTHING_PASSES)
    with pytest.raises(BundleError) as refusal:
        tiny_export(bundle, "openvino-f32", tmp_path / "out")
    assert "int8" not in str(refusal.value).partition("was not exported")[2]


# Other bundles


FORMS_IN_FLOAT = ("openvino-f32", "merged")


@pytest.fixture(scope="module")
def packed(tiny_bert: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an embedded packed base that has been deleted everywhere else."""
    home = tmp_path_factory.mktemp("packed")
    base = packed_copy(tiny_bert, home / "packed")
    tiny_run(base, bundle.parent, home / "model", epochs=1, embed_base=True)
    shutil.rmtree(base)
    return home / "model"


@pytest.fixture(scope="module")
def decoder(tiny_llama: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("decoder") / "model"
    tiny_run(tiny_llama, bundle.parent, target, epochs=1)
    return target


@pytest.fixture(scope="module")
def bfloat16_bundle(
    tiny_bert: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle that computes in bfloat16."""
    target = tmp_path_factory.mktemp("halved") / "model"
    tiny_run(tiny_bert, bundle.parent, target, epochs=1, precision="bfloat16")
    assert read_bundle(target).description.arithmetic == "bfloat16"
    return target


def probabilities(*folders: Path) -> list[np.ndarray]:
    return [load(folder, "cpu").predict_proba(PATENTS) for folder in folders]


@pytest.mark.parametrize("form", FORMS_IN_FLOAT)
def test_a_bundle_with_an_embedded_base_is_exported(
    tiny_export: TinyExport, packed: Path, tmp_path: Path, form: str
):
    tiny_export(packed, form, tmp_path / "out")
    np.testing.assert_allclose(*probabilities(packed, tmp_path / "out"), rtol=0, atol=1e-4)
    engine = [name for name in files(tmp_path / "out") if "/" in name]
    assert sorted(engine) == [name for name in ENGINE_FILES[form] if "/" in name]


@pytest.mark.parametrize("form", FORMS_IN_FLOAT)
def test_a_decoder_is_exported(tiny_export: TinyExport, decoder: Path, tmp_path: Path, form: str):
    found = tiny_export(decoder, form, tmp_path / "out")
    assert found.info.parity.largest_logit_difference < 1e-4
    np.testing.assert_allclose(*probabilities(decoder, tmp_path / "out"), rtol=0, atol=1e-4)


@pytest.mark.parametrize("form", FORMS_IN_FLOAT)
def test_a_bundle_in_bfloat16_is_exported_in_float(
    tiny_export: TinyExport, bfloat16_bundle: Path, tmp_path: Path, form: str
):
    tiny_export(bfloat16_bundle, form, tmp_path / "out")
    written = read_bundle(tmp_path / "out")
    assert written.description.arithmetic == "float32"
    assert written.verify("cpu") < 1e-4
    np.testing.assert_allclose(*probabilities(bfloat16_bundle, tmp_path / "out"), rtol=0, atol=0.05)
