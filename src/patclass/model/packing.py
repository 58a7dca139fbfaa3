"""Weights of a base in a few bits each, for bases that travel inside a bundle.

Matrices are cut along their rows into groups with one float16 scale each; vectors stay as
they are. Unpacking gives float32 weights, the same ones everywhere: an adapter is trained on
exactly what is unpacked, so packing costs a tuned model nothing after training. The scheme is
symmetric rounding to nearest with the clipping that loses least, as in the weight-only
quantisation of QLoRA (Dettmers et al. 2023, arXiv:2305.14314), but on a uniform grid.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from patclass.core.errors import ModelError
from patclass.core.files import parse_json


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors as a plain file: with the usual rights, and plain errors on a full disk.

    :raises OSError: if it cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.write_bytes(save(state))


FORMAT = "patclass-packed"
HEADER = "packing"
PACKED = "model.safetensors"  # the one weight file of a base folder that is packed
GROUP = 32

_VALUES, _SCALES = ".packed", ".scale"
_CLIPPINGS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)


def pack(weights: Mapping[str, torch.Tensor], bits: Mapping[str, int], path: Path) -> None:
    """Write ``weights`` with the matrices named in ``bits`` packed to that many bits (2 to 8).

    :raises ValueError: if a matrix cannot be cut into groups, or a width is not 2 to 8.
    """
    if any(not 2 <= width <= 8 for width in bits.values()):
        raise ValueError(f"expected 2 to 8 bits, not {sorted(set(bits.values()))}")
    state: dict[str, torch.Tensor] = {}
    forms: dict[str, list[int]] = {}
    for name, weight in weights.items():
        if name not in bits:
            state[name] = weight.float().contiguous()
            continue
        if weight.ndim != 2 or weight.shape[1] % GROUP:
            raise ValueError(f"{name} of shape {tuple(weight.shape)} has no groups of {GROUP}")
        values, scales = _quantise(weight.float(), bits[name])
        state[name + _VALUES] = torch.from_numpy(_squeeze(values, bits[name]))
        state[name + _SCALES] = scales
        forms[name] = [bits[name], *weight.shape]
    # One entry: safetensors writes several in random order, and the file has a hash.
    header = json.dumps({"format": FORMAT, "version": 1, "forms": forms}, sort_keys=True)
    path.write_bytes(save(state, metadata={HEADER: header}))


def is_packed(path: Path) -> bool:
    """Whether there is a safetensors file that holds packed weights.

    :raises ModelError: if it cannot be read.
    """
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return HEADER in (file.metadata() or {})
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"cannot read {path}: {problem}") from problem


def unpack(path: Path) -> dict[str, torch.Tensor]:
    """All weights of a packed file as float32.

    :raises ModelError: if the file is damaged, or of a newer version.
    """
    try:
        with safe_open(path, "pt") as file:
            header = parse_json((file.metadata() or {})[HEADER].encode())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (header["format"], header["version"]) != (FORMAT, 1):
            raise ModelError(f"{path} is packed in a way that this release does not know.")
        for name, (width, rows, columns) in dict(header["forms"]).items():
            if not (2 <= width <= 8 and rows > 0 and columns > 0):
                raise ValueError(f"{name} has {rows} x {columns} values of {width} bits")
            values = _spread(tensors.pop(name + _VALUES).numpy(), width, rows * columns)
            grid = torch.from_numpy(values).view(rows, columns // GROUP, GROUP)
            scales = tensors.pop(name + _SCALES).float().unsqueeze(2)
            tensors[name] = (grid.float() * scales).view(rows, columns)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise ModelError(f"{path} is damaged: {problem}") from problem
    return tensors


def _quantise(weight: torch.Tensor, bits: int) -> tuple[npt.NDArray[np.int8], torch.Tensor]:
    """Grid values (rows × columns) and scales of shape (rows, groups)."""
    top = 2 ** (bits - 1) - 1
    groups = weight.view(weight.shape[0], -1, GROUP)
    largest = groups.abs().amax(dim=2, keepdim=True)
    best_scale = best_error = None
    for clipping in _CLIPPINGS:
        scale = (largest * clipping / top).half().float().clamp(min=6e-8)
        rounded = (groups / scale).round().clamp(-top - 1, top)
        error = (rounded * scale - groups).square().sum(dim=2, keepdim=True)
        if best_scale is None or best_error is None:
            best_scale, best_error = scale, error
        else:
            better = error < best_error
            best_scale = torch.where(better, scale, best_scale)
            best_error = torch.where(better, error, best_error)
    assert best_scale is not None
    values = (groups / best_scale).round().clamp(-top - 1, top)
    return values.to(torch.int8).numpy().ravel(), best_scale.squeeze(2).half()


def _squeeze(values: npt.NDArray[np.int8], bits: int) -> npt.NDArray[np.uint8]:
    """Signed grid values as a dense string of bits."""
    raised = (values.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    return np.packbits(np.unpackbits(raised[:, None], axis=1)[:, 8 - bits :])


def _spread(packed: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.int8]:
    """The inverse of ``_squeeze`` for ``count`` values."""
    if len(packed) != -(-count * bits // 8):
        raise ValueError(f"{len(packed)} bytes are not {count} values of {bits} bits")
    table = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    padded = np.zeros((count, 8), dtype=np.uint8)
    padded[:, 8 - bits :] = table
    raised = np.packbits(padded, axis=1).ravel()
    return np.asarray(raised.astype(np.int16) - 2 ** (bits - 1), dtype=np.int8)
