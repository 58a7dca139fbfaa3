import json
import re
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from patclass.core.errors import ModelError
from patclass.model.adapter import (
    CONFIG,
    WEIGHTS,
    adapter_weights,
    load_adapter,
    merge_adapter,
    save_adapter,
)
from patclass.model.base import PRESETS
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
    config = json.loads((tmp_path / "a" / CONFIG).read_text())
    preset = PRESETS["minilm"]
    assert config["base_model_name_or_path"] == preset.repo
    assert config["revision"] == preset.revision


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_plain_peft_finds_the_base_and_gives_the_same_states(saved: Path, tiny_bert: Path):
    config = PeftConfig.from_pretrained(saved)
    base = AutoModel.from_pretrained(config.base_model_name_or_path)
    plain = PeftModel.from_pretrained(base, saved).eval()
    ours = load_adapter(AutoModel.from_pretrained(tiny_bert), saved).eval()
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        states = plain(input_ids=ids).last_hidden_state
        assert torch.equal(states, ours(input_ids=ids).last_hidden_state)
        bare = AutoModel.from_pretrained(tiny_bert).eval()(input_ids=ids).last_hidden_state
        assert not torch.allclose(states, bare)


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


def adapted_layers(model: PeftModel) -> set[str]:
    return {
        part
        for name, parameter in model.named_parameters()
        if "lora_B" in name
        for part in re.findall(r"layers?\.(\d+)\.", name)
    }


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("targets", ["auto", "all-linear", "query,value", "q_proj,v_proj"])
def test_the_upper_layers_alone_are_adapted(tiny_base: Path, targets: str, tmp_path: Path):
    encoder = "bert" in tiny_base.name
    if (targets == "query,value") > encoder or (targets == "q_proj,v_proj") > (not encoder):
        return
    model = tiny_classifier(tiny_base, targets=targets, lora_layers=1)
    one_step(model, tiny_batch(tiny_base))
    assert adapted_layers(model.backbone) == {"1"}
    everywhere = tiny_classifier(tiny_base, targets=targets)
    assert len(everywhere.trainable()) - 2 == 2 * (len(model.trainable()) - 2)
    save_adapter(model.backbone, tmp_path / "adapter")
    loaded = load_adapter(load_backbone(tiny_parts(tiny_base)), tmp_path / "adapter")
    assert adapted_layers(loaded) == {"1"}
    plain = PeftModel.from_pretrained(load_backbone(tiny_parts(tiny_base)), tmp_path / "adapter")
    for name, tensor in adapter_weights(model.backbone).items():
        assert torch.equal(adapter_weights(plain)[name], tensor)


def test_more_layers_than_the_base_has_are_refused(tiny_bert: Path):
    with pytest.raises(ModelError, match=r"lora_layers 3: base '.*' has 2 layers") as caught:
        tiny_classifier(tiny_bert, lora_layers=3)
    assert caught.value.settings == ("lora_layers",)


def test_unknown_targets_are_told_with_upper_layers_too(tiny_bert: Path):
    with pytest.raises(ModelError, match="Its linear layers are: dense, key, query, value"):
        tiny_classifier(tiny_bert, lora_layers=1, targets="q_proj")
