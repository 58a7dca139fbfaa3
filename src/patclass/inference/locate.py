"""Which bundle answers when none, or one by name, is asked for. Knows places only."""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from patclass.bundle.layout import LAYOUT
from patclass.bundle.registry import champion_in
from patclass.errors import BundleError

SHIPPED = "shipped"
VARIABLE = "PATCLASS_MODEL"
TRAINED = Path("final_model")


def locate(model: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """``model`` itself, else PATCLASS_MODEL, else ``final_model``, else the shipped bundle.

    Of a registry that is its champion.

    :raises BundleError: if this installation has no shipped bundle, or a registry is damaged.
    """
    wanted = str(model) if model is not None else environment.get(VARIABLE) or None
    if wanted is None:
        wanted = str(TRAINED) if (TRAINED / LAYOUT.manifest).is_file() else SHIPPED
    return _shipped() if wanted == SHIPPED else champion_in(Path(wanted))


def _shipped() -> Path:
    folder = Path(str(resources.files("patclass") / "shipped"))
    if not (folder / LAYOUT.manifest).is_file():
        raise BundleError(
            "this installation holds no shipped model: train one with 'patclass train', or name "
            f"a bundle with --model or {VARIABLE}."
        )
    return folder
