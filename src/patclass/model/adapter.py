"""The LoRA adapter on a backbone, through PEFT. Knows no head and no text.

The backbone is wrapped without a head of its own, so no target rule can ever wrap the head,
and whether the head is saved does not depend on PEFT's task type.
"""

import json
import warnings
from pathlib import Path
from typing import Annotated, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS,
)
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from patclass.core.errors import ModelError
from patclass.core.files import parse_json
from patclass.core.settings import MOST_RANK, LoraSettings
from patclass.model.layer_stack import layers_of
from patclass.model.packing import save_tensors

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def add_adapter(
    backbone: PreTrainedModel, settings: LoraSettings, source: str, revision: str | None = None
) -> PeftModel:
    """Wrap ``backbone`` with a fresh adapter whose output is zero.

    :param source: the base's hub id or folder, by which plain PEFT finds it again.
    :raises ModelError: if the target modules do not exist in this architecture.
    """
    config = LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_targets(settings.targets),
        base_model_name_or_path=source,
        revision=revision,
    )
    if settings.lora_layers is not None:
        config.target_modules = _in_upper_layers(backbone, settings.lora_layers, config)
    return _wrap(backbone, config)


def _targets(spec: str) -> str | list[str] | None:
    """PEFT's form: None lets it take the architecture's usual modules."""
    if spec in ("auto", "all-linear"):
        return None if spec == "auto" else spec
    return [name.strip() for name in spec.split(",") if name.strip()]


def _in_upper_layers(backbone: PreTrainedModel, count: int, config: LoraConfig) -> list[str]:
    """The whole names of the target modules in the upper layers.

    :raises ModelError: if there are fewer layers.
    """
    layers = layers_of(backbone)
    if count > len(layers):
        raise ModelError(
            f"lora_layers {count}: base '{config.base_model_name_or_path}' has {len(layers)} "
            "layers; give at most so many.",
            setting="lora_layers",
        )
    wanted = config.target_modules or TARGETS.get(backbone.config.model_type, ())
    inside = {module for layer in layers[-count:] for module in layer.modules()}
    found = [
        name
        for name, module in backbone.named_modules()
        if module in inside
        and isinstance(module, torch.nn.Linear)
        and (wanted == "all-linear" or any(f".{name}".endswith(f".{end}") for end in wanted))
    ]
    # Where there is none, PEFT says so by what was asked for.
    return found or [*wanted]


def _wrap(backbone: PreTrainedModel, config: LoraConfig) -> PeftModel:
    name = config.base_model_name_or_path
    try:
        with warnings.catch_warnings():
            # PEFT complains that the base's name is not the folder it was loaded from, and
            # asks transformers by a name that has become an alias.
            warnings.filterwarnings("ignore", message="The PEFT config's `base_model_name")
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            model = get_peft_model(backbone, config)
        model.peft_config["default"].base_model_name_or_path = name
        return model
    except ValueError as problem:
        linear = {
            name.rsplit(".", 1)[-1]
            for name, module in backbone.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        raise ModelError(
            f"LoRA targets do not fit this base ({problem}). Its linear layers are: "
            f"{', '.join(sorted(linear))}; name some of them.",
            setting="targets",
        ) from problem


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's tensors by PEFT's names, on the CPU."""
    return {name: tensor.detach().cpu() for name, tensor in _state(model).items()}


def _state(model: PeftModel) -> dict[str, torch.Tensor]:
    # The embedding is never resized; left to itself, PEFT would ask the hub about that.
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(model, save_embedding_layers=False)
    return state


def has_moved(model: PeftModel) -> bool:
    """Whether any adapter weight differs from its start, where every ``lora_B`` is zero."""
    moved = (
        bool(parameter.detach().any())
        for name, parameter in model.named_parameters()
        if "lora_B" in name
    )
    return any(moved)


def scale_adapter(model: PeftModel, share: float) -> None:
    """Reduce what the adapter adds to the base to a share of it."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(share)


def save_adapter(model: PeftModel, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the adapter in PEFT's own layout, with the base's name instead of a local path."""
    folder.mkdir()
    weights = {name: tensor.to(dtype) for name, tensor in adapter_weights(model).items()}
    save_tensors(weights, folder / WEIGHTS)
    config = model.peft_config["default"].to_dict()
    config["inference_mode"] = True
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def load_adapter(backbone: PreTrainedModel, folder: Path) -> PeftModel:
    """Wrap ``backbone`` with a saved adapter; every tensor must be there and fit.

    :raises ModelError: if tensors are missing, surplus or of another shape.
    """
    try:
        config = _read_config(folder / CONFIG)
    except (OSError, ValueError) as problem:
        raise ModelError(f"cannot read {folder / CONFIG}: {problem}") from problem
    saved = _read_weights(folder)
    model = _wrap(backbone, config)
    _fill(model, saved, folder)
    return model


def load_adapter_weights(model: PeftModel, folder: Path) -> None:
    """Give an adapter that is to be trained the weights of a saved one of the same shape.

    :raises ModelError: if tensors are missing, surplus or of another shape.
    """
    _fill(model, _read_weights(folder), folder)


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    try:
        saved: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"cannot read {path}: {problem}") from problem
    return saved


def _fill(model: PeftModel, saved: dict[str, torch.Tensor], folder: Path) -> None:
    expected = {name: tuple(t.shape) for name, t in _state(model).items()}
    found = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    if expected != found:
        wrong = sorted(expected.items() ^ found.items())[0]
        raise ModelError(
            f"the adapter in {folder} does not fit its base: {wrong[0]} with shape {wrong[1]} "
            "stands on one side only."
        )
    set_peft_model_state_dict(model, saved)


class _StoredConfig(BaseModel):
    """Of an adapter's configuration, what is used.

    A text as the target modules would be a regular expression of the file's author.
    """

    peft_type: Literal["LORA"]
    r: int = Field(ge=1, le=MOST_RANK)
    lora_alpha: int = Field(ge=1, le=2**31)
    lora_dropout: float = Field(ge=0, lt=1)
    target_modules: list[Annotated[str, Field(pattern=r"^[\w.]+$")]] = Field(min_length=1)
    base_model_name_or_path: str


def _read_config(path: Path) -> LoraConfig:
    """Take the four figures that matter; PEFT's other settings may rewrite base weights."""
    try:
        config = _StoredConfig.model_validate(parse_json(path.read_bytes()))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{path.name} is damaged at '{where}': {first['msg'].lower()}"
        ) from problem
    return LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        base_model_name_or_path=config.base_model_name_or_path,
        inference_mode=True,
    )


def merge_adapter(model: PeftModel) -> PreTrainedModel:
    """Fold the adapter into the backbone's float weights and return the plain backbone.

    :raises ModelError: if a weight of the base is not floating point (quantised): merging
        rounds the adapter away and flips answers.
    """
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            raise ModelError(
                f"cannot merge into quantised weights ({name} is {parameter.dtype}); "
                "merge in float, then quantise."
            )
    return model.merge_and_unload()
