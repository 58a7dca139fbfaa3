from pathlib import Path

import pytest
import torch

from patclass.model import attention
from patclass.model.attention import float32_attention
from tiny_parts import one_step, tiny_batch, tiny_classifier


def test_in_float32_nothing_changes(tiny_base: Path):
    model = tiny_classifier(tiny_base).eval()
    batch, backbone = tiny_batch(tiny_base), model.backbone.get_base_model()
    with torch.inference_mode():
        before = model(batch)
        with float32_attention(backbone):
            assert model(batch).equal(before)
        assert model(batch).equal(before)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_in_mixed_precision_attention_alone_is_in_float32(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
):
    found: list[torch.dtype] = []
    honest = attention.sdpa_attention_forward

    def spy(module, query, key, value, *more, **named):
        found.extend(tensor.dtype for tensor in (query, key, value))
        attended, weights = honest(module, query, key, value, *more, **named)
        found.append(attended.dtype)
        return attended, weights

    monkeypatch.setattr(attention, "sdpa_attention_forward", spy)
    model = tiny_classifier(tiny_base, targets="all-linear", checkpointing=checkpointing).train()
    batch, backbone = tiny_batch(tiny_base), model.backbone.get_base_model()
    with float32_attention(backbone), torch.autocast("cpu", torch.bfloat16):
        one_step(model, batch)
    assert set(found) == {torch.float32}
    assert all(p.any() for name, p in model.trainable().items() if "lora_B" in name)


def test_other_kinds_of_attention_are_left_as_they_are(tiny_bert: Path):
    backbone = tiny_classifier(tiny_bert).backbone.get_base_model()
    backbone.set_attn_implementation("eager")
    with float32_attention(backbone):
        assert backbone.config._attn_implementation == "eager"
    backbone.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="stop"), float32_attention(backbone):
        raise ValueError("stop")
    assert backbone.config._attn_implementation == "sdpa"
