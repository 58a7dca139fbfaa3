import json
from pathlib import Path

import pytest
import torch

from patclass.core.errors import ModelError
from patclass.model.architecture import Pooling, architecture_of


def test_an_encoder_is_pooled_by_mean_and_a_decoder_by_its_last_token(
    tiny_bert: Path, tiny_llama: Path
):
    kinds = [
        architecture_of(json.loads((folder / "config.json").read_text()), folder.name)
        for folder in (tiny_bert, tiny_llama)
    ]
    assert [kind.pooling for kind in kinds] == [Pooling.MEAN, Pooling.LAST]
    assert [kind.hidden_size for kind in kinds] == [32, 32]
    assert [kind.max_positions for kind in kinds] == [128, 256]


@pytest.mark.parametrize("model_type", ["bert", "deberta-v2", "modernbert", "roberta"])
def test_encoders_that_could_also_be_causal_are_encoders(model_type: str):
    config = {"model_type": model_type, "hidden_size": 8}
    assert architecture_of(config, "x").pooling is Pooling.MEAN


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma2", "mistral"])
def test_causal_models_are_decoders(model_type: str):
    config = {"model_type": model_type, "hidden_size": 8, "torch_dtype": "bfloat16"}
    traits = architecture_of(config, "x")
    assert (traits.pooling, traits.stored) == (Pooling.LAST, torch.bfloat16)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "t5", "hidden_size": 8, "is_encoder_decoder": True},
        {"model_type": "vit", "hidden_size": 8},
        {},
    ],
)
def test_other_architectures_are_refused_with_their_name(config: dict[str, object]):
    with pytest.raises(ModelError, match="base 'x' is of the kind"):
        architecture_of(config, "x")


def test_a_quantised_base_is_refused():
    config = {"model_type": "llama", "hidden_size": 8, "quantization_config": {"bits": 4}}
    with pytest.raises(ModelError, match="base 'x' is quantised"):
        architecture_of(config, "x")


@pytest.mark.parametrize(
    ("config", "hidden"),
    [
        ({"model_type": "distilbert", "dim": 768}, 768),
        ({"model_type": "gpt2", "n_embd": 640}, 640),
    ],
)
def test_the_hidden_size_is_found_under_alternative_names(config: dict[str, object], hidden: int):
    assert architecture_of(config, "x").hidden_size == hidden


def test_a_config_without_a_hidden_size_is_refused():
    with pytest.raises(ModelError, match="names no hidden size"):
        architecture_of({"model_type": "bert"}, "x")


def test_roberta_has_two_usable_positions_fewer_than_configured():
    config = {"hidden_size": 8, "max_position_embeddings": 514}
    assert architecture_of(config | {"model_type": "xlm-roberta"}, "x").max_positions == 512
    assert architecture_of(config | {"model_type": "bert"}, "x").max_positions == 514
