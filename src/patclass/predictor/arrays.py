"""The arrays of a component's file, checked. Knows safetensors, not what the arrays mean."""

from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from patclass.core.files import parse_json

# Embeddings, weights and lengths of texts are all smaller.
_LARGEST = 1e7

Arrays = dict[str, npt.NDArray[Any]]

# Names of arrays, each with the kind of its numbers as numpy has it ("f", "i", "u") and its shape.
Form = dict[str, tuple[str, tuple[int, ...]]]


def parse_arrays(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a safetensors file by name, and the texts that stand beside them.

    :raises ValueError: if it is no such file, or holds a number that is not finite or so large that
        its square, summed up, would not be.
    """
    try:
        arrays = load(data)
    except (SafetensorError, LookupError) as problem:
        raise ValueError(problem) from problem
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not float(np.abs(array).max(initial=0)) <= _LARGEST:
            raise ValueError(f"{name} has a number that is not finite, or beyond {_LARGEST:,.0f}")
    header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return arrays, header.get("__metadata__", {})


def array_of(arrays: Arrays, name: str, kind: str, dimensions: int) -> npt.NDArray[Any]:
    """One of the arrays.

    :raises ValueError: if it is missing, of other numbers or of another number of dimensions.
    """
    if name not in arrays:
        raise ValueError(f"it has no {name}")
    array = arrays[name]
    if array.dtype.kind != kind or array.ndim != dimensions:
        raise ValueError(f"{name} has numbers {array.dtype} in the shape {array.shape}")
    return array


def check_form(arrays: Arrays, form: Form) -> None:
    """Refuse arrays that are missing, surplus, of other numbers or of another shape.

    :raises ValueError: naming the first.
    """
    for name in sorted(arrays.keys() | form.keys()):
        if name not in form:
            raise ValueError(f"it has an unknown {name}")
        kind, shape = form[name]
        array = array_of(arrays, name, kind, len(shape))
        if array.shape != shape:
            raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")
