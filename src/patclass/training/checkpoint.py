"""Whole snapshots of a run in safetensors and JSON. Knows tensors and counters, no data.

A snapshot is a folder that is renamed into place, so that a kill at any moment leaves the
last whole one.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file

from patclass.core.errors import TrainingError, cannot_write
from patclass.core.files import atomic_folder, write_json
from patclass.model.network import PatentClassifier
from patclass.model.packing import save_tensors


class Curve:
    """Appends to a file; on resume, forgets what came after the checkpoint."""

    def __init__(self, path: Path | None, resume_at: int | None = None) -> None:
        """:param path: None where another process writes it."""
        self._path = path
        kept = [] if resume_at is None else self._lines_until(resume_at)
        self._write("w", "".join(f"{line}\n" for line in kept))

    def _lines_until(self, step: int) -> list[str]:
        if self._path is None or not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if _step(line) <= step]

    def add(self, **entry: Any) -> None:
        """Append one line; ``step`` is the number of steps done.

        :raises OutputError: if the disk is full.
        """
        self._write("a", json.dumps(entry) + "\n")

    def _write(self, mode: str, text: str) -> None:
        if self._path is None:
            return
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as problem:
            raise cannot_write(self._path, problem) from problem


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # a line cut off by a kill
        return float("inf")


STATE = "state.safetensors"
PROGRESS = "progress.json"

_PREFIX = "checkpoint-"


class Progress(BaseModel):
    """Where a run stands: steps done in all, and the epoch that comes next or goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    processes: int = 1
    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_epoch: int | None = None
    best_score: float = 0.0
    best_loss: float = 0.0

    def is_beaten_by(self, score: float, loss: float) -> bool:
        """Whether an epoch is the best so far: by its score, then by its loss."""
        best = (self.best_score, -self.best_loss)
        return self.best_epoch is None or (score, -loss) > best


def save_checkpoint(
    folder: Path, model: PatentClassifier, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write a snapshot, then remove the older ones.

    :raises OutputError: if it cannot be written.
    """
    target = folder / f"{_PREFIX}{progress.step:08d}"
    with atomic_folder(target, PROGRESS) as partial:
        save_tensors(_tensors(model, optimizer), partial / STATE)
        write_json(partial / PROGRESS, progress.model_dump())
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
            f"checkpoint {checkpoint} is damaged ({problem}); start again with restart.",
            setting="restart",
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
            f"checkpoint {checkpoint} does not fit this run ({problem}); start again with restart.",
            setting="restart",
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
