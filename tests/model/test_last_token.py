"""Sparing the last layer what is not used equals computing all of it."""

import pytest
import torch

from base_kinds import batch, classifier
from patclass.model.architecture import Pooling
from patclass.model.fused import fused_adapter
from patclass.model.last_token import last_token_only
from patclass.model.layer_stack import layers_of
from patclass.model.prefix import Prefix
from tiny_parts import gradients

DECODERS = ("llama", "qwen3", "gemma3_text")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", DECODERS)
def test_logits_and_gradients_are_those_of_the_whole_layer(
    kind: str, fused: bool, checkpointing: bool
):
    model = classifier(kind, Pooling.LAST, checkpointing)
    expected = model(batch())
    expected_gradients = gradients(model, expected)
    with torch.no_grad(), last_token_only(model):
        torch.testing.assert_close(model(batch()), expected)
    outer = fused_adapter(model.backbone) if fused else torch.enable_grad()
    with outer, last_token_only(model):
        found = model(batch())
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(model, found), expected_gradients)
    torch.testing.assert_close(model(batch()), expected)


@pytest.mark.parametrize("kind", DECODERS)
def test_the_last_layer_computes_one_token_of_a_text(kind: str):
    model = classifier(kind, Pooling.LAST)
    seen: dict[str, torch.Size] = {}
    last = layers_of(model.base)[-1]
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj"):
        linear = last.get_submodule(name).base_layer
        linear.register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: inputs[0].shape[:2]})
        )
    with last_token_only(model):
        model(batch())
    assert seen.pop("self_attn.k_proj") == (3, 12)
    assert set(seen.values()) == {(3, 1)}


def test_padding_on_the_left_is_allowed():
    model = classifier("llama", Pooling.LAST)
    flipped = type(batch())(batch().input_ids.flip(1), batch().attention_mask.flip(1))
    expected = model(flipped)
    with last_token_only(model):
        torch.testing.assert_close(model(flipped), expected)


def test_it_goes_with_states_of_the_lower_layers():
    model = classifier("llama", Pooling.LAST, lora_layers=2)
    expected = model(batch())
    prefix = Prefix.of(model)
    assert prefix is not None
    with last_token_only(model), prefix.given(prefix.compute(batch())):
        torch.testing.assert_close(model(batch()), expected)


def test_with_mean_pooling_nothing_changes():
    model = classifier("bert")
    with last_token_only(model):
        assert not any("forward" in vars(module) for module in model.modules())
