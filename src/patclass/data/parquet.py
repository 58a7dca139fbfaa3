"""Rows of Parquet files, with their types. Knows no roles.

A few bytes of Parquet stand for any number of values: a text that is stored once for all rows, a
list of zeros. How large rows may become is known before they are read, and bounds how many are
read at once.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.bounded import Limits, call, is_limited
from patclass.core.errors import DataError
from patclass.data.documents.document import TABLE_FORMAT
from patclass.data.formats import seekable
from patclass.data.table import Row, Table

_BATCH = 256  # rows

# Bytes that a batch may have if each of its texts is the longest of its column; writers store texts
# of some megabytes in all once for many rows.
_MAX_BATCH_BYTES = 1 << 31

# Bytes of the cells that are made objects at once, and of an item of a list as an object.
_SLICE_BYTES, _ITEM_BYTES = 1 << 26, 64

# So a page of such texts begins, before its size unpacked as a number of Thrift.
_DICTIONARY_PAGE = b"\x15\x04\x15"

# For a file of which a single row may be larger than a batch.
_LIMITS = Limits(4 << 30, seconds=300, remedy="Leave out the columns with the longest cells.")


@contextmanager
def _open_parquet(path: Path) -> Iterator[tuple[pq.ParquetFile, BinaryIO]]:
    with seekable(path) as (_, source):
        try:
            file = pq.ParquetFile(source)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"{path} is not a readable Parquet file: {problem}") from problem
        with file:
            yield file, source


def parquet_table(path: Path) -> Table:
    """Recognise a Parquet file.

    :raises DataError: if it is none, or damaged.
    """
    with _open_parquet(path) as (file, _):
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
    with _open_parquet(path) as (file, source):
        names = file.schema_arrow.names
        columns = [name for name in names if wanted is None or name in wanted]
        largest = _largest_row(file.metadata, source, columns)
    if largest > _MAX_BATCH_BYTES and not is_limited():
        call(count_rows, _LIMITS, str(path), path=str(path), columns=columns)
    yield from _rows(path, columns, min(_BATCH, max(1, _MAX_BATCH_BYTES // largest)))


def count_rows(path: str, columns: list[str]) -> int:
    """Read all rows, one at a time, to see whether they fit into the memory of this process.

    :raises DataError: if the file is corrupt.
    """
    return sum(1 for _ in _rows(Path(path), columns, 1))


def _rows(path: Path, columns: list[str], size: int) -> Iterator[Row]:
    """The rows, so many read at once."""
    number = 0
    with _open_parquet(path) as (file, _):
        try:
            for batch in file.iter_batches(batch_size=size, columns=columns):
                for part in _parts(batch):
                    for row in _batch_rows(part, number):
                        number += 1
                        yield row
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
            raise DataError(
                f"{path} is corrupt after row {number}: {problem}. Make the file again."
            ) from problem


def _largest_row(metadata: pq.FileMetaData, source: BinaryIO, columns: list[str]) -> int:
    """Bytes of a row in which each text is the longest of its column, as objects."""
    largest = 1
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        size = 0
        for chunk in map(group.column, range(group.num_columns)):
            if chunk.path_in_schema.split(".")[0] in columns:
                items = -(-chunk.num_values // max(1, group.num_rows))
                size += items * max(_ITEM_BYTES, _longest_text(chunk, source))
        largest = max(largest, size)
    return largest


def _longest_text(chunk: pq.ColumnChunkMetaData, source: BinaryIO) -> int:
    """Bytes of the texts that a column has stored once, of which one may be nearly all."""
    offset = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    source.seek(chunk.data_page_offset if offset is None else offset)
    head = source.read(8)
    if not head.startswith(_DICTIONARY_PAGE):
        return 0
    size = 0
    for place, byte in enumerate(head[len(_DICTIONARY_PAGE) :]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return size >> 1  # its sign is the last bit


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in parts of about ``_SLICE_BYTES``, as objects take several times as much."""
    size = max(1, int(batch.num_rows * _SLICE_BYTES / max(1, batch.nbytes)))
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)


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
