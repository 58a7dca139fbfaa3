"""The layers of a backbone, and other functions in their place for a while. Knows no adapter."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from patclass.core.errors import ModelError


@contextmanager
def replaced_forwards(functions: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Have modules compute other functions; their attributes and weights stay."""
    before = {module: vars(module).get("forward") for module in functions}
    for module, function in functions.items():
        module.forward = function
    try:
        yield
    finally:
        for module, forward in before.items():
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def layers_of(backbone: PreTrainedModel) -> list[nn.Module]:
    """The stack of layers of a backbone, from the embedding on.

    :raises ModelError: if it is not one list of them.
    """
    number = backbone.config.num_hidden_layers
    stacks = [
        module
        for module in backbone.modules()
        if isinstance(module, nn.ModuleList) and len(module) == number
    ]
    if len(stacks) != 1:
        raise ModelError(
            f"a base of the kind '{backbone.config.model_type}' has no single stack of layers, of "
            "which the upper ones could be adapted alone.",
            setting="lora_layers",
        )
    return [*stacks[0]]
