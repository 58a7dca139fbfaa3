"""A bundle's weights as a torch model. Knows base files, adapters and heads; needs torch."""

from pathlib import Path

import torch

from patclass.bundle.description import LAYOUT, Description
from patclass.core.errors import BundleError, ModelError
from patclass.core.files import file_sha256
from patclass.model.base import BaseFiles, resolve_base
from patclass.model.device import apply_compute, choose_compute
from patclass.model.network import Parts, PatentClassifier, load_classifier
from patclass.model.packing import PACKED


def load_weights(
    folder: Path, description: Description, outputs: int, device: str = "auto"
) -> PatentClassifier:
    """Load base, adapter and head.

    :raises BundleError: if base or weights are not those the bundle was made with.
    """
    base = find_base(folder, description)
    try:
        # A bundle made where bfloat16 is real still answers, in float32, where it is not.
        if description.precision == "bfloat16":
            compute = choose_compute(device, "auto", torch.bfloat16)
        else:
            compute = choose_compute(device, "float32")
        apply_compute(compute)
        adapter = folder / LAYOUT.adapter if description.engine is None else None
        return load_classifier(Parts(base, compute), adapter, folder, outputs)
    except ModelError as problem:
        raise BundleError(f"{folder}: {problem}") from problem


def find_base(folder: Path, description: Description) -> BaseFiles:
    """The base that a bundle was made with, which may be in it.

    :raises BundleError: if it is not found, or is another one.
    """
    wanted = description.base
    try:
        if wanted.embedded:
            inside = folder / LAYOUT.base
            sha256 = file_sha256(inside / PACKED, BundleError)
            base = BaseFiles(wanted.name, None, inside, sha256, wanted.name)
        else:
            base = resolve_base(wanted.name, wanted.revision)
    except ModelError as problem:
        raise BundleError(f"{folder} needs base '{wanted.name}': {problem}") from problem
    if base.sha256 != wanted.sha256:
        raise BundleError(
            f"{folder} was made with another base: '{wanted.name}' with SHA-256 "
            f"{wanted.sha256[:12]}…, but the one found here has {base.sha256[:12]}…. "
            "Install the same weights, or train it again."
        )
    return base
