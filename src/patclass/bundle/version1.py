"""Bundles of format 1 as format 2: flat labels, nothing calibrated. Knows JSON only."""

from collections.abc import Mapping
from typing import Any

from patclass.cpc.scheme import SECTIONS
from patclass.cpc.symbols import LEVELS


def upgrade_labels(entries: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The list of labels as a tree of one level, named after the level that was asked for.

    :raises TypeError: if ``entries`` is no list of labels.
    :raises KeyError: if a label lacks code or name.
    """
    wanted = settings["data"]["labels"]
    if wanted == "auto" and all(entry["code"] in SECTIONS for entry in entries):
        wanted = "section"
    level = wanted if wanted in LEVELS else "label"
    return {
        "levels": [level],
        "paths": [[entry["code"]] for entry in entries],
        "names": {entry["code"]: entry["name"] for entry in entries},
        "tags": [],
    }


def upgrade_calibration() -> dict[str, Any]:
    """Probabilities as they come; no threshold is known, so none is claimed."""
    return {"inverse_temperatures": [1.0], "linear_weight": 0.0, "precision": 0.9, "thresholds": {}}
