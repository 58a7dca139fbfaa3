"""Weights of a merged backbone in eight or four bits, for CUDA. Knows torchao, no bundle.

The bundle keeps the merged float weights; they are quantised anew whenever it is loaded, so that
nothing but plain tensors is stored. The head stays float32.
"""

import torch

from patclass.core.errors import ModelError
from patclass.model.classifier import PatentClassifier


def check_cuda(what: str) -> None:
    """Refuse where there is no GPU to compute on.

    :raises ModelError: saying what to use instead.
    """
    if not torch.cuda.is_available():
        raise ModelError(
            f"{what} computes on CUDA, and there is none here. Use openvino-int8 on a CPU: "
            "'patclass export BUNDLE -o FOLDER --to openvino-int8'."
        )


def quantise(model: PatentClassifier, bits: str) -> PatentClassifier:
    """Replace the backbone's matrices by quantised ones, and compute in bfloat16.

    :param bits: ``int8`` or ``int4``.
    :raises ModelError: if torchao is not installed or does not fit.
    """
    try:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    except ImportError as problem:
        raise ModelError(
            f"{bits} on CUDA needs torchao: pip install torchao ({problem})."
        ) from None
    config = Int8WeightOnlyConfig() if bits == "int8" else Int4WeightOnlyConfig(group_size=32)
    model.backbone.to(torch.bfloat16)
    try:
        quantize_(model.backbone, config)
    except (RuntimeError, ImportError, AssertionError, NotImplementedError) as problem:
        raise ModelError(f"torchao cannot make {bits} of this model: {problem}") from problem
    return model.eval()
