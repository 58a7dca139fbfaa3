"""LoRA layers as one function with a gradient of its own, while training.

Knows PEFT's layers, no data and no optimiser. PEFT computes the base layer, the adapter and their
sum one after the other, each of them a pass over the memory; here the products add to each other
in place, in the format of the step, and the backward pass needs no tensor but the input and its
product with the adapter's first matrix. On a CPU a step of a small base takes a sixth less time
(docs/log.md). The sum is that of PEFT in another order, so both agree but for the rounding of
the format: on a base in bfloat16 the adapter's products are in bfloat16 as well.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch import nn

from patclass.model.layer_stack import replaced_forwards


class _LoraLinear(torch.autograd.Function):
    """``x W' + b + s d A' B'``, where ``d`` is ``x`` after dropout and ``s`` the scale."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dropped: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """:param dropped: ``x`` after dropout; None if it is ``x`` itself."""
        dtype = weight.dtype
        rows = x.reshape(-1, x.shape[-1])
        inputs = rows if dropped is None else dropped.reshape(rows.shape)
        first, second = down.to(dtype), up.to(dtype)
        inner = inputs @ first.T
        out = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        out.addmm_(inner, second.T, alpha=scale)
        ctx.save_for_backward(inputs, inner, weight, first, second)
        ctx.scale, ctx.with_dropout, ctx.kept = scale, dropped is not None, down.dtype
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of ``x``, ``dropped`` and both matrices of the adapter."""
        inputs, inner, weight, first, second = ctx.saved_tensors
        shape = gradients[0].shape[:-1]
        rows = gradients[0].reshape(-1, gradients[0].shape[-1])
        through = rows @ second
        of_down = (through.T @ inputs).mul_(ctx.scale)
        of_up = (rows.T @ inner).mul_(ctx.scale)
        of_x = of_dropped = None
        if ctx.needs_input_grad[0]:
            of_x = rows @ weight
            if not ctx.with_dropout:
                of_x.addmm_(through, first, alpha=ctx.scale)
            of_x = of_x.view(*shape, -1)
        if ctx.needs_input_grad[1]:
            of_dropped = (through @ first).mul_(ctx.scale).view(*shape, -1)
        return of_x, of_dropped, None, None, of_down.to(ctx.kept), of_up.to(ctx.kept), None


def _forward(layer: Linear, name: str, x: torch.Tensor) -> torch.Tensor:
    """The output of ``layer`` with the adapter ``name``, in the format of autocast or base."""
    if not _plain(layer):  # its adapter has been disabled or merged meanwhile
        unchanged: torch.Tensor = type(layer).forward(layer, x)
        return unchanged
    base, device = layer.base_layer, x.device.type
    mixed = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if mixed else base.weight.dtype
    x = x.to(dtype)
    dropout = layer.lora_dropout[name]
    dropped = None if isinstance(dropout, nn.Identity) else dropout(x)
    bias = None if base.bias is None else base.bias.to(dtype)
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    with torch.autocast(device, enabled=False):
        out: torch.Tensor = _LoraLinear.apply(
            x, dropped, base.weight.to(dtype), bias, down, up, layer.scaling[name]
        )  # type: ignore[no-untyped-call]
    return out


def _plain(layer: nn.Module) -> bool:
    """Whether a layer is what Hu et al. describe, with one adapter, on float weights."""
    return (
        isinstance(layer, Linear)
        and type(layer) is Linear
        and type(layer.base_layer) is nn.Linear
        and layer.base_layer.weight.is_floating_point()
        and len(layer.active_adapters) == 1
        and not (layer.merged or layer.disable_adapters or layer.lora_variant)
        and not any(layer.lora_bias.values())
    )


def fused_adapter(backbone: PeftModel) -> AbstractContextManager[None]:
    """Compute plain LoRA layers by ``_LoraLinear``; all others are left as they are."""
    return replaced_forwards(
        {
            layer: partial(_forward, layer, layer.active_adapters[0])
            for layer in backbone.modules()
            if _plain(layer)
        }
    )
