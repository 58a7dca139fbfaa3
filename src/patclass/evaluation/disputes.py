"""Disputed labels as a file that a person can review. Knows rows and labels, no model."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from patclass.data.corpus import Example
from patclass.data.rows import file_format
from patclass.evaluation.audit import Dispute
from patclass.files import whole_file
from patclass.labels import LabelSet

# Enough of a text to judge by; the whole of it is found by its id.
EXCERPT = 400


def write_disputes(
    disputes: Sequence[Dispute], rows: Sequence[Example], labels: LabelSet, target: Path
) -> None:
    """Write one row for each dispute, with an empty column ``decision`` to fill in.

    :raises DataError: if the suffix of ``target`` is no known format.
    :raises OutputError: if it cannot be written.
    """
    suffix = file_format(target)
    table = pa.Table.from_pylist([_record(d, rows[d.position], labels) for d in disputes], _SCHEMA)
    with whole_file(target) as aside:
        if suffix == ".parquet":
            pq.write_table(table, aside)
        elif suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
            aside.write_text("".join(lines), encoding="utf-8")
        else:
            delimiter = "\t" if suffix == ".tsv" else ","
            options = pyarrow.csv.WriteOptions(delimiter=delimiter)
            pyarrow.csv.write_csv(table, aside, options)


_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("label", pa.string()),
        ("label_name", pa.string()),
        ("suggested", pa.string()),
        ("suggested_name", pa.string()),
        ("label_probability", pa.float64()),
        ("suggested_probability", pa.float64()),
        ("text", pa.string()),
        ("decision", pa.string()),
    ]
)


def _record(dispute: Dispute, row: Example, labels: LabelSet) -> dict[str, object]:
    label, suggested = labels[dispute.label], labels[dispute.suggested]
    return {
        "id": row.id,
        "title": row.facts.title,
        "label": label.code,
        "label_name": label.name,
        "suggested": suggested.code,
        "suggested_name": suggested.name,
        "label_probability": round(dispute.label_probability, 4),
        "suggested_probability": round(dispute.suggested_probability, 4),
        "text": row.text[:EXCERPT],
    }
