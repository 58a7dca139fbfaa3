"""A prediction as plain fields: the same ones in files, on the command line and in the API."""

from dataclasses import asdict
from typing import Any

import pyarrow as pa

from patclass.inference.answer import Prediction
from patclass.labels import LEVELS

_CANDIDATES = pa.list_(
    pa.struct([("label", pa.string()), ("name", pa.string()), ("confidence", pa.float64())])
)
_NEIGHBOURS = pa.list_(
    pa.struct(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("codes", pa.list_(pa.string())),
            ("similarity", pa.float64()),
        ]
    )
)
_PASSAGES = pa.list_(
    pa.struct([("start", pa.int64()), ("end", pa.int64()), ("contribution", pa.float64())])
)

# The columns of an answer file, in their order.
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("name", pa.string()),
        ("confidence", pa.float64()),
        ("level", pa.string()),
        ("sure", pa.bool_()),
        *(
            (f"{level}{part}", kind)
            for level in LEVELS
            for part, kind in (("", pa.string()), ("_confidence", pa.float64()))
        ),
        ("path", _CANDIDATES),
        ("top", _CANDIDATES),
        ("set", _CANDIDATES),
        ("tags", _CANDIDATES),
        ("read", pa.float64()),
        ("passages", _PASSAGES),
        ("neighbours", _NEIGHBOURS),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
    ]
)
COLUMNS = tuple(SCHEMA.names)


def record_of(prediction: Prediction) -> dict[str, Any]:
    """The fields of an answer; ``id`` and ``error`` belong to a row and are None here.

    The levels of the scheme that the model does not know are None as well.
    """
    fields = dict.fromkeys(COLUMNS) | asdict(prediction)
    levels = fields.pop("levels")
    for level in LEVELS:
        if level in levels:
            fields[level] = levels[level]["label"]
            fields[f"{level}_confidence"] = levels[level]["confidence"]
    return fields
