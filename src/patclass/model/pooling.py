"""Token states to one vector a text. Knows masks, not which side was padded.

The attention mask alone says what is padding, never the token id: where the padding token
equals the end-of-text token, a rule by id would pool one token too early.
"""

from enum import StrEnum

import torch


class Pooling(StrEnum):
    """How token states become one vector."""

    MEAN = "mean"
    LAST = "last"


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Pool ``states`` (rows, tokens, width) under ``mask`` (rows, tokens) to (rows, width).

    The result is float32, whatever the base computes in.
    """
    if pooling is Pooling.MEAN:
        weights = mask.unsqueeze(-1).to(torch.float32)
        return (states.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (positions * mask).argmax(dim=1)
    return states[torch.arange(states.shape[0], device=states.device), last].float()
