"""Whole snapshots of a run in safetensors and JSON. Knows tensors and counters, no data.

A snapshot is a folder that is renamed into place, so that a kill at any moment leaves the
last whole one.
"""

import json
import shutil
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file

from patclass.errors import TrainingError
from patclass.files import whole_folder, write_json
from patclass.model.classifier import PatentClassifier
from patclass.model.tensors import save_tensors

STATE = "state.safetensors"
PROGRESS = "progress.json"

_PREFIX = "checkpoint-"


class Progress(BaseModel):
    """Where a run stands: steps done in all, and the epoch that comes next or goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_epoch: int | None = None
    best_accuracy: float = 0.0
    best_loss: float = 0.0

    def is_beaten_by(self, accuracy: float, loss: float) -> bool:
        """Whether an epoch is the best so far: by accuracy, then by loss."""
        best = (self.best_accuracy, -self.best_loss)
        return self.best_epoch is None or (accuracy, -loss) > best


def save_checkpoint(
    folder: Path, model: PatentClassifier, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write a snapshot, then remove the older ones.

    :raises OutputError: if it cannot be written.
    """
    target = folder / f"{_PREFIX}{progress.step:08d}"
    with whole_folder(target, PROGRESS) as aside:
        save_tensors(_tensors(model, optimizer), aside / STATE)
        write_json(aside / PROGRESS, progress.model_dump())
    for older in folder.glob(f"{_PREFIX}*"):
        if older != target:
            shutil.rmtree(older, ignore_errors=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The last whole snapshot, if there is one."""
    return max(folder.glob(f"{_PREFIX}*"), default=None)


def remove_checkpoints(folder: Path) -> None:
    """Remove every snapshot, and what a kill has left of an unfinished one."""
    for place in (*folder.glob(f"{_PREFIX}*"), *folder.glob(f".{_PREFIX}*")):
        shutil.rmtree(place)


def read_progress(checkpoint: Path) -> Progress:
    """The counters of a snapshot.

    :raises TrainingError: if it is damaged.
    """
    try:
        text = (checkpoint / PROGRESS).read_text(encoding="utf-8")
        return Progress.model_validate(json.loads(text))
    except (OSError, ValueError) as problem:
        raise TrainingError(
            f"checkpoint {checkpoint} is damaged ({problem}); start anew with --restart."
        ) from problem


def restore(checkpoint: Path, model: PatentClassifier, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, moments and random state back.

    :raises TrainingError: if the snapshot does not fit the model.
    """
    try:
        tensors = load_file(checkpoint / STATE)
        with torch.no_grad():
            for name, parameter in model.trainable().items():
                parameter.copy_(tensors[f"weight/{name}"])
                optimizer.state[parameter] = {
                    key: tensors[f"{key}/{name}"].to("cpu" if key == "step" else parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        torch.set_rng_state(tensors["random/cpu"])
        if torch.cuda.is_available() and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"])
    except (KeyError, RuntimeError, OSError, SafetensorError) as problem:
        raise TrainingError(
            f"checkpoint {checkpoint} does not fit this run ({problem}); start with --restart."
        ) from problem


def _tensors(model: PatentClassifier, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    for name, parameter in model.trainable().items():
        tensors[f"weight/{name}"] = parameter
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value
    return tensors
