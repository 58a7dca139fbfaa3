"""Short cuts for tests that train or call the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from patclass.bundle import read_bundle
from patclass.config import TrainSettings, load_settings
from patclass.training import run as run_module
from patclass.training.run import RunResult, train


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: object
    err: str
    out: str = ""


Cli = Callable[..., Outcome]


def tiny_settings(base: Path, data: Path, output: Path, **more: object) -> TrainSettings:
    """Settings under which a tiny model learns the rows of ``patent_rows`` within seconds."""
    flags = {
        "base": str(base),
        "data": str(data),
        "output": output,
        "epochs": 3,
        "batch_tokens": 400,
        "max_tokens": 64,
        "learning_rate": 5e-3,
        "device": "cpu",
        "allow_weak": True,
    }
    return load_settings(flags | more, environment={})


def tiny_train(settings: TrainSettings, **how: bool) -> RunResult:
    """Train silently; verify the bundle in this process, as a new one takes seconds to start."""

    def verify(folder: Path, device: str) -> None:
        read_bundle(folder).verify(device)

    with patch.object(run_module, "verify_in_fresh_process", verify):
        return train(settings, echo=lambda line: None, **how)


def tiny_run(base: Path, data: Path, output: Path, **more: object) -> RunResult:
    """Train a tiny model with the settings of ``tiny_settings``."""
    return tiny_train(tiny_settings(base, data, output, **more))
