"""Small models of the kinds of base that the libraries know, with random weights."""

import torch
from transformers import AutoConfig, AutoModel

from patclass.core.settings import LoraSettings
from patclass.model.adapter import add_adapter
from patclass.model.architecture import Pooling
from patclass.model.network import Batch, PatentClassifier

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


def classifier(
    kind: str, pooling: Pooling = Pooling.MEAN, checkpointing: bool = False, **lora: object
) -> PatentClassifier:
    """Of random weights, whose adapter answers something."""
    torch.manual_seed(0)
    backbone = AutoModel.from_config(AutoConfig.for_model(kind, **{**SMALL, **KINDS[kind]})).train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "drop_prob", None), float):
            module.drop_prob = 0.0
    if checkpointing:
        backbone.activation_checkpointing_enable({"use_reentrant": False})
    settings = LoraSettings(dropout=0.0, targets="all-linear", **lora)
    model = PatentClassifier(add_adapter(backbone, settings, kind), pooling, 32, 3)
    with torch.no_grad():
        for name, parameter in model.trainable().items():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model.train()


def batch() -> Batch:
    """Three texts, of which one has padding."""
    ids = torch.randint(3, 99, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return Batch(ids.masked_fill(mask == 0, 0), mask)
