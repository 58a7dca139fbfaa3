"""Writers of result rows: JSONL, CSV, TSV, Parquet. Know no model."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.data.rows import file_format
from patclass.inference.record import COLUMNS
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


class Sink(Protocol):
    """Takes result rows with the keys of ``COLUMNS``; None where a cell is empty."""

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows."""


class _JsonSink:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            filled = {key: value for key, value in row.items() if value not in (None, ())}
            self._file.write(json.dumps(filled, ensure_ascii=False) + "\n")


class _CsvSink:
    def __init__(self, file: Any, delimiter: str) -> None:
        self._writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter, lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            self._writer.writerow({key: _cell(value) for key, value in row.items()})


def _cell(value: Any) -> Any:
    """Lists as JSON; an empty one as an empty cell."""
    if isinstance(value, (list, tuple)):
        return json.dumps(value, ensure_ascii=False) if value else None
    return value


class _ParquetSink:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        self._writer.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA))


@contextmanager
def open_sink(path: Path) -> Iterator[Sink]:
    """Open ``path`` for result rows; its suffix decides the format.

    :raises DataError: if the suffix is no known format.
    """
    suffix = file_format(path)
    if suffix == ".parquet":
        with pq.ParquetWriter(path, SCHEMA) as writer:
            yield _ParquetSink(writer)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if suffix == ".jsonl":
            yield _JsonSink(file)
        else:
            yield _CsvSink(file, "\t" if suffix == ".tsv" else ",")
