"""Attention in float32 with plain products, on processors.

Knows the library's attention functions, no data and no optimiser.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_FLOAT32 = "patclass_float32_sdpa"

# Up to this length the matrices of a head are so small that preparing them for oneDNN's fast
# products takes longer than the products (docs/log.md).
_SHORT = 256
_PLAIN = "highest"


class _Products(torch.autograd.Function):
    """Tensors as they are; in the backward pass, products have another precision from here on.

    One of these behind the attention sets it, one before the attention sets it back.
    """

    @staticmethod
    def forward(ctx: Any, precision: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.precision = precision
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        torch.set_float32_matmul_precision(ctx.precision)
        return (None, *gradients)


def _float32_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """The library's function, in float32 whatever the format of ``query`` and autocast."""
    dtype, outside = query.dtype, torch.get_float32_matmul_precision()
    bias = more.get("position_bias")
    if bias is not None:
        more["position_bias"] = bias.float()
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    inside = _PLAIN if key.shape[-2] <= _SHORT else outside
    enclosed = torch.is_grad_enabled() and inside != outside
    with torch.autocast(query.device.type, enabled=False):
        query, key, value = query.float(), key.float(), value.float()
        if enclosed:
            query, key, value = _Products.apply(outside, query, key, value)  # type: ignore[no-untyped-call]
        try:
            torch.set_float32_matmul_precision(inside)
            attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        finally:
            torch.set_float32_matmul_precision(outside)
        if enclosed:
            (attended,) = _Products.apply(inside, attended)  # type: ignore[no-untyped-call]
    return attended.to(dtype), None


AttentionInterface.register(_FLOAT32, _float32_sdpa)
AttentionMaskInterface.register(_FLOAT32, sdpa_mask)


def use_float32_attention(backbone: PreTrainedModel) -> None:
    """Have a model on a processor compute attention in float32; other kinds are left as they are.

    There torch's fused attention with its gradients takes up to three times as long in bfloat16 as
    in float32, and in float32 up to three times as long with oneDNN's fast products as without,
    for texts of some hundred tokens (docs/log.md). The precision of products is a setting of the
    process, so a model that several threads run at a time is better left as it is.
    """
    if backbone.device.type == "cpu" and backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(_FLOAT32)


@contextmanager
def float32_attention(backbone: PreTrainedModel) -> Iterator[None]:
    """``use_float32_attention`` for a while."""
    before = backbone.config._attn_implementation
    use_float32_attention(backbone)
    try:
        yield
    finally:
        if before != backbone.config._attn_implementation:
            backbone.set_attn_implementation(before)
