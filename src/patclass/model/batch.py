"""Padded rows as tensors. Knows torch, no tokenizer."""

from dataclasses import dataclass

import torch

from patclass.model.tokenizer import Padded


@dataclass(frozen=True)
class Batch:
    """Padded ids and their mask, both int64 of shape (rows, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor

    @classmethod
    def of(cls, padded: Padded) -> "Batch":
        """The arrays as tensors, without a copy."""
        return cls(torch.from_numpy(padded.input_ids), torch.from_numpy(padded.attention_mask))

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(self.input_ids.to(device), self.attention_mask.to(device))
