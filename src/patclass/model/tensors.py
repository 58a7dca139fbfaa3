"""Tensors on disk, in safetensors only."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as a plain file: with the usual rights, and plain errors on a full disk.

    :raises OSError: if it cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.write_bytes(save(state))
