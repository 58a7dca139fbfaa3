"""Small classifiers for tests."""

from collections.abc import Sequence
from pathlib import Path

import nncf
import openvino as ov
import pytest
import torch
from safetensors.torch import load_file

from patclass.core.errors import ModelError
from patclass.core.settings import LoraSettings
from patclass.engines.openvino import OpenVinoEngine
from patclass.model.base import resolve_base
from patclass.model.device import Compute
from patclass.model.network import Batch, Parts, PatentClassifier, new_classifier
from patclass.model.tokenizer import TextTokenizer

TEXTS = [
    "A device with antenna circuit voltage inductor gate amplifier signal electrode.",
    "Soil.",
    "A device with polymer catalyst and acid reaction.",
]


def tiny_parts(folder: Path, precision: str = "float32") -> Parts:
    return Parts(resolve_base(str(folder)), Compute("cpu", precision, False, "for a test"))


def tiny_classifier(
    folder: Path, precision: str = "float32", checkpointing: bool = False, **lora: object
) -> PatentClassifier:
    torch.manual_seed(0)
    return new_classifier(tiny_parts(folder, precision), LoraSettings(**lora), 3, checkpointing)


def tiny_batch(folder: Path) -> Batch:
    tokenizer = TextTokenizer.load(folder, 64)
    return Batch.of(tokenizer.pad(tokenizer.token_ids(TEXTS)))


def one_step(model: PatentClassifier, batch: Batch, rate: float = 1e-2) -> None:
    """One optimiser step towards label 0."""
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=rate, weight_decay=0)
    target = torch.zeros(len(batch.input_ids), dtype=torch.long)
    torch.nn.functional.cross_entropy(model(batch), target).backward()
    optimizer.step()


def gradients(model: PatentClassifier, logits: torch.Tensor) -> torch.Tensor:
    """Those of all that is trained, of the sum of the squared logits."""
    logits.square().sum().backward()
    found = torch.cat([p.grad.flatten() for p in model.trainable().values()])
    model.zero_grad()
    return found


def weights(bundle: Path) -> torch.Tensor:
    """Head and adapter of a bundle, as one row."""
    files = ("head.safetensors", "adapter/adapter_model.safetensors")
    tensors = [load_file(bundle / file) for file in files]
    return torch.cat([each[name].flatten() for each in tensors for name in sorted(each)])


def eight_bit_weights_problem(graph: ov.Model, tokenizer: TextTokenizer, row: Sequence[int]) -> str:
    """Why OpenVINO computes no weights of eight bits here, as where oneDNN is limited; or empty."""
    compressed = nncf.compress_weights(graph.clone(), mode=nncf.CompressWeightsMode.INT8_ASYM)
    try:
        OpenVinoEngine(compressed, tokenizer, exact=False, threads=1).run([row])
    except ModelError as problem:
        return str(problem)
    return ""


def skip_without_eight_bit_weights(
    graph: ov.Model, tokenizer: TextTokenizer, row: Sequence[int]
) -> None:
    """Skip where OpenVINO computes no weights of eight bits."""
    if problem := eight_bit_weights_problem(graph, tokenizer, row):
        pytest.skip(f"OpenVINO computes no eight-bit weights here: {problem[:80]}")
