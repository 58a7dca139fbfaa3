"""Rows of local files, one at a time. Knows file formats, not what the columns mean.

A row that cannot be decoded comes out as a row with an error, in its place, so that
nothing vanishes and one bad row does not end a long job.
"""

import csv
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.text import SURROGATE

ID_COLUMNS = ("id", "publication_number", "patent_number", "patent_id")

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

# A patent's full text in one cell easily passes the csv module's default of 128 KiB; without
# any bound, one stray quotation mark would swallow the rest of a file.
csv.field_size_limit(4_000_000)


@dataclass(frozen=True)
class Row:
    """One row of a source: its position (from 1) and its fields, or why it has none."""

    number: int
    fields: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def id(self) -> str:
        """The patent's number, or the row's where there is none."""
        names = (self.fields.get(column) for column in ID_COLUMNS)
        return next((str(name) for name in names if name not in (None, "")), str(self.number))


def file_format(path: Path) -> str:
    """The suffix that decides how ``path`` is read or written.

    :raises DataError: if it is none of the formats.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: '{suffix or path.name}' is no known format; use {', '.join(FORMATS)}."
        )
    return suffix


def columns_of(path: Path) -> list[str]:
    """The columns of a file (of a JSONL file: all keys of its first 100 rows).

    :raises DataError: if the file is missing, empty or broken.
    """
    suffix = file_format(path)
    _check_readable(path)
    if suffix == ".parquet":
        columns = list(_open_parquet(path).schema_arrow.names)
    elif suffix == ".jsonl":
        rows = islice(read_rows(path), 100)
        columns = list(dict.fromkeys(key for row in rows for key in row.fields))
    else:
        with _open_csv(path) as file:
            columns = next(csv.reader(file, delimiter=_delimiter(suffix)), [])
    if not columns:
        raise DataError(f"{path} has no columns; expected named fields such as text or title.")
    return columns


def read_rows(path: Path, wanted: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the rows of a CSV, TSV, JSONL or Parquet file in their order.

    :param wanted: the only columns that a Parquet file need be read for.
    :raises DataError: if the file is missing, empty, corrupt or of an unknown format.
    """
    suffix = file_format(path)
    _check_readable(path)
    if suffix == ".parquet":
        return _read_parquet(path, wanted)
    return _read_jsonl(path) if suffix == ".jsonl" else _read_csv(path, _delimiter(suffix))


def count_rows(path: Path) -> int:
    """The number of rows, bad ones included; reads the whole file unless it is Parquet.

    :raises DataError: as ``read_rows``.
    """
    if file_format(path) != ".parquet":
        return sum(1 for _ in read_rows(path))
    _check_readable(path)
    return int(_open_parquet(path).metadata.num_rows)


def _delimiter(suffix: str) -> str:
    return "\t" if suffix == ".tsv" else ","


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise DataError(f"{path} is empty; expected a header and at least one row.")
    except OSError as problem:
        raise DataError(f"cannot read {path}: {problem.strerror}.") from problem


def _open_csv(path: Path) -> TextIO:
    # surrogateescape keeps undecodable bytes recognisable instead of failing the whole file.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_csv(path: Path, delimiter: str) -> Iterator[Row]:
    with _open_csv(path) as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        number = 0
        while True:
            number += 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                yield Row(number, error=f"unreadable row: {problem}")
                continue
            yield _csv_row(number, fields)


def _csv_row(number: int, fields: dict[Any, Any]) -> Row:
    if None in fields:
        return Row(number, error="more cells than the header has columns")
    if any(SURROGATE.search(text) for text in fields.values() if text):
        return Row(number, error="undecodable: not UTF-8")
    return Row(number, fields)


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        number = 0
        for line in file:
            if not line.strip():
                continue
            number += 1
            yield _json_row(number, line)


def _json_row(number: int, line: bytes) -> Row:
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Row(number, error="undecodable: not UTF-8")
    except (ValueError, RecursionError) as problem:
        return Row(number, error=f"undecodable: not JSON ({problem})")
    if not isinstance(fields, dict):
        return Row(number, error="undecodable: not a JSON object")
    if SURROGATE.search(json.dumps(fields, ensure_ascii=False)):
        return Row(number, error="undecodable: half a surrogate pair")
    return Row(number, fields)


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as problem:
        raise DataError(f"{path} is not a readable Parquet file: {problem}") from problem


def _read_parquet(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    number = 0
    with _open_parquet(path) as file:
        try:
            names = file.schema_arrow.names
            columns = names if wanted is None else [name for name in names if name in wanted]
            for batch in file.iter_batches(batch_size=256, columns=columns):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, fields)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
            raise DataError(
                f"{path} is corrupt after row {number}: {problem}. Make the file again."
            ) from problem
