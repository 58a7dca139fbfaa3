"""Backbone, pooling and head as one module.

Knows no text and no label names.
"""

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from patclass.core.errors import ModelError
from patclass.core.settings import LoraSettings
from patclass.model.adapter import add_adapter, load_adapter, load_adapter_weights, merge_adapter
from patclass.model.architecture import Architecture, Pooling, architecture_of
from patclass.model.attention import use_float32_attention
from patclass.model.base import BaseFiles
from patclass.model.device import Compute
from patclass.model.machine import check_memory
from patclass.model.packing import PACKED, is_packed, save_tensors, unpack
from patclass.model.tokenizer import Padded


def pool(embeddings: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Pool hidden states (rows, tokens, width) under ``mask`` (rows, tokens) to (rows, width).

    The result is float32, whatever the base computes in.
    """
    if pooling is Pooling.MEAN:
        weights = mask.unsqueeze(-1).to(torch.float32)
        return (embeddings.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    rows = torch.arange(embeddings.shape[0], device=embeddings.device)
    return embeddings[rows, last_tokens(mask)].float()


def last_tokens(mask: torch.Tensor) -> torch.Tensor:
    """The place of the last token of each row of ``mask`` (rows, tokens)."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return (positions * mask).argmax(dim=1)


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


HEAD = "head.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a classifier is built from."""

    base: BaseFiles
    compute: Compute

    @property
    def architecture(self) -> Architecture:
        """The base's traits."""
        return architecture_of(self.base.config, self.base.name)


class PatentClassifier(nn.Module):
    """A backbone with an adapter, pooled, and a linear head in float32.

    The head stays float32 and outside the backbone: in bfloat16, small steps would leave
    most of its weights as they are.
    """

    def __init__(
        self, backbone: PeftModel | PreTrainedModel, pooling: Pooling, hidden: int, labels: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.head = nn.Linear(hidden, labels, dtype=torch.float32)
        parameters = inspect.signature(self.base.forward).parameters
        self._takes_positions = pooling is Pooling.LAST and "position_ids" in parameters

    @property
    def base(self) -> PreTrainedModel:
        """The backbone without PEFT's wrapping; its layers hold the adapter all the same."""
        backbone = self.backbone
        return backbone.get_base_model() if isinstance(backbone, PeftModel) else backbone

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def embed(self, batch: Batch) -> torch.Tensor:
        """The pooled state of each text, float32 of shape (rows, hidden)."""
        mask = batch.attention_mask
        inputs = {"input_ids": batch.input_ids, "attention_mask": mask}
        if self._takes_positions:
            # Positions count real tokens, so that left and right padding answer the same.
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        embeddings = self.backbone(**inputs).last_hidden_state
        return pool(embeddings, mask, self.pooling)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 of shape (rows, outputs)."""
        return self.logits(self.embed(batch))

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Logits of embeddings, in float32 whatever the backbone is computed in."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: torch.Tensor = self.head(embeddings.float())
        return logits

    def trainable(self) -> dict[str, nn.Parameter]:
        """Adapter and head parameters by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def checkpoint_layers(self) -> None:
        """Save memory by computing the activations of each layer a second time."""
        # The re-entrant kind would cut the adapter's gradients off: its inputs need none.
        self.base.activation_checkpointing_enable({"use_reentrant": False})

    def round_to(self, dtype: torch.dtype) -> None:
        """Round adapter and head to what ``dtype`` holds, so that what is measured is saved."""
        with torch.no_grad():
            for parameter in self.trainable().values():
                parameter.copy_(parameter.to(dtype))

    def save_head(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the head's weight (labels, hidden) and bias (labels,)."""
        state = {name: tensor.to(dtype) for name, tensor in self.head.state_dict().items()}
        save_tensors(state, folder / HEAD)


def new_classifier(
    parts: Parts, lora: LoraSettings, labels: int, gradient_checkpointing: bool = False
) -> PatentClassifier:
    """A classifier to train: fresh adapter, fresh head.

    :raises ModelError: if base, architecture or targets do not fit.
    """
    backbone = load_backbone(parts)
    _switch_dropout_off(backbone)
    adapted = add_adapter(backbone, lora, parts.base.source, parts.base.revision)
    traits = parts.architecture
    model = PatentClassifier(adapted, traits.pooling, traits.hidden_size, labels)
    if gradient_checkpointing:
        model.checkpoint_layers()
    return model.to(parts.compute.device)


def warm_start(model: PatentClassifier, adapter: Path, head: Path, rows: Mapping[int, int]) -> None:
    """Have a classifier begin where a saved one ended.

    :param head: folder that holds the saved head.
    :param rows: for outputs that the saved one has as well, their places there.
    :raises ModelError: if adapter or head are missing or have another shape.
    """
    load_adapter_weights(model.backbone, adapter)
    try:
        state = load_file(head / HEAD)
        here, there = list(rows), list(rows.values())
        with torch.no_grad():
            for name, parameter in model.head.named_parameters():
                parameter[here] = state[name][there].to(parameter)
    except (OSError, SafetensorError, KeyError, IndexError, RuntimeError) as problem:
        raise ModelError(f"cannot go on from the head {head / HEAD}: {problem}") from problem


def _switch_dropout_off(backbone: PreTrainedModel) -> None:
    """Frozen weights cannot overfit; the adapter has a dropout of its own.

    The base's would only cost time: a third of a training step on a CPU.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def merged(model: PatentClassifier) -> PatentClassifier:
    """A copy to answer with, as ``load_classifier`` would give it after a save.

    In bfloat16, where merging would round most of the adapter away, it is ``model`` itself.
    """
    parameters = model.backbone.parameters()
    if any(parameter.dtype != torch.float32 for parameter in parameters):
        return model
    copied = copy.deepcopy(model)
    copied.backbone = merge_adapter(copied.backbone)
    return copied.eval()


def fast_merged(model: PatentClassifier) -> PatentClassifier:
    """As ``merged``, but for rounding; faster where one thread at a time computes it."""
    copied = merged(model)
    if copied is not model:
        use_float32_attention(copied.backbone)
    return copied


def load_classifier(
    parts: Parts, adapter: Path | None, head: Path, labels: int
) -> PatentClassifier:
    """A classifier to answer with: saved adapter (merged in float32), saved head.

    :param adapter: None if the base has it merged in already.
    :param head: folder that holds the head.
    :raises ModelError: if adapter or head are missing or have the wrong shape.
    """
    backbone: PeftModel | PreTrainedModel = load_backbone(parts)
    if adapter is not None:
        adapted = load_adapter(backbone, adapter)
        # In bfloat16 a merge would round most of the adapter away.
        merge = parts.compute.dtype == torch.float32
        backbone = merge_adapter(adapted) if merge else adapted
    traits = parts.architecture
    model = PatentClassifier(backbone, traits.pooling, traits.hidden_size, labels)
    model.head.load_state_dict(_load_head(head, labels, traits.hidden_size))
    return model.to(parts.compute.device).eval()


def load_backbone(parts: Parts) -> PreTrainedModel:
    """The pretrained model without any head, in the chosen precision.

    :raises ModelError: if its weights cannot be read.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    traits = parts.architecture
    try:
        packed = is_packed(parts.base.folder / PACKED)
        weights = _count_weights(parts.base.folder)
        check_memory(parts.base.name, weights, parts.compute.device, parts.compute.dtype)
        backbone, absent = _load_packed(parts) if packed else _load_plain(parts)
    except ModelError:
        raise
    except Exception as problem:  # a configuration that fits nothing fails anywhere in the library
        raise ModelError(f"cannot load base '{parts.base.name}': {problem}") from problem
    missing = [key for key in absent if not key.startswith("pooler.")]
    if missing:
        raise ModelError(
            f"base '{parts.base.name}' lacks {len(missing)} weights of its architecture, e.g. "
            f"{sorted(missing)[0]}; they would be random. Use a complete copy."
        )
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # its output is not used; an adapter on it would never learn
    if traits.pooling is Pooling.LAST:
        backbone.config.use_cache = False
    return backbone


# Values that a model may have beside its weights, such as masks and positions.
_BESIDE = 2**26


def _count_weights(folder: Path) -> int:
    """The weights that a configuration describes, of which no far fewer are in the files.

    They would be made before it is noticed that the files lack them.

    :raises ModelError: naming both figures.
    """
    held = tensors = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                held += math.prod(file.get_slice(name).get_shape())
                tensors += 1
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    layers = getattr(config, "num_hidden_layers", 0)
    if layers > tensors:
        raise ModelError(f"{folder / 'config.json'} has {layers} layers, but {tensors} weights.")
    with torch.device("meta"):
        model = AutoModel.from_config(config, trust_remote_code=False)
    needed = int(sum(t.numel() for t in (*model.parameters(), *model.buffers())))
    # Packed, a byte holds at most four values; a shared matrix is stored once.
    if needed > 4 * held + _BESIDE:
        raise ModelError(
            f"{folder / 'config.json'} describes {needed:,} weights, but the files hold {held:,}."
        )
    return needed


def _load_plain(parts: Parts) -> tuple[PreTrainedModel, list[str]]:
    """The backbone, and the names of the weights that its files lack."""
    backbone, loaded = AutoModel.from_pretrained(
        parts.base.folder,
        dtype=parts.compute.dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    return backbone, list(loaded["missing_keys"])


def _load_packed(parts: Parts) -> tuple[PreTrainedModel, list[str]]:
    """As ``_load_plain``, from packed weights."""
    config = AutoConfig.from_pretrained(
        parts.base.folder, local_files_only=True, trust_remote_code=False
    )
    backbone = AutoModel.from_config(config, dtype=parts.compute.dtype, trust_remote_code=False)
    loaded = backbone.load_state_dict(unpack(parts.base.folder / PACKED), strict=False)
    return backbone, list(loaded.missing_keys)


def _load_head(folder: Path, labels: int, hidden: int) -> dict[str, torch.Tensor]:
    path = folder / HEAD
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"cannot read the head {path}: {problem}") from problem
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {"weight": (labels, hidden), "bias": (labels,)}
    if shapes != expected:
        raise ModelError(f"the head {path} has shapes {shapes}, expected {expected}.")
    return state
