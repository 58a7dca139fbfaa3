"""Starting from the states of the lower layers equals computing them, for many kinds of base."""

import pytest
import torch

from base_kinds import KINDS, batch, classifier
from patclass.model.prefix import Prefix
from tiny_parts import gradients


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
