from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file, save_file

from patclass.core.errors import ModelError
from patclass.model.adapter import has_moved, save_adapter
from patclass.model.architecture import Pooling
from patclass.model.network import (
    HEAD,
    Batch,
    load_backbone,
    load_classifier,
    pool,
)
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import TEXTS, gradients, one_step, tiny_batch, tiny_classifier, tiny_parts


@torch.inference_mode()
def test_a_text_has_the_same_logits_alone_and_in_a_padded_batch(tiny_base: Path):
    model = tiny_classifier(tiny_base).eval()
    tokenizer = TextTokenizer.load(tiny_base, 64)
    together = model(tiny_batch(tiny_base))
    for line, text in enumerate(TEXTS):
        alone = model(Batch.of(tokenizer.pad(tokenizer.token_ids([text]))))
        torch.testing.assert_close(alone[0], together[line], atol=1e-5, rtol=1e-4)


def test_the_gradients_of_a_padded_batch_are_those_of_its_texts_one_at_a_time(tiny_base: Path):
    model = tiny_classifier(tiny_base, targets="all-linear", dropout=0.0).train()
    one_step(model, tiny_batch(tiny_base))
    model.zero_grad()
    tokenizer = TextTokenizer.load(tiny_base, 64)
    alone = sum(
        gradients(model, model(Batch.of(tokenizer.pad(tokenizer.token_ids([text])))))
        for text in TEXTS
    )
    together = gradients(model, model(tiny_batch(tiny_base)))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def to_the_left(batch: Batch) -> Batch:
    """The same rows with their padding on the other side."""
    shifts = (batch.attention_mask == 0).sum(1).tolist()
    return Batch(
        *(
            torch.stack([row.roll(shift) for row, shift in zip(tensor, shifts, strict=True)])
            for tensor in (batch.input_ids, batch.attention_mask)
        )
    )


@torch.inference_mode()
def test_a_decoder_has_the_same_logits_whichever_side_is_padded(tiny_llama: Path):
    model = tiny_classifier(tiny_llama).eval()
    right = tiny_batch(tiny_llama)
    left = to_the_left(right)
    assert left.attention_mask[1, 0] == 0
    assert right.attention_mask[1, -1] == 0
    torch.testing.assert_close(model(left), model(right), atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_text_that_ends_with_the_padding_token_is_pooled_there(tiny_llama: Path):
    """A padding token equal to the end token must not hide a real one: only the mask counts."""
    model = tiny_classifier(tiny_llama).eval()
    end = 1
    ids = torch.tensor([[0, 40, 41, end, end], [0, 40, 41, 42, 43]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    padded = model(Batch(ids, mask))[0]
    alone = model(Batch(ids[:1, :4], mask[:1, :4]))[0]
    one_early = model(Batch(ids[:1, :3], mask[:1, :3]))[0]
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(padded, one_early, atol=1e-3)


def test_a_batch_runs_without_a_padding_token_and_the_embedding_is_not_resized(tiny_llama: Path):
    model = tiny_classifier(tiny_llama)
    base = model.backbone.get_base_model()
    assert base.config.pad_token_id is None
    assert model(tiny_batch(tiny_llama)).shape == (3, 3)
    assert base.get_input_embeddings().num_embeddings == base.config.vocab_size


def test_head_and_adapter_stay_float32_on_a_bfloat16_base(tiny_base: Path):
    model = tiny_classifier(tiny_base, precision="bfloat16")
    assert {p.dtype for p in model.trainable().values()} == {torch.float32}
    assert next(model.backbone.get_base_model().parameters()).dtype == torch.bfloat16
    assert model(tiny_batch(tiny_base)).dtype == torch.float32


def test_a_small_step_changes_the_whole_head(tiny_base: Path):
    """In bfloat16 most weights would be rounded back to their old values."""
    model = tiny_classifier(tiny_base, precision="bfloat16")
    before = model.head.weight.detach().clone()
    one_step(model, tiny_batch(tiny_base), rate=2e-5)
    assert (model.head.weight != before).float().mean() > 0.99
    rounded = before.bfloat16()
    assert ((rounded + 2e-5).bfloat16() != rounded).float().mean() < 0.5


def test_all_linear_reaches_the_base_but_never_the_head(tiny_base: Path):
    model = tiny_classifier(tiny_base, targets="all-linear")
    assert type(model.head) is torch.nn.Linear
    assert not [name for name in model.trainable() if "head" in name and "lora" in name]
    assert {"head.weight", "head.bias"} <= set(model.trainable())


def test_a_head_among_the_targets_is_refused(tiny_base: Path):
    with pytest.raises(ModelError, match="score"):
        tiny_classifier(tiny_base, targets="score")


@pytest.mark.parametrize("targets", ["auto", "all-linear"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_adapter_weight_is_trained(tiny_base: Path, targets: str, checkpointing: bool):
    """Re-entrant gradient checkpointing would leave every lora_B at zero."""
    model = tiny_classifier(tiny_base, targets=targets, checkpointing=checkpointing).train()
    assert not has_moved(model.backbone)
    one_step(model, tiny_batch(tiny_base))
    still = [n for n, p in model.trainable().items() if "lora_B" in n and not p.any()]
    assert still == []
    assert has_moved(model.backbone)


def test_only_adapter_and_head_are_trained(tiny_base: Path):
    trainable = tiny_classifier(tiny_base).trainable()
    assert trainable
    assert all("lora_" in name or name.startswith("head.") for name in trainable)


def test_the_base_has_no_unused_pooler_and_no_dropout_of_its_own(tiny_bert: Path):
    model = tiny_classifier(tiny_bert)
    assert model.backbone.get_base_model().pooler is None
    rates = {
        module.p: "lora" in name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout)
    }
    assert rates == {0.0: False, 0.1: True}


def test_saved_weights_reproduce_the_trained_model(tiny_base: Path, tmp_path: Path):
    model = tiny_classifier(tiny_base)
    one_step(model, tiny_batch(tiny_base))
    save_adapter(model.backbone, tmp_path / "adapter")
    model.save_head(tmp_path)
    loaded = load_classifier(tiny_parts(tiny_base), tmp_path / "adapter", tmp_path, 3)
    expected = model.eval()(tiny_batch(tiny_base))
    torch.testing.assert_close(loaded(tiny_batch(tiny_base)), expected, atol=1e-4, rtol=1e-4)
    fresh = tiny_classifier(tiny_base).eval()
    assert not torch.allclose(fresh(tiny_batch(tiny_base)), expected, atol=1e-3)


@pytest.mark.parametrize("labels", [2, 4])
def test_a_head_for_another_number_of_labels_is_refused(
    tiny_bert: Path, tmp_path: Path, labels: int
):
    model = tiny_classifier(tiny_bert)
    save_adapter(model.backbone, tmp_path / "adapter")
    model.save_head(tmp_path)
    with pytest.raises(ModelError, match=rf"\(3, 32\).*\({labels}, 32\)"):
        load_classifier(tiny_parts(tiny_bert), tmp_path / "adapter", tmp_path, labels)


def test_a_head_without_bias_is_refused(tiny_bert: Path, tmp_path: Path):
    model = tiny_classifier(tiny_bert)
    save_adapter(model.backbone, tmp_path / "adapter")
    model.save_head(tmp_path)
    save_file({"weight": load_file(tmp_path / HEAD)["weight"]}, tmp_path / HEAD)
    with pytest.raises(ModelError, match="bias"):
        load_classifier(tiny_parts(tiny_bert), tmp_path / "adapter", tmp_path, 3)


def test_corrupt_weights_of_a_base_are_refused(tiny_bert: Path, tmp_path: Path):
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / file).write_bytes((tiny_bert / file).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(ModelError, match=r"cannot read .*model\.safetensors"):
        load_backbone(tiny_parts(tmp_path))


@torch.inference_mode()
def test_an_adapter_is_not_lost_to_rounding_on_a_bfloat16_base(tiny_base: Path, tmp_path: Path):
    model = tiny_classifier(tiny_base, precision="bfloat16")
    with torch.no_grad():
        for name, parameter in model.trainable().items():
            if "lora_B" in name:
                parameter.fill_(1e-4)
    save_adapter(model.backbone, tmp_path / "adapter")
    model.save_head(tmp_path)
    parts = tiny_parts(tiny_base, "bfloat16")
    loaded = load_classifier(parts, tmp_path / "adapter", tmp_path, 3)
    assert isinstance(loaded.backbone, PeftModel)
    batch = tiny_batch(tiny_base)
    assert torch.equal(loaded(batch), model.eval()(batch))


def test_a_base_with_missing_weights_is_refused(tiny_bert: Path, tmp_path: Path):
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / file).write_bytes((tiny_bert / file).read_bytes())
    weights = load_file(tiny_bert / "model.safetensors")
    renamed = {f"wrapped.{name}": tensor for name, tensor in weights.items()}
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks \d+ weights of its architecture"):
        load_backbone(tiny_parts(tmp_path))


def padded(rows: list[list[float]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    embeddings = torch.full((len(rows), width, 1), 99.0)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for line, row in enumerate(rows):
        start = width - len(row) if left else 0
        embeddings[line, start : start + len(row), 0] = torch.tensor(row)
        mask[line, start : start + len(row)] = 1
    return embeddings, mask


rows_of_states = st.lists(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=7), min_size=1, max_size=5
)


@given(rows_of_states, st.booleans())
def test_mean_is_over_real_tokens_whichever_side_is_padded(rows, left):
    embeddings, mask = padded(rows, left)
    expected = torch.tensor([[sum(row) / len(row)] for row in rows])
    torch.testing.assert_close(pool(embeddings, mask, Pooling.MEAN), expected, atol=1e-5, rtol=1e-5)


@given(rows_of_states, st.booleans())
def test_last_is_the_last_real_token_whichever_side_is_padded(rows, left):
    embeddings, mask = padded(rows, left)
    assert pool(embeddings, mask, Pooling.LAST)[:, 0].tolist() == [row[-1] for row in rows]


def test_result_is_float32_for_a_bfloat16_base():
    embeddings, mask = padded([[1.0, 2.0]], left=False)
    for pooling in Pooling:
        assert pool(embeddings.bfloat16(), mask, pooling).dtype == torch.float32
