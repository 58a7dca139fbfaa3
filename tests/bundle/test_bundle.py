"""A bundle tells the truth or is refused: every way of spoiling one, with its message."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import patent_rows, write_jsonl
from helpers import tiny_run
from patclass.bundle import read_bundle
from patclass.bundle.golden import GOLDEN_TEXTS, check_golden, make_golden
from patclass.bundle.layout import LAYOUT
from patclass.bundle.manifest import check_manifest, write_manifest
from patclass.errors import BundleError

EVERY_FILE = (
    *LAYOUT.required,
    LAYOUT.report,
    LAYOUT.confusion,
    LAYOUT.curve,
    LAYOUT.card,
)


@pytest.fixture(scope="module")
def original(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    data = write_jsonl(folder / "rows.jsonl", patent_rows(60))
    tiny_run(tiny_bert, data, folder / "model", epochs=1)
    return folder / "model"


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
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


def test_a_folder_without_manifest_is_no_bundle(bundle: Path):
    (bundle / LAYOUT.manifest).unlink()
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "other", "version": 1}', "7"])
def test_a_damaged_manifest_is_refused(bundle: Path, content: str):
    (bundle / LAYOUT.manifest).write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        read_bundle(bundle)


def test_a_newer_format_asks_for_a_newer_release(bundle: Path):
    spoil_json(bundle / LAYOUT.manifest, lambda manifest: manifest.update(version=2))
    with pytest.raises(BundleError, match=r"format 2.*Install a newer patclass"):
        read_bundle(bundle)


def test_a_manifest_may_not_point_outside(bundle: Path):
    (bundle.parent / "secret").write_text("x")
    spoil_json(bundle / LAYOUT.manifest, lambda m: m["files"].update({"../secret": "0" * 64}))
    with pytest.raises(BundleError, match=r"'\.\./secret' outside"):
        read_bundle(bundle)


@pytest.mark.parametrize("file", LAYOUT.required)
def test_a_manifest_that_leaves_a_needed_file_out_is_refused(bundle: Path, file: str):
    (bundle / file).unlink()
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=f"the manifest lists no {file}"):
        read_bundle(bundle)


# From here on, the manifest is written anew after the damage, so that hashes do not help.


def spoil_json(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def rewrite_manifest(bundle: Path) -> None:
    (bundle / LAYOUT.manifest).unlink(missing_ok=True)
    write_manifest(bundle)


def test_a_head_of_the_wrong_shape_is_refused(bundle: Path):
    save_file({"weight": torch.zeros(2, 32), "bias": torch.zeros(2)}, bundle / LAYOUT.head)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"head\.safetensors has shapes .*\(2, 32\)"):
        read_bundle(bundle).verify("cpu")


def test_a_head_that_is_no_tensor_file_is_refused(bundle: Path):
    (bundle / LAYOUT.head).write_bytes(b"\x80\x04pickle")
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"cannot read the head .*head\.safetensors"):
        read_bundle(bundle).verify("cpu")


def test_another_head_of_the_right_shape_is_unmasked_by_the_golden_logits(bundle: Path):
    head = load_file(bundle / LAYOUT.head)
    save_file({name: tensor.flip(0) for name, tensor in head.items()}, bundle / LAYOUT.head)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(bundle).verify("cpu")


def test_a_zeroed_adapter_is_unmasked_by_the_golden_logits(bundle: Path):
    """What serving a fresh adapter instead of the trained one amounts to."""
    path = bundle / LAYOUT.adapter / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(t) for name, t in load_file(path).items()}, path)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(bundle).verify("cpu")


def test_another_base_is_refused(bundle: Path):
    spoil_json(bundle / LAYOUT.description, lambda d: d["base"].update(sha256="0" * 64))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"was made with another base"):
        read_bundle(bundle).verify("cpu")


def test_a_base_that_is_gone_is_named_with_the_way_out(bundle: Path):
    spoil_json(bundle / LAYOUT.description, lambda d: d["base"].update(name="/gone/tiny"))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"needs base '/gone/tiny'.*PATCLASS_BASE_PATH"):
        read_bundle(bundle).verify("cpu")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda labels: labels.pop(), id="one fewer"),
        pytest.param(lambda labels: labels.append({"code": "Z", "name": "Z"}), id="one more"),
        pytest.param(lambda labels: labels.reverse(), id="another order"),
        pytest.param(lambda labels: labels[0].update(code="B"), id="another code"),
    ],
)
def test_labels_that_disagree_are_refused(bundle: Path, change):
    spoil_json(bundle / LAYOUT.labels, change)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json has \d labels"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "content", ["{}", "7", '[{"code": "A"}]', '[{"code": "A", "name": "x", "extra": 1}]', "["]
)
def test_damaged_labels_are_refused(bundle: Path, content: str):
    (bundle / LAYOUT.labels).write_text(content)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"labels\.json"):
        read_bundle(bundle)


def test_a_description_with_an_unknown_key_is_refused_by_its_name(bundle: Path):
    spoil_json(bundle / LAYOUT.description, lambda d: d["text"].update(max_token=3))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"bundle\.json is damaged at 'text\.max_token'"):
        read_bundle(bundle)


def test_the_manifest_lists_every_file_and_nothing_in_the_bundle_is_a_pickle(original: Path):
    manifest = check_manifest(original)
    files = {p.relative_to(original).as_posix() for p in original.rglob("*") if p.is_file()}
    assert set(manifest.files) == files - {LAYOUT.manifest}
    assert {Path(name).suffix for name in files} <= {
        ".json",
        ".jsonl",
        ".safetensors",
        ".md",
        ".png",
    }


def test_the_card_carries_the_figures_of_the_run(original: Path):
    card = (original / LAYOUT.card).read_text()
    report = json.loads((original / LAYOUT.report).read_text())
    description = read_bundle(original).description
    assert f"{report['model']['accuracy']:.1%}" in card
    assert f"{report['tfidf']['accuracy']:.1%}" in card
    assert description.data.fingerprint in card
    assert "- `A` Human Necessities" in card


def test_the_bundle_holds_none_of_the_texts_it_learnt_from(original: Path):
    everything = b"".join(p.read_bytes() for p in original.rglob("*") if p.is_file())
    assert not [row for row in patent_rows(60) if row["abstract"].encode() in everything]


def test_golden_texts_span_short_long_and_foreign_scripts():
    assert min(len(text.split()) for text in GOLDEN_TEXTS) == 1
    assert max(len(text) for text in GOLDEN_TEXTS) > 3000
    assert any(not text.isascii() for text in GOLDEN_TEXTS)


@pytest.mark.parametrize("value", [2.0, float("nan"), float("inf")])
def test_golden_logits_that_differ_are_refused_even_if_not_a_number(value: float):
    logits = np.ones((len(GOLDEN_TEXTS), 2), np.float32)
    golden = make_golden(logits, ["A", "B"], "float32")
    assert check_golden(golden, logits + 1e-5, "here") == pytest.approx(1e-5, rel=0.1)
    logits[3, 1] = value
    with pytest.raises(BundleError, match="here does not answer as it did"):
        check_golden(golden, logits, "here")


def test_golden_logits_of_another_shape_are_refused():
    golden = make_golden(np.ones((len(GOLDEN_TEXTS), 2), np.float32), ["A", "B"], "float32")
    with pytest.raises(BundleError, match="shape"):
        check_golden(golden, np.ones((len(GOLDEN_TEXTS), 3), np.float32), "here")
