"""Attention in float32 while the rest of a training step is in bfloat16, on processors.

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


def _float32_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """The library's function, in float32 whatever the format of ``query`` and autocast."""
    bias = more.get("position_bias")
    if bias is not None:
        more["position_bias"] = bias.float()
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast(query.device.type, enabled=False):
        attended, weights = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **more
        )
    return attended.to(query.dtype), weights


AttentionInterface.register(_FLOAT32, _float32_sdpa)
AttentionMaskInterface.register(_FLOAT32, sdpa_mask)


@contextmanager
def float32_attention(backbone: PreTrainedModel) -> Iterator[None]:
    """Compute attention in float32 on a processor; other devices and kinds are left as they are.

    There torch's fused attention with its gradients takes two to five times as long in bfloat16
    as in float32, up to 256 tokens (docs/log.md). In a float32 step nothing changes.
    """
    if backbone.device.type != "cpu" or backbone.config._attn_implementation != "sdpa":
        yield
        return
    backbone.set_attn_implementation(_FLOAT32)
    try:
        yield
    finally:
        backbone.set_attn_implementation("sdpa")
