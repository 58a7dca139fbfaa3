"""Make the rivals' model folders: base and tokenizer, LoRA in ``adapter/``, both in ``merged/``.

    python scripts/bench_serve/models.py minilm|llama FOLDER

The speed of a model depends on its shape and not on what it learnt, so heads and adapters are
random, and the Llama is random altogether.
"""

import argparse
from importlib import resources
from pathlib import Path

import torch
from folders import ADAPTER, MERGED
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from patclass.model.packing import PACKED, unpack

LABELS = 441  # outputs of the shipped model
SHIPPED = Path(str(resources.files("patclass"))) / "shipped"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("shape", choices=("minilm", "llama"))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    make = {"minilm": make_minilm, "llama": make_llama}[args.shape]
    make(args.folder)


def make_minilm(folder: Path, labels: int = LABELS) -> None:
    """The shipped base under a classification head, float32, 140 MB."""
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(SHIPPED / "base", num_labels=labels)
    model = BertForSequenceClassification(config)
    loaded = model.bert.load_state_dict(unpack(SHIPPED / "base" / PACKED), strict=False)
    absent = [name for name in loaded.missing_keys if not name.startswith("pooler.")]
    if absent or loaded.unexpected_keys:
        raise SystemExit(f"the shipped base does not fit: {absent}, {loaded.unexpected_keys}")
    _save(model, folder)


def make_llama(folder: Path, labels: int = LABELS) -> None:
    """Random weights in the shape of Llama-3.2-1B, bfloat16, 5 GB on disk."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131_072,
        tie_word_embeddings=True,
        pad_token_id=0,  # of the shipped tokenizer, which comes along
        num_labels=labels,
        dtype="bfloat16",
    )
    _save(LlamaForSequenceClassification._from_config(config, dtype=torch.bfloat16), folder)


def _save(model: PreTrainedModel, folder: Path) -> None:
    # The shipped vocabulary is a part of any larger one; only the number of tokens counts.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(SHIPPED / "tokenizer.json"),
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=512,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Left to its default the second half of an adapter is zero; a trained one is not.
    lora = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, init_lora_weights=False)
    adapted = get_peft_model(model, lora)
    adapted.save_pretrained(folder / ADAPTER, save_embedding_layers=False)
    adapted.merge_and_unload().save_pretrained(folder / MERGED)
    tokenizer.save_pretrained(folder / MERGED)


if __name__ == "__main__":
    main()
