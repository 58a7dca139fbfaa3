from pathlib import Path

import pytest
import torch

from patclass.model import attention
from patclass.model.attention import float32_attention, use_float32_attention
from tiny_parts import gradients, one_step, tiny_batch, tiny_classifier


@pytest.fixture
def fast_products():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def backbone_of(model):
    return model.backbone.get_base_model()


@pytest.mark.parametrize("base", ["tiny_llama", "tiny_bert"])
def test_logits_and_gradients_are_those_of_the_library(base: str, request):
    folder = request.getfixturevalue(base)
    model = tiny_classifier(folder, dropout=0.0, targets="all-linear").train()
    batch = tiny_batch(folder)
    with float32_attention(backbone_of(model)):
        assert backbone_of(model).config._attn_implementation != "sdpa"
        logits, found = model(batch), gradients(model, model(batch))
    assert backbone_of(model).config._attn_implementation == "sdpa"
    torch.testing.assert_close(logits, model(batch))
    torch.testing.assert_close(found, gradients(model, model(batch)))


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
    use_float32_attention(backbone_of(model))
    with torch.autocast("cpu", torch.bfloat16):
        one_step(model, tiny_batch(tiny_base))
    assert set(found) == {torch.float32}
    assert all(p.any() for name, p in model.trainable().items() if "lora_B" in name)


@pytest.mark.usefixtures("fast_products")
@pytest.mark.parametrize("longest", [256, 0])
def test_products_of_short_texts_are_plain_in_both_directions_and_only_in_the_attention(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, longest: int
):
    found: list[str] = []
    honest = attention.sdpa_attention_forward

    class Spy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, query):
            found.append(torch.get_float32_matmul_precision())
            return query.view_as(query)

        @staticmethod
        def backward(ctx, gradient):
            found.append(torch.get_float32_matmul_precision())
            return gradient

    def spy(module, query, *more, **named):
        return honest(module, Spy.apply(query), *more, **named)

    monkeypatch.setattr(attention, "sdpa_attention_forward", spy)
    monkeypatch.setattr(attention, "_SHORT", longest)
    model = tiny_classifier(tiny_base, targets="all-linear").train()
    use_float32_attention(backbone_of(model))
    loss = model(tiny_batch(tiny_base)).sum()
    assert torch.get_float32_matmul_precision() == "medium"
    forward = len(found)
    loss.backward()
    assert torch.get_float32_matmul_precision() == "medium"
    assert len(found) == 2 * forward
    assert set(found) == {"highest" if longest else "medium"}


@pytest.mark.usefixtures("fast_products")
def test_a_failure_leaves_the_precision_as_it_was(tiny_base: Path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("stop")

    monkeypatch.setattr(attention, "sdpa_attention_forward", fail)
    model = tiny_classifier(tiny_base)
    with pytest.raises(RuntimeError, match="stop"), float32_attention(backbone_of(model)):
        model(tiny_batch(tiny_base))
    assert backbone_of(model).config._attn_implementation == "sdpa"
    assert torch.get_float32_matmul_precision() == "medium"


def test_other_kinds_of_attention_are_left_as_they_are(tiny_bert: Path):
    backbone = backbone_of(tiny_classifier(tiny_bert))
    backbone.set_attn_implementation("eager")
    with float32_attention(backbone):
        assert backbone.config._attn_implementation == "eager"
    assert backbone.config._attn_implementation == "eager"
