import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from patclass.core.errors import ModelError
from patclass.model.adapter import (
    CONFIG,
    WEIGHTS,
    adapter_weights,
    load_adapter,
    merge_adapter,
    save_adapter,
)
from patclass.model.network import load_backbone
from tiny_parts import one_step, tiny_batch, tiny_classifier, tiny_parts


@pytest.fixture
def saved(tiny_bert: Path, tmp_path: Path) -> Path:
    """A trained adapter on disk."""
    model = tiny_classifier(tiny_bert)
    one_step(model, tiny_batch(tiny_bert))
    save_adapter(model.backbone, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_loaded_adapter_is_the_saved_one_not_a_fresh_zero_one(saved: Path, tiny_bert: Path):
    loaded = adapter_weights(load_adapter(load_backbone(tiny_parts(tiny_bert)), saved))
    expected = load_file(saved / WEIGHTS)
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(loaded[name], tensor)
        assert "lora_B" not in name or tensor.any()


def test_the_folder_holds_no_pickle_and_no_local_path(saved: Path, tiny_bert: Path):
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, CONFIG}
    config = json.loads((saved / CONFIG).read_text())
    assert config["peft_type"] == "LORA"
    assert config["base_model_name_or_path"] == str(tiny_bert.resolve())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (8, 16, 0.1)


def test_the_config_names_the_base(tmp_path: Path):
    from patclass.core.settings import LoraSettings
    from patclass.model.base import resolve_base
    from patclass.model.device import Compute
    from patclass.model.network import Parts, new_classifier

    parts = Parts(resolve_base("minilm"), Compute("cpu", "float32", False, ""))
    save_adapter(new_classifier(parts, LoraSettings(), 2).backbone, tmp_path / "a")
    assert json.loads((tmp_path / "a" / CONFIG).read_text())["base_model_name_or_path"] == "minilm"


def test_a_missing_tensor_is_named(saved: Path, tiny_bert: Path):
    weights = load_file(saved / WEIGHTS)
    name = sorted(weights)[0]
    save_file({k: v for k, v in weights.items() if k != name}, saved / WEIGHTS)
    with pytest.raises(ModelError, match="stands on one side only"):
        load_adapter(load_backbone(tiny_parts(tiny_bert)), saved)


def test_a_tensor_of_another_shape_is_refused(saved: Path, tiny_bert: Path):
    weights = load_file(saved / WEIGHTS)
    name = sorted(weights)[0]
    save_file(weights | {name: torch.zeros(3, 3)}, saved / WEIGHTS)
    with pytest.raises(ModelError, match="does not fit its base"):
        load_adapter(load_backbone(tiny_parts(tiny_bert)), saved)


@torch.inference_mode()
def test_merging_in_float32_preserves_the_logits(saved: Path, tiny_bert: Path):
    batch = tiny_batch(tiny_bert)
    model = load_adapter(load_backbone(tiny_parts(tiny_bert)), saved).eval()
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    before = model(**inputs).last_hidden_state
    after = merge_adapter(model)(**inputs).last_hidden_state
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


def test_merging_into_quantised_weights_is_refused(saved: Path, tiny_bert: Path):
    """Merged into eight or four bits, the adapter would be lost to rounding."""
    model = load_adapter(load_backbone(tiny_parts(tiny_bert)), saved)
    layer = next(m for m in model.modules() if isinstance(m, torch.nn.Linear))
    whole = (layer.weight.detach() * 100).to(torch.int8)
    layer.weight = torch.nn.Parameter(whole, requires_grad=False)
    with pytest.raises(ModelError, match="merge in float, then quantise"):
        merge_adapter(model)


def test_unknown_targets_are_reported_with_the_available_linear_layers(tiny_bert: Path):
    with pytest.raises(ModelError, match=r"nosuch.*query.*name some"):
        tiny_classifier(tiny_bert, targets="nosuch")


@pytest.mark.parametrize(
    "change", [{"peft_type": "IA3"}, {"r": None}, {"r": 3}], ids=["kind", "no rank", "rank"]
)
def test_an_inconsistent_config_is_refused(saved: Path, tiny_bert: Path, change):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match="adapter"):
        load_adapter(load_backbone(tiny_parts(tiny_bert)), saved)


def test_settings_that_could_change_the_base_are_ignored(saved: Path, tiny_bert: Path):
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps(config | {"init_lora_weights": "pissa"}))
    untouched = load_backbone(tiny_parts(tiny_bert)).state_dict()
    loaded = load_adapter(load_backbone(tiny_parts(tiny_bert)), saved).get_base_model().state_dict()
    for name, tensor in loaded.items():
        if "lora_" not in name:
            assert torch.equal(tensor, untouched[name.replace(".base_layer", "")])
