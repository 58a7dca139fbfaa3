"""The traits of a base that follow from its config.json. Loads no weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from patclass.core.errors import ModelError


class Pooling(StrEnum):
    """How the hidden states of the tokens become one embedding."""

    MEAN = "mean"
    LAST = "last"


# What the width of a token's state is called, over the architectures.
HIDDEN_SIZES = ("hidden_size", "dim", "n_embd", "d_model")


@dataclass(frozen=True)
class Architecture:
    """The traits of a base that training and serving depend on."""

    model_type: str
    pooling: Pooling
    learning_rate: float
    hidden_size: int
    stored: torch.dtype
    max_positions: int | None


def architecture_of(config: Mapping[str, Any], name: str) -> Architecture:
    """Read the traits from a ``config.json``.

    :raises ModelError: if the kind is unsupported or the base is quantised: adapters are
        merged in float, and merging into a quantised base flips answers.
    """
    model_type = str(config.get("model_type", ""))
    if "quantization_config" in config:
        raise ModelError(
            f"base '{name}' is quantised; adapters are trained and merged in float. "
            "Use the float weights of the same model."
        )
    # Many encoders can also be loaded as causal models, so the masked table is asked first.
    encoder = model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if config.get("is_encoder_decoder") or not (
        encoder or model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    ):
        raise ModelError(
            f"base '{name}' is of the kind '{model_type}'; an encoder (BERT, DeBERTa, "
            "ModernBERT …) or a decoder (Llama, Qwen, Gemma …) is needed."
        )
    hidden = next((config[key] for key in HIDDEN_SIZES if key in config), None)
    if hidden is None:
        raise ModelError(f"base '{name}' names no hidden size in its config.json.")
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    positions = config.get("max_position_embeddings")
    return Architecture(
        model_type,
        Pooling.MEAN if encoder else Pooling.LAST,
        1e-3 if encoder else 2e-4,
        int(hidden),
        getattr(torch, stored, torch.float32),
        int(positions) - _reserved_positions(model_type) if positions else None,
    )


def _reserved_positions(model_type: str) -> int:
    """RoBERTa and its kin count positions from the padding token's id plus one."""
    return 2 if "roberta" in model_type or model_type in ("camembert", "mpnet") else 0
