"""Starting from the states of the lower layers equals computing them, for many kinds of base."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from patclass.core.settings import LoraSettings
from patclass.model.adapter import add_adapter
from patclass.model.network import Batch, PatentClassifier, Pooling
from patclass.model.prefix import Prefix

SMALL = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1}
MODERN = {**SPECIAL, "sep_token_id": 2, "local_attention": 8}
KINDS = {
    "bert": {},
    "roberta": {"pad_token_id": 0},
    "mpnet": {"pad_token_id": 0},
    "modernbert": MODERN,
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "llama": GROUPED,
    "qwen3": GROUPED,
    "gemma3_text": {**GROUPED, "sliding_window": 4},
}


def classifier(kind: str, **lora: object) -> PatentClassifier:
    torch.manual_seed(0)
    backbone = AutoModel.from_config(AutoConfig.for_model(kind, **{**SMALL, **KINDS[kind]})).train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "drop_prob", None), float):
            module.drop_prob = 0.0
    settings = LoraSettings(dropout=0.0, targets="all-linear", **lora)
    model = PatentClassifier(add_adapter(backbone, settings, kind), Pooling.MEAN, 32, 3)
    with torch.no_grad():
        for name, parameter in model.trainable().items():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model.train()


def batch() -> Batch:
    ids = torch.randint(3, 99, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return Batch(ids.masked_fill(mask == 0, 0), mask)


def gradients(model: PatentClassifier, logits: torch.Tensor) -> torch.Tensor:
    logits.square().sum().backward()
    found = torch.cat([p.grad.flatten() for p in model.trainable().values()])
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_those_of_the_whole_model(kind: str):
    model = classifier(kind, lora_layers=2)
    prefix = Prefix.of(model)
    assert prefix is not None
    assert (len(prefix), prefix.hidden, prefix.dtype) == (2, 32, torch.float32)
    expected = model(batch())
    expected_gradients = gradients(model, expected)
    states = prefix.compute(batch())
    assert states.shape == (3, 12, 32)
    with prefix.given(states):
        found = model(batch())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(model, found), expected_gradients)
    with prefix.given(torch.ones_like(states)):
        assert not torch.allclose(model(batch()), expected)
    torch.testing.assert_close(model(batch()), expected)


def test_the_states_of_padding_do_not_matter():
    model = classifier("llama", lora_layers=1)
    prefix = Prefix.of(model)
    states = prefix.compute(batch())
    with prefix.given(states):
        expected = model(batch())
    states[1, 7:] = 0
    with prefix.given(states):
        torch.testing.assert_close(model(batch()), expected)


@pytest.mark.parametrize("lora", [{}, {"lora_layers": 4}])
def test_without_frozen_layers_there_is_no_prefix(lora: dict[str, int]):
    assert Prefix.of(classifier("bert", **lora)) is None
