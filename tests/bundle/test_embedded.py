"""A bundle with an embedded packed base needs no other file, and detects another base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import patent_rows, write_splits
from helpers import rewrite_manifest, tiny_run
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.core.errors import BundleError
from patclass.core.files import file_sha256
from patclass.inference import load
from patclass.model.adapter import WEIGHTS
from patclass.model.packing import GROUP, PACKED, is_packed, pack, unpack

PATENTS = patent_rows(12, seed=8)


def packed_copy(base: Path, folder: Path) -> Path:
    """The base with eight-bit matrices."""
    weights = load_file(base / PACKED)
    weights = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    bits = {name: 8 for name, t in weights.items() if t.ndim == 2 and t.shape[1] % GROUP == 0}
    folder.mkdir()
    pack(weights, bits, folder / PACKED)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(base / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def original(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose base has been deleted everywhere else."""
    home = tmp_path_factory.mktemp("embedded")
    write_splits(home)
    base = packed_copy(tiny_bert, home / "packed")
    more = {"epochs": 8, "learning_rate": 1e-2, "embed_base": True}
    tiny_run(base, home, home / "model", **more)
    shutil.rmtree(base)
    return home / "model"


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def test_it_predicts_without_the_original_base(original: Path):
    assert load(original, "cpu").predict(PATENTS) == ["A", "C", "H"] * 4


def test_it_verifies_without_the_original_base(bundle: Path):
    assert read_bundle(bundle).verify("cpu") < 1e-4


def test_it_reports_its_embedded_base(original: Path):
    base = read_bundle(original).description.base
    assert base.embedded
    assert base.sha256 == file_sha256(original / LAYOUT.base / PACKED)
    assert is_packed(original / LAYOUT.base / PACKED)
    assert "(packed, inside this bundle)" in (original / LAYOUT.card).read_text()
    assert sorted(path.name for path in (original / LAYOUT.base).iterdir()) == [
        *("config.json", PACKED)
    ]


def test_it_is_small_and_reproduces_its_evaluation(original: Path):
    adapter = load_file(original / LAYOUT.adapter / WEIGHTS)
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float16}
    assert not {LAYOUT.report_page, LAYOUT.curve} & {path.name for path in original.iterdir()}
    assert (original / LAYOUT.report).is_file()
    assert read_bundle(original).verify("cpu") < 1e-5  # measured after rounding, not before


def test_an_altered_base_is_refused(bundle: Path):
    path = bundle / LAYOUT.base / PACKED
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"base/model\.safetensors was altered"):
        read_bundle(bundle)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="was made with another base"):
        load(bundle, "cpu")


def test_a_base_that_is_not_packed_is_refused(bundle: Path):
    path = bundle / LAYOUT.base / PACKED
    save_file({name: t.contiguous() for name, t in unpack(path).items()}, path)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="was made with another base"):
        load(bundle, "cpu")


@pytest.mark.parametrize("file", ["config.json", PACKED])
def test_a_missing_part_of_the_base_is_refused(bundle: Path, file: str):
    (bundle / LAYOUT.base / file).unlink()
    with pytest.raises(BundleError, match=f"{LAYOUT.base}/{file} is missing"):
        read_bundle(bundle)
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=file.replace(".", r"\.")):
        load(bundle, "cpu")


def test_another_configuration_of_the_base_is_refused(bundle: Path):
    path = bundle / LAYOUT.base / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"hidden_act": "relu"}))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match="does not answer as it did"):
        read_bundle(bundle).verify("cpu")


def test_packing_changes_little(tiny_bert: Path, original: Path):
    before = load_file(tiny_bert / PACKED)
    after = unpack(original / LAYOUT.base / PACKED)
    assert all(name in before for name in after)
    for name, tensor in after.items():
        assert tensor.dtype == torch.float32
        assert (tensor - before[name]).abs().max() < 0.02 * before[name].abs().max() + 1e-6
