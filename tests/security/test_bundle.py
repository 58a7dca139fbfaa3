"""A bundle from elsewhere: what it lists is read and nothing else, and it cannot hold up a load.

In most tests the manifest fits the damage, as if its author had meant it.
"""

import base64
import json
import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from helpers import full, rewrite_manifest, run_script
from patclass.bundle import Bundle, read_bundle
from patclass.bundle import bundle as bundle_module
from patclass.bundle import registry as registry_module
from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import Listed, check_manifest
from patclass.bundle.registry import POINTER, Registry, locate
from patclass.core.errors import BundleError, ModelError, PatclassError
from patclass.evaluation.report import check_report
from patclass.inference import Classifier
from patclass.learning.promotion import register
from patclass.model.base import BaseFiles
from patclass.model.device import choose_compute
from patclass.model.network import Parts, load_backbone
from patclass.model.packing import unpack
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.calibration import Calibration
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.drift_reference import DriftReference
from patclass.predictor.linear import LinearModel
from patclass.predictor.neighbours import NeighbourIndex
from patclass.service.models import load_model
from patclass.store.database import Database

SECRET = "root:x:0:0"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle to damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that nobody means to show."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a JSON file holds, and list the file as it is then."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def unlist(bundle: Path, name: str) -> None:
    edit(bundle / LAYOUT.manifest, lambda manifest: manifest["files"].pop(name))


# Whatever is not listed, is a link, or leaves the folder


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def test_a_card_that_is_a_link_to_a_secret_is_not_shown(copy: Path, secret: Path):
    unlist(copy, LAYOUT.card)
    link(copy / LAYOUT.card, secret)
    with pytest.raises(BundleError, match=r"README\.md is a link"):
        load_model("default", copy, "cpu")


@pytest.mark.parametrize(
    "name", [LAYOUT.card, LAYOUT.manifest, LAYOUT.head, "adapter/adapter_config.json"]
)
def test_a_link_is_refused_by_name_even_if_listed(copy: Path, tmp_path: Path, name: str):
    shutil.copy(copy / name, tmp_path / "same")
    link(copy / name, tmp_path / "same")
    with pytest.raises(BundleError, match=rf"{name} is a link"):
        read_bundle(copy)


def test_a_folder_that_is_a_link_is_refused_by_name(copy: Path, tmp_path: Path):
    shutil.move(copy / LAYOUT.adapter, tmp_path / "adapter")
    (copy / LAYOUT.adapter).symlink_to(tmp_path / "adapter")
    with pytest.raises(BundleError, match="adapter is a link"):
        read_bundle(copy)


def test_a_bundle_whose_own_folder_is_a_link_is_read(bundle: Path, tmp_path: Path):
    (tmp_path / "current").symlink_to(bundle)
    assert read_bundle(tmp_path / "current").fingerprint == read_bundle(bundle).fingerprint


@pytest.mark.parametrize(
    "name", [NeighbourIndex.FILE, LinearModel.FILE, LAYOUT.report, LAYOUT.card, "base/x", ".hidden"]
)
def test_a_file_that_is_not_listed_is_refused_by_name(copy: Path, name: str):
    """Else an index could be exchanged, and the version stay the same."""
    if name in check_manifest(copy).files:
        unlist(copy, name)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"whatever")
    with pytest.raises(BundleError, match=rf"{name.split('/')[0]} is not listed"):
        read_bundle(copy)


def test_a_pipe_that_is_not_listed_is_refused_unread(copy: Path):
    os.mkfifo(copy / LAYOUT.lineage)
    with pytest.raises(BundleError, match=r"lineage\.json is not listed"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "adapter/../../secret", "a/b/c", "a\\b", "a\0b", "", "a//b"],
)
def test_a_listed_name_outside_of_the_folder_is_refused(copy: Path, secret: Path, name: str):
    edit(copy / LAYOUT.manifest, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match=r"outside of the bundle|no plain name"):
        read_bundle(copy)


def test_what_libraries_would_follow_beside_weights_is_refused(copy: Path):
    """Beside a base, an adapter's configuration names another base, from anywhere."""
    (copy / LAYOUT.adapter / "config.json").write_text("{}")
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"lists adapter/config\.json, which is no file"):
        read_bundle(copy)


def test_a_file_exchanged_after_the_check_is_not_used(copy: Path, monkeypatch: pytest.MonkeyPatch):
    """What is read is hashed, not what stood there before."""
    whole = Listed.check

    def exchange(listed: Listed) -> None:
        whole(listed)
        shutil.copy(copy / ConformalSets.FILE, copy / LinearModel.FILE)

    monkeypatch.setattr(Listed, "check", exchange)
    with pytest.raises(BundleError, match=r"linear\.safetensors was altered"):
        read_bundle(copy)


def test_card_and_report_exchanged_after_the_check_are_not_shown(copy: Path, secret: Path):
    opened = read_bundle(copy)
    card = opened.card
    link(copy / LAYOUT.card, secret)
    link(copy / LAYOUT.report, secret)
    assert opened.card == card
    with pytest.raises(BundleError, match=r"report\.json was altered"):
        check_report(opened)


# The registry


def test_a_version_or_pointer_that_is_a_link_is_refused(bundle: Path, tmp_path: Path):
    registry = Registry(tmp_path / "models")
    registry.promote(registry.add(bundle).name)
    (registry.folder / "0002").symlink_to(bundle)
    with pytest.raises(BundleError, match="0002 is a link"):
        registry.folders()
    (registry.folder / POINTER).rename(tmp_path / POINTER)
    (registry.folder / POINTER).symlink_to(tmp_path / POINTER)
    with pytest.raises(BundleError, match=rf"{POINTER} is a link"):
        locate(registry.folder)


def test_the_champion_may_not_be_a_link(bundle: Path, tmp_path: Path):
    registry = Registry(tmp_path / "models")
    registry.promote("0001")
    (registry.folder / "0001").symlink_to(bundle)
    with pytest.raises(BundleError, match="0001 is a link"):
        locate(registry.folder)


def test_only_listed_files_are_copied_into_the_registry(copy: Path, tmp_path: Path, secret: Path):
    (copy / "notes.txt").symlink_to(secret)
    registry = Registry(tmp_path / "models")
    with pytest.raises(BundleError, match=r"notes\.txt is a link"):
        registry.add(copy)
    assert not registry.folder.exists()


def test_a_bundle_that_changes_while_it_is_copied_leaves_no_version(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def exchange(folder: Path) -> Listed:
        listed = check_manifest(folder)
        if folder == copy:
            (copy / LAYOUT.card).write_text("another one")
        return listed

    monkeypatch.setattr(registry_module, "check_manifest", exchange)
    registry = Registry(tmp_path / "models")
    with pytest.raises(BundleError, match=r"README\.md was altered"):
        registry.add(copy)
    assert list(registry.folder.iterdir()) == []


def test_three_promotions_of_one_bundle_at_once_make_one_version(
    exported_flat: Path, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Bundle, "verify", lambda bundle: 0.0)
    registry, start, found = Registry(tmp_path / "models"), threading.Barrier(3), []

    def promote() -> None:
        start.wait()
        found.append(register(registry, database, exported_flat).folder.name)

    threads = [threading.Thread(target=promote) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["0001"] * 3
    assert [path.name for path in registry.folders()] == ["0001"]


# What was noticed only later


def load_and_check(folder: Path) -> None:
    """What verify, the service and the registry look at before they use a bundle."""
    check_report(read_bundle(folder))


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "name",
    [
        *(LAYOUT.description, LAYOUT.labels, LAYOUT.golden, LAYOUT.lineage, LAYOUT.report),
        Calibration.FILE,
    ],
)
@pytest.mark.parametrize("content", [NESTED, '{"a": NaN}', '{"a": 1e999}', "\xff\xfe{}", "{nope"])
def test_json_that_is_none_or_nests_without_end_is_named(copy: Path, name: str, content: str):
    (copy / name).write_text(content, encoding="latin-1")
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=rf"{name} is damaged"):
        load_and_check(copy)


def test_a_manifest_that_nests_without_end_is_named(copy: Path):
    (copy / LAYOUT.manifest).write_text(NESTED)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged: .* nested too deeply"):
        read_bundle(copy)


def test_a_card_that_is_no_text_is_named(copy: Path):
    (copy / LAYOUT.card).write_bytes("# Modèle".encode("latin-1"))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"README\.md is damaged: it is no text in UTF-8"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.clear(),
        lambda report: report.update(levels=[]),
        lambda report: report["levels"]["section"].pop("reliability"),
        lambda report: report["levels"]["section"]["metrics"].update(
            confusion={"labels": 3, "cells": [[7, 0, 1]]}
        ),
    ],
)
def test_a_report_that_could_not_be_shown_is_named(copy: Path, change):
    edit(copy / LAYOUT.report, change)
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"report\.json is damaged at"):
        load_model("default", copy, "cpu")


def test_a_sparse_matrix_of_a_report_is_not_spread_out_on_loading(copy: Path):
    """A hundred million cells from eight digits."""
    huge = {"labels": 10_000, "cells": []}
    edit(copy / LAYOUT.report, lambda r: r["levels"]["section"]["metrics"].update(confusion=huge))
    rewrite_manifest(copy)
    assert _peak(lambda: check_report(read_bundle(copy))) < 20e6


def _peak(work: Callable[[], object]) -> int:
    """Most bytes that Python and numpy held meanwhile."""
    import tracemalloc

    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def arrays_with(path: Path, **changed: object) -> None:
    """Save a file of arrays again with some of them changed."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        about = file.metadata()
    arrays = load_file(path)
    for name, change in changed.items():
        arrays[name] = change(arrays[name]) if callable(change) else change
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, about)


def test_compressed_records_that_unfold_to_gigabytes_are_refused(copy: Path):
    packing = zlib.compressobj(9)
    parts = [packing.compress(b'[0.5, [["'), *(packing.compress(bytes(10**7)) for _ in range(3))]
    packed = np.frombuffer(b"".join([*parts, packing.flush()]), np.uint8)
    arrays_with(copy / NeighbourIndex.FILE, records=packed)
    rewrite_manifest(copy)

    def load() -> None:
        with pytest.raises(BundleError, match=r"neighbours\.safetensors: records has more than"):
            read_bundle(copy)

    assert _peak(load) < 20e6


def records(*rows: object) -> np.ndarray:
    return np.frombuffer(zlib.compress(json.dumps([0.1, *rows]).encode()), np.uint8)


@pytest.mark.parametrize(
    "changed",
    [
        {"records": records([[1, {"a": 1}, [2]]])},
        {"records": records([])},
        {"records": np.frombuffer(zlib.compress(NESTED.encode()), np.uint8)},
        {"records": np.frombuffer(zlib.compress(b"[NaN, []]"), np.uint8)},
        {"mean": lambda mean: mean * np.nan},
        {"directions": lambda directions: directions.astype(np.int16)},
        {"vectors": lambda vectors: vectors.astype(np.float32)},
        {"surplus": np.zeros(3)},
    ],
)
def test_a_damaged_index_is_named(copy: Path, changed: dict[str, Any]):
    arrays_with(copy / NeighbourIndex.FILE, **changed)
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"cannot read neighbours\.safetensors"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "changed",
    [
        {"section/labels": lambda labels: np.full_like(labels, 3)},
        {"section/labels": lambda labels: np.full_like(labels, -2)},
        {"section/labels": lambda labels: labels.astype(np.float32)},
        {"section/scores": lambda scores: scores[:-1]},
        {"section/scores": lambda scores: scores[:, None]},
        {"section/scores": lambda scores: scores * np.nan},
        {"section/scores": lambda scores: scores + 7},
        {"class/labels": np.zeros(3, np.int64)},
    ],
)
def test_damaged_conformal_scores_are_named(copy: Path, changed: dict[str, Any]):
    arrays_with(copy / ConformalSets.FILE, **changed)
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"cannot read conformal\.safetensors"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "changed",
    [
        {"intercept": lambda values: values * np.inf},
        {"hashes": np.zeros(0, np.uint32)},
        {"hashes": lambda values: values.astype(np.float32)},
        {"weights": lambda values: values.astype(np.float32)},
        {"counts": lambda values: np.where(np.arange(len(values)) == 0, values + 1, values)},
        {"counts": lambda values: np.full(len(values), 2**63, np.uint64)},
        {"groups": lambda values: values + 3},
        {"groups": lambda values: values.astype(np.int16)},
    ],
)
def test_a_damaged_linear_model_is_named(copy: Path, changed: dict[str, Any]):
    arrays_with(copy / LinearModel.FILE, **changed)
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"cannot read linear\.safetensors"):
        read_bundle(copy)


def test_a_reference_of_other_labels_is_named(copy: Path):
    path = copy / DriftReference.FILE
    about = json.dumps({"codes": {"section": ["X", "Y", "Z"]}, "accuracy": {}})
    save_file(load_file(path), path, {"about": about})
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"reference\.safetensors: its labels are not those"):
        read_bundle(copy)


@pytest.mark.parametrize(
    "changed",
    [
        {"inverse_temperatures": [0.0]},
        {"inverse_temperatures": [1e308]},
        {"linear_weights": [-1]},
        {"precision": 0},
        {"thresholds": {"section": 7}},
        {"thresholds": {"nothing": 0.5}},
    ],
)
def test_a_calibration_out_of_range_is_named(copy: Path, changed: dict[str, Any]):
    edit(copy / Calibration.FILE, lambda calibration: calibration.update(changed))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"calibration\.json (is damaged|has a threshold)"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"tolerance": 1e9}, "tolerance"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": -1}, "tolerance"),
        ({"texts": [], "logits": [], "probabilities": []}, "texts"),
        ({"texts": ["word " * 10**6]}, r"texts\.0"),
        ({"logits": [[1]]}, "logits"),
        ({"probabilities": []}, "probabilities"),
    ],
)
def test_golden_answers_that_would_prove_nothing_are_named(copy: Path, changed, where: str):
    edit(copy / LAYOUT.golden, lambda golden: golden.update(changed))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=rf"golden\.json is damaged at '{where}'"):
        read_bundle(copy)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"view": "+"}, "view"),
        ({"view": ""}, "view"),
    ],
)
def test_a_text_that_cannot_be_read_so_is_named(copy: Path, changed, where: str):
    edit(copy / LAYOUT.description, lambda description: description["text"].update(changed))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=rf"bundle\.json is damaged at 'text\.{where}'"):
        read_bundle(copy)


# A tokenizer that expands, or searches, without end


def tokenizer_with(copy: Path, **parts: object) -> None:
    edit(copy / LAYOUT.tokenizer, lambda tokenizer: tokenizer.update(parts))
    rewrite_manifest(copy)


def replace(pattern: dict[str, str], content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(*steps: object) -> dict[str, object]:
    return {"type": "Sequence", "normalizers": list(steps)}


def charsmap(piece: str) -> dict[str, object]:
    index = (4).to_bytes(4, "little") + bytes(4)
    table = base64.b64encode(index + piece.encode() + b"\0").decode()
    return {"type": "Precompiled", "precompiled_charsmap": table}


@pytest.mark.parametrize(
    "normalizer",
    [
        pytest.param({"type": "Prepend", "prepend": "a" * 10**6}, id="a long string before"),
        pytest.param(replace({"String": "e"}, "e" * 10**5), id="a long string instead"),
        pytest.param(replace({"Regex": "e|f"}, "e" * 10**5), id="instead of an expression"),
        pytest.param(sequence(*[replace({"String": "a"}, "aa")] * 28), id="doubled 28 times"),
        pytest.param(sequence(*[replace({"Regex": "x*"}, "x")] * 28), id="between, 28 times"),
        pytest.param(sequence(*[replace({"Regex": "(?=ꙮ)"}, "ꙮ")] * 28), id="before a rare one"),
        pytest.param(sequence(sequence(*[{"type": "ByteLevel"}] * 28)), id="bytes of bytes"),
        pytest.param(charsmap("a" * 10**5), id="a table of long strings"),
    ],
)
def test_a_tokenizer_that_inserts_without_end_is_refused_untried(copy: Path, normalizer):
    tokenizer_with(copy, normalizer=normalizer)
    with pytest.raises(ModelError, match=r"cannot read tokenizer\.json: .*grow more than 256-fold"):
        read_bundle(copy).load_tokenizer()


@pytest.mark.parametrize("expression", [r"(\w+\s?)+[^\w\s]$", "(a|aa)+b|(1|11)+2"])
def test_a_tokenizer_whose_expression_goes_back_and_forth_without_end_is_refused(
    copy: Path, expression: str
):
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    tokenizer_with(copy, pre_tokenizer=split | {"pattern": {"Regex": expression}})
    with pytest.raises(ModelError, match=r"cannot read tokenizer\.json: .*(retry-limit|too long)"):
        read_bundle(copy).load_tokenizer()


def test_an_expression_that_goes_astray_on_a_text_later_is_an_error(copy: Path):
    """The library panics, which is no exception of Python's."""
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    tokenizer_with(copy, pre_tokenizer=split | {"pattern": {"Regex": "z(y|yy)+x"}})
    with pytest.raises(ModelError, match="cannot encode a text"):
        read_bundle(copy).load_tokenizer().encode(["z" + "y" * 200], "head")


def test_a_tokenizer_without_content_is_refused(copy: Path):
    tokenizer_with(copy, normalizer=replace({"Regex": "."}, ""))
    with pytest.raises(ModelError, match=r"makes no token of a letter"):
        read_bundle(copy).load_tokenizer()


def test_special_tokens_that_leave_no_room_for_a_text_are_refused(copy: Path):
    special = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    text = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    template = {
        "type": "TemplateProcessing",
        "single": [special] * 64 + text[:1],
        "pair": text,
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}},
    }
    tokenizer_with(copy, post_processor=template)
    with pytest.raises(ModelError, match=r"adds 64 special tokens .* max_tokens 64"):
        read_bundle(copy).load_tokenizer()


def test_tokens_that_the_model_does_not_have_are_an_error_on_loading(copy: Path):
    def move(tokenizer: dict[str, Any]) -> None:
        words = tokenizer["model"]["vocab"]
        words.update({word: n + 10**6 for word, n in words.items() if not word.startswith("[")})

    edit(copy / LAYOUT.tokenizer, move)
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match="the model cannot compute"):
        read_bundle(copy).load_pipeline("cpu")


# Weights and their configuration


@pytest.mark.parametrize(
    "changed",
    [
        {"target_modules": "(([a-z.]+)+)+!"},
        {"target_modules": []},
        {"target_modules": ["a|b"]},
        {"r": 10**9},
        {"r": 1.5},
        {"lora_alpha": -1},
        {"peft_type": "OTHER"},
    ],
)
def test_a_configuration_of_the_adapter_out_of_range_is_named(copy: Path, changed):
    edit(copy / LAYOUT.adapter / "adapter_config.json", lambda config: config.update(changed))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=rf"config\.json is damaged at '{next(iter(changed))}"):
        read_bundle(copy).load_pipeline("cpu")


@pytest.mark.parametrize(
    "changed", [{"num_hidden_layers": 10**8}, {"vocab_size": 10**10}, {"hidden_size": 1.5}]
)
def test_a_base_far_larger_than_its_weights_is_refused_before_it_is_made(
    tiny_bert: Path, tmp_path: Path, changed
):
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "base"))
    edit(folder / "config.json", lambda config: config.update(changed))
    base = BaseFiles("base", None, folder, "", "base")
    with pytest.raises(ModelError, match=r"config\.json|cannot load base"):
        load_backbone(Parts(base, choose_compute("cpu", "float32")))


def test_packed_weights_of_no_bits_are_refused(tmp_path: Path):
    """Each of any number of values would then take no byte."""
    about = {"format": "patclass-packed", "version": 1, "forms": {"w": [0, 10**6, 10**6]}}
    arrays = {"w.packed": np.zeros(0, np.uint8), "w.scale": np.zeros((1, 1), np.float16)}
    save_file(arrays, tmp_path / "model.safetensors", {"packing": json.dumps(about)})
    with pytest.raises(ModelError, match="values of 0 bits"):
        unpack(tmp_path / "model.safetensors")


def test_an_index_of_embeddings_of_another_width_is_named_on_loading(copy: Path):
    arrays_with(
        copy / NeighbourIndex.FILE,
        mean=lambda mean: mean[:5],
        directions=lambda directions: directions[:5],
    )
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match=r"neighbours\.safetensors is of embeddings of 5 values"):
        read_bundle(copy).load_pipeline("cpu")


# Golden answers on loading


def exported_on(folder: Path, *instructions: str) -> None:
    """Make a bundle of one exported in few bits, with another answer to a later golden text."""
    edit(
        folder / LAYOUT.description,
        lambda d: d["engine"].update(weights="int8", exported_on=instructions),
    )
    edit(folder / LAYOUT.golden, lambda golden: golden["logits"].__setitem__(2, [9.0, 9.0, 9.0]))
    edit(folder / LAYOUT.golden, lambda golden: golden.update(tolerance=0.5))
    rewrite_manifest(folder)


@pytest.mark.parametrize("there", [(), ("avx2", "avx_vnni")])
def test_an_export_that_answers_differently_on_this_processor_is_refused_on_loading(
    exported_flat: Path, tmp_path: Path, there: tuple[str, ...]
):
    folder = Path(shutil.copytree(exported_flat, tmp_path / "model"))
    exported_on(folder, *there)
    named = ", ".join(there) or "unknown instructions"
    with pytest.raises(BundleError, match=rf"with {named}; this one has .* Export it again"):
        read_bundle(folder).load_pipeline()


def test_where_it_was_exported_only_one_text_is_answered_on_loading(
    exported_flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(exported_flat, tmp_path / "model"))
    monkeypatch.setattr(bundle_module, "instruction_sets", lambda: ("avx2",))
    exported_on(folder, "avx2")
    read_bundle(folder).load_pipeline()
    with pytest.raises(BundleError, match="train it again"):
        read_bundle(folder).verify()


def test_a_first_golden_answer_that_differs_is_noticed_on_loading(copy: Path):
    edit(copy / LAYOUT.golden, lambda golden: golden["logits"].__setitem__(0, [9.0, 9.0, 9.0]))
    rewrite_manifest(copy)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(copy).load_pipeline("cpu")


# Whatever else is changed


@dataclass(frozen=True)
class Change:
    """A change of a file: of its bytes, or of a value if it is JSON.

    :param place: where, as a share of what could be changed.
    """

    file: str
    place: float
    how: str
    value: object

    def of(self, data: bytes) -> bytes:
        return self._of_json(data) if self.how.startswith("value") else self._of_bytes(data)

    def _of_bytes(self, data: bytes) -> bytes:
        place, piece = int(self.place * len(data)), str(self.value).encode("utf-8", "surrogatepass")
        after = {"flip": 1, "insert": 0, "overwrite": len(piece), "delete": 40}.get(self.how)
        if self.how in ("flip", "delete"):
            piece = bytes(255 - byte for byte in data[place : place + 1]) * (self.how == "flip")
        return data[:place] + piece + (b"" if after is None else data[place + after :])

    def _of_json(self, data: bytes) -> bytes:
        holder: Any = [json.loads(data)]
        places = list(_places(holder))
        container, key = places[min(int(self.place * len(places)), len(places) - 1)]
        if self.how == "value less" and len(places) > 1 and isinstance(container, dict):
            del container[key]
        elif self.how == "value again" and isinstance(container, list):
            container[key:key] = [container[key]] * 50
        else:
            container[key] = self.value
        return json.dumps(holder[0] if holder else None).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in list(keys)[:40]:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


WEIGHTS = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", LAYOUT.head)
FILES = (
    *(LAYOUT.description, LAYOUT.labels, LAYOUT.golden, LAYOUT.report, LAYOUT.card),
    *(Calibration.FILE, ConformalSets.FILE, DriftReference.FILE, LinearModel.FILE),
    *(NeighbourIndex.FILE, LAYOUT.tokenizer, *WEIGHTS),
)
VALUES = (
    *(None, True, 0, -1, 1.5, 2**31, 10**12, 10**30, 1e300, "", "x" * 300, "(a+)+b", "\ud800"),
    *([], {}, [[]], ["x"], {"a": 1}, [1] * 99, "NaN", "\0", "999999999999", "]", '"'),
)


@st.composite
def changes(draw: st.DrawFn, files: Sequence[str]) -> Change:
    file = draw(st.sampled_from(files))
    hows = ["flip", "insert", "overwrite", "delete", "cut"]
    if file.endswith("json"):
        hows += ["value", "value", "value less", "value again"]
    place = draw(st.floats(0, 1, exclude_max=True))
    # Headers stand first, and decide most.
    place = place**4 if file.endswith("safetensors") else place
    return Change(file, place, draw(st.sampled_from(hows)), draw(st.sampled_from(VALUES)))


def answers_or_names(bundle: Path, change: Change) -> None:
    """The changed bundle answers, or is refused by an error of ours that names the file."""
    original = (bundle / change.file).read_bytes()
    (bundle / change.file).write_bytes(change.of(original))
    rewrite_manifest(bundle)
    try:
        problem = answer(bundle)
    finally:
        (bundle / change.file).write_bytes(original)
    # What differs in an answer, or in numbers of labels, may have come from several files.
    shared = (
        r"does not answer|cannot compute|of the tree|has \d+ labels|lists no|lists .* no file|base"
    )
    assert not problem or Path(change.file).name in problem or re.search(shared, problem)


def answer(bundle: Path) -> str:
    """Classify; return the message if the bundle is refused."""
    try:
        opened = read_bundle(bundle)
        check_report(opened)
        (found,) = Classifier(opened, "cpu").classify(["A plough, 12 circuits: é 字 " * 9])
    except PatclassError as problem:
        return str(problem)
    assert 0 <= found.path[0].confidence <= 1
    return ""


@pytest.fixture(scope="module")
def changing(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is changed and restored again and again; torch is loaded by then."""
    read_bundle(bundle).load_pipeline("cpu")
    return Path(shutil.copytree(bundle, tmp_path_factory.mktemp("changing") / "model"))


@settings(max_examples=full(12, 1500))
@given(change=changes(FILES))
def test_a_bundle_with_any_change_answers_or_is_refused_by_name(changing: Path, change: Change):
    before = getrusage(RUSAGE_SELF).ru_maxrss
    answers_or_names(changing, change)
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@settings(max_examples=full(30, 3000))
@given(change=changes([LAYOUT.tokenizer]))
def test_a_tokenizer_with_any_change_encodes_or_is_refused(bundle: Path, change: Change):
    data = change.of((bundle / LAYOUT.tokenizer).read_bytes())
    with suppress(ModelError):
        tokenizer = TextTokenizer.parse(data, 64)
        (found,) = tokenizer.encode(["A plough, 12 circuits: é 字 " * 99], "head")
        assert len(found.ids) <= 64


@pytest.mark.full
def test_a_graph_with_any_change_answers_or_is_refused(exported_flat: Path, tmp_path: Path):
    """In a process of its own: the library reads XML in C++."""
    copied = shutil.copytree(exported_flat, tmp_path / "model")
    script = """
import random, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from importlib import import_module
tests = import_module("test_bundle")
generator = random.Random(0)
hows = ["flip", "insert", "overwrite", "delete", "cut"]
for _ in range(200):
    file = generator.choice(["engine/model.xml", "engine/model.bin"])
    value = generator.choice(tests.VALUES[:11])
    change = tests.Change(file, generator.random(), generator.choice(hows), str(value))
    tests.answers_or_names(Path(sys.argv[1]), change)
"""
    run_script(script, copied, Path(__file__).parent, Path(__file__).parents[1])
