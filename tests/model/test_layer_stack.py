import pytest
import torch
from torch import nn
from transformers import AlbertConfig, AutoModel, BertConfig

from patclass.core.errors import ModelError
from patclass.model.layer_stack import layers_of, replaced_forwards


def test_the_layers_are_in_the_order_in_which_they_are_computed():
    backbone = AutoModel.from_config(BertConfig(hidden_size=12, num_hidden_layers=5))
    assert layers_of(backbone) == [*backbone.encoder.layer]


def test_a_base_whose_layers_share_weights_is_refused():
    backbone = AutoModel.from_config(AlbertConfig(hidden_size=64, num_hidden_layers=5))
    with pytest.raises(ModelError, match="'albert' has no single stack of layers") as caught:
        layers_of(backbone)
    assert caught.value.settings == ("lora_layers",)


def test_a_function_stands_in_for_a_layer_for_a_while():
    layer, tensor = nn.Linear(2, 2), torch.ones(1, 2)
    expected = layer(tensor)
    with replaced_forwards({layer: lambda x: x + 1}):
        assert layer(tensor).equal(tensor + 1)
        with replaced_forwards({layer: lambda x: x + 2}):
            assert layer(tensor).equal(tensor + 2)
        assert layer(tensor).equal(tensor + 1)
    assert layer(tensor).equal(expected)
    with pytest.raises(ValueError, match="stop"), replaced_forwards({layer: nn.Identity()}):
        raise ValueError("stop")
    assert "forward" not in vars(layer)
