"""The merged model: a plain base for transformers, with the same logits as before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from conftest import patent_rows
from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.core.errors import ModelError
from patclass.core.files import file_sha256
from patclass.engines.torch import TorchEngine
from patclass.export.run import load_merged, merged_base, save_merged
from patclass.inference import load
from patclass.model.architecture import architecture_of
from patclass.model.network import pool
from patclass.model.packing import PACKED

TEXTS = [f"{row['title']}. {row['abstract']}" for row in patent_rows(9, seed=8)]


@pytest.fixture
def saved(tuned_base: Any, tmp_path: Path) -> Path:
    save_merged(tuned_base.model, tmp_path)
    return tmp_path


def test_it_is_one_file_of_weights_with_its_configuration(saved: Path):
    names = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert names == {f"{LAYOUT.base}/config.json", f"{LAYOUT.base}/{PACKED}", LAYOUT.head}
    weights = load_file(saved / LAYOUT.base / PACKED)
    assert not [name for name in weights if "lora" in name]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_it_is_read_back_with_bit_identical_logits(tuned_base: Any, saved: Path):
    found = TorchEngine(load_merged(saved, 3), tuned_base.tokenizer).run(tuned_base.rows)
    np.testing.assert_array_equal(found.logits, tuned_base.logits())


def test_its_base_is_named_by_its_hash(saved: Path):
    base = merged_base(saved)
    assert base.sha256 == file_sha256(saved / LAYOUT.base / PACKED)
    assert base.folder == saved / LAYOUT.base


def test_a_head_for_other_labels_is_refused(saved: Path):
    with pytest.raises(ModelError, match=r"head\.safetensors has shapes"):
        load_merged(saved, 4)


@pytest.mark.parametrize("kind", ["bundle", "tree_bundle"])
def test_transformers_alone_reproduces_the_logits_of_an_exported_bundle(
    exports: Callable[..., Any], kind: str
):
    """The merged format is usable without patclass and without peft."""
    folder = exports(kind, "merged").folder
    bundle = read_bundle(folder)
    model = AutoModel.from_pretrained(folder / LAYOUT.base, local_files_only=True).eval()
    head = load_file(folder / LAYOUT.head)
    tokenizer = bundle.load_tokenizer()
    ids, mask = (torch.from_numpy(part) for part in tokenizer.pad(tokenizer.token_ids(TEXTS)))
    pooling = architecture_of(model.config.to_dict(), "base").pooling
    with torch.no_grad():
        embeddings = model(input_ids=ids, attention_mask=mask).last_hidden_state
        logits = pool(embeddings, mask, pooling) @ head["weight"].T + head["bias"]
    expected = bundle.load_pipeline("cpu").run(TEXTS).logits
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-4)


def test_its_adapter_is_merged(exports: Callable[..., Any], tiny_bert: Path):
    """Without merging the adapter, the base would be unchanged."""
    merged, base = (
        load_file(folder / PACKED)
        for folder in (exports("bundle", "merged").folder / LAYOUT.base, tiny_bert)
    )
    name = "encoder.layer.0.attention.self.query.weight"
    assert (merged[name] - base[name]).abs().max() > 1e-3
    same = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(merged[same], base[same], rtol=0, atol=0)


def test_the_original_base_is_no_longer_needed(
    exports: Callable[..., Any], bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail_to_resolve(*arguments: object) -> object:
        raise AssertionError("it looked for the original base")

    monkeypatch.setattr("patclass.bundle.weights.resolve_base", fail_to_resolve)
    patents = patent_rows(12, seed=8)
    assert load(exports("bundle", "merged").folder, "cpu").predict(patents) == ["A", "C", "H"] * 4
    with pytest.raises(AssertionError, match="looked for"):
        load(bundle, "cpu")
