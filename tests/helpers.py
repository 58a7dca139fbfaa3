"""Short cuts for tests that train or call the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from patclass.bundle import read_bundle
from patclass.core.settings import TrainSettings
from patclass.training import run as run_module
from patclass.training.run import Echo, RunResult, train

ROOT = Path(__file__).resolve().parents[1]

# What a script exits with when root may not become somebody else.
CANNOT_GIVE_UP = 77


def run_script(script: str, *arguments: object) -> str:
    """What a Python script prints, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == CANNOT_GIVE_UP:
        pytest.skip("root cannot give up its rights here")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
    return TrainSettings.load(flags | more, environment={})


def tiny_train(settings: TrainSettings, echo: Echo = lambda line: None, **how: bool) -> RunResult:
    """Train silently; verify the bundle in this process, as a new one takes seconds to start."""

    def verify(folder: Path, device: str) -> None:
        read_bundle(folder).verify(device)

    with patch.object(run_module, "verify_in_fresh_process", verify):
        return train(settings, echo=echo, **how)


def tiny_run(base: Path, data: Path, output: Path, **more: object) -> RunResult:
    """Train a tiny model with the settings of ``tiny_settings``."""
    return tiny_train(tiny_settings(base, data, output, **more))
