"""A prediction as plain fields: the same ones in files, on the command line and in the API."""

from dataclasses import asdict
from typing import Any

from patclass.inference.answer import Prediction
from patclass.labels import LEVELS

# The columns of an answer, in their order.
COLUMNS = (
    "id",
    "label",
    "name",
    "confidence",
    "level",
    "sure",
    *(f"{level}{part}" for level in LEVELS for part in ("", "_confidence")),
    "path",
    "top",
    "set",
    "tags",
    "read",
    "passages",
    "neighbours",
    "warnings",
    "error",
)


def record_of(prediction: Prediction) -> dict[str, Any]:
    """The fields of an answer; ``id`` and ``error`` belong to a row and are None here.

    The levels of the scheme that the model does not know are None as well.
    """
    fields: dict[str, Any] = dict.fromkeys(COLUMNS) | asdict(prediction)
    levels = fields.pop("levels")
    del (
        fields["text"],
        fields["alternatives"],
        fields["signals"],
    )  # of one answer on a screen, not of a table
    for level in LEVELS:
        if level in levels:
            fields[level] = levels[level]["label"]
            fields[f"{level}_confidence"] = levels[level]["confidence"]
    return fields
