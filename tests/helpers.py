"""Helpers for tests that wait, train or call the command line."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from unittest.mock import patch

import pytest

from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import write_manifest
from patclass.core.settings import TrainSettings
from patclass.core.types import Echo

if TYPE_CHECKING:
    from patclass.training.run import RunResult

ROOT = Path(__file__).resolve().parents[1]

# Set by pytest's option --full before any test is read.
FULL_LANE = "PATCLASS_TEST_FULL"

# The exit code of a script that cannot drop the privileges of root.
CANNOT_GIVE_UP = 77


T = TypeVar("T")


def full(fast: T, full: T) -> T:
    """What differs in the full lane: most often a count, smaller in the fast one but not zero."""
    return full if os.environ.get(FULL_LANE) else fast


def wait_until(condition: Callable[[], object], seconds: float = 180) -> None:
    """Wait for an event, with a limit that is generous on slow machines.

    The pauses grow, so that waiting does not slow down what is waited for.
    """
    end, pause = time.monotonic() + seconds, 0.01
    while not condition():
        assert time.monotonic() < end, f"the condition was not met within {seconds:g} seconds"
        time.sleep(pause)
        pause = min(1.3 * pause, 0.1)


def run_script(script: str, *arguments: object) -> str:
    """Run a Python script in a separate process and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode == CANNOT_GIVE_UP:
        pytest.skip("root cannot drop its privileges here")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(*arguments: object) -> set[str]:
    """The top-level modules that a separate Python process imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


def rewrite_manifest(bundle: Path) -> None:
    """Rewrite the manifest, so that changes to a bundle match its hashes."""
    (bundle / LAYOUT.manifest).unlink()
    write_manifest(bundle)


@dataclass(frozen=True)
class Outcome:
    """The exit code and output of a command."""

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
        "mixed_precision": False,  # so that every processor learns the same
        "finest": "subclass",
    }
    return TrainSettings.load(flags | more, environment={})


@contextmanager
def verified_here(drawn: bool = False) -> Iterator[None]:
    """Verify new bundles in this process, as a new one takes seconds to start.

    :param drawn: draw the charts of their reports too, a third of the time of a tiny training.
    """

    def verify(folder: Path, device: str) -> None:
        read_bundle(folder).verify("cpu")

    with ExitStack() as stack:
        stack.enter_context(patch("patclass.training.run.verify_in_fresh_process", verify))
        stack.enter_context(patch("patclass.export.run.verify_in_fresh_process", verify))
        if not drawn:
            stack.enter_context(_undrawn())
        yield


@contextmanager
def _undrawn() -> Iterator[None]:
    """Write pictures without a chart; tests/evaluation, the README and tests/cli draw real ones."""
    with (
        patch.multiple(
            "patclass.training.save",
            confusion_matrix=lambda cells: None,
            write_png=lambda chart, title, path: path.write_bytes(b"\x89PNG"),
        ),
        patch.multiple(
            "patclass.evaluation.pages",
            calibration_curve=lambda after, before: None,
            coverage_curve=lambda points: None,
            data_uri=lambda chart: "data:image/svg+xml;base64,",
        ),
    ):
        yield


def tiny_train(settings: TrainSettings, echo: Echo = lambda line: None, **how: bool) -> "RunResult":
    """Train silently, and verify the bundle in this process."""
    from patclass.training.run import train

    with verified_here():
        return train(settings, echo=echo, **how)


def tiny_run(base: Path, data: Path, output: Path, **more: object) -> "RunResult":
    """Train a tiny model with the settings of ``tiny_settings``."""
    return tiny_train(tiny_settings(base, data, output, **more))
