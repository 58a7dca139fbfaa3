"""The last layer of a decoder, of which only the last token's state is used.

Knows the modules of a layer, no data and no optimiser.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from patclass.model.architecture import Pooling
from patclass.model.layer_stack import layers_of, replaced_forwards
from patclass.model.network import PatentClassifier, last_tokens


@contextmanager
def last_token_only(model: PatentClassifier) -> Iterator[None]:
    """With last-token pooling, spare the last layer what is not used of it.

    The other tokens are seen there by their keys and values alone: their queries, attended values
    and feed-forward states would be thrown away. Logits and gradients stay the same. For one thread
    at a time, as modules of the model are changed meanwhile.
    """
    if model.pooling is not Pooling.LAST:
        yield
        return
    places = _Places()
    hook = model.backbone.register_forward_pre_hook(places.see, with_kwargs=True)
    modules = _token_wise(layers_of(model.base)[-1])
    try:
        with replaced_forwards(
            {module: partial(_of_last_tokens, places, module.forward) for module in modules}
        ):
            yield
    finally:
        hook.remove()


class _Places:
    """Where the last tokens of the present batch are."""

    def see(self, module: nn.Module, inputs: Any, named: dict[str, torch.Tensor]) -> None:
        """Take them from the mask that the backbone is called with."""
        mask = named["attention_mask"]
        self.rows = torch.arange(len(mask), device=mask.device)
        self.tokens = last_tokens(mask)


def _token_wise(layer: nn.Module) -> list[nn.Module]:
    """Modules of a layer that compute each token by itself, but for keys and values."""
    there = dict(layer.named_modules())
    found = (there.get(name) for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp"))
    # A mixture of experts may give more than states.
    return [module for module in found if module is not None and not hasattr(module, "experts")]


def _of_last_tokens(
    places: _Places, forward: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor
) -> torch.Tensor:
    """``forward`` of the last token of each text, and zero for all others."""
    last = forward(states[places.rows, places.tokens].unsqueeze(1)).squeeze(1)
    answer = last.new_zeros(*states.shape[:2], last.shape[-1])
    answer[places.rows, places.tokens] = last
    return answer
