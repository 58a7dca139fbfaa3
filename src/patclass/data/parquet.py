"""Rows of Parquet files, with their types. Knows no roles."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.documents.document import TABLE_FORMAT
from patclass.data.formats import seekable
from patclass.data.table import Row, Table


@contextmanager
def _open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    with seekable(path) as (_, source):
        try:
            file = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"{path} is not a readable Parquet file: {problem}") from problem
        with file:
            yield file


def parquet_table(path: Path) -> Table:
    """Recognise a Parquet file.

    :raises DataError: if it is none, or damaged.
    """
    with _open_parquet(path) as file:
        schema, count = file.schema_arrow, int(file.metadata.num_rows)
    version = (schema.metadata or {}).get(b"patclass.documents", TABLE_FORMAT.encode()).decode()
    if version != TABLE_FORMAT:
        raise DataError(
            f"{path} is a table of documents in format {version}, and this version of patclass "
            f"reads format {TABLE_FORMAT}; make it again with 'patclass convert'."
        )
    read = partial(_read_parquet, path)
    types = {field.name: _plain_type(field.type) for field in schema}
    columns = tuple(types)
    return Table(path, columns, {}, "read as Parquet", read, types=types, estimate=lambda: count)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, however they are stored."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _read_parquet(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    number = 0
    with _open_parquet(path) as file:
        try:
            names = file.schema_arrow.names
            columns = names if wanted is None else [name for name in names if name in wanted]
            for batch in file.iter_batches(batch_size=256, columns=columns):
                for row in _batch_rows(batch, number):
                    number += 1
                    yield row
        except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
            raise DataError(
                f"{path} is corrupt after row {number}: {problem}. Make the file again."
            ) from problem


def _batch_rows(batch: pa.RecordBatch, before: int) -> Iterator[Row]:
    """The rows of a batch; a cell that cannot be read is an error of its row if it is text."""
    try:
        for number, fields in enumerate(batch.to_pylist(), before + 1):
            yield Row(number, fields)
    except (ValueError, OverflowError):
        errors: dict[int, str] = {}
        columns = [_cells(batch, name, errors) for name in batch.schema.names]
        for place, values in enumerate(zip(*columns, strict=True)):
            fields = dict(zip(batch.schema.names, values, strict=True))
            yield Row(before + place + 1, fields, errors.get(place))


def _cells(batch: pa.RecordBatch, name: str, errors: dict[int, str]) -> list[Any]:
    values: list[Any] = []
    for place, cell in enumerate(batch.column(name)):
        try:
            values.append(cell.as_py())
        except (ValueError, OverflowError):  # not UTF-8, or a date that Python does not have
            values.append(None)
            if pa.types.is_string(cell.type) or pa.types.is_large_string(cell.type):
                errors[place] = f"undecodable: {name} is not UTF-8"
    return values
