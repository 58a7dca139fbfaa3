"""Proof that a bundle answers in a process that knows nothing but its folder."""

import os
import subprocess
import sys
from pathlib import Path

from patclass.errors import BundleError


def verify_in_fresh_process(folder: Path, device: str) -> None:
    """Reload a bundle in a new process and compare its golden logits.

    :raises BundleError: with what that process said.
    """
    # The package may run from a source folder that only this process knows of.
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH")) if part)
    done = subprocess.run(
        [sys.executable, "-m", "patclass", "verify", str(folder), "--device", device],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BundleError(
            f"the bundle was not saved, because a fresh process could not reproduce it: "
            f"{said[-1] if said else f'exit code {done.returncode}'}"
        )
