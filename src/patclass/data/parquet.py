"""Rows of Parquet files, with their types. Knows no roles.

A few bytes of Parquet stand for any number of values: a text that is stored once for all rows, a
list of zeros. How large rows may become is known before they are read, and bounds how many are
read at once.
"""

import io
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

# What a description raises that is not like those of the standard.
_UNLIKE = (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)

# Fields of the description of a file, by their numbers in the standard.
_GROUPS, _COLUMNS, _ROWS, _META = 4, 1, 3, 3
_PATH, _VALUES, _DATA, _DICTIONARY = 3, 5, 9, 11

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
        except (pa.ArrowException, OSError, ValueError) as problem:
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
    return Table(
        path=path,
        columns=tuple(types),
        roles={},
        form="read as Parquet",
        read=read,
        types=types,
        estimate=lambda: count,
        read_after=read,
    )


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, however they are stored."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _read_parquet(path: Path, wanted: Collection[str] | None, after: int = 0) -> Iterator[Row]:
    with _open_parquet(path) as (file, source):
        names = file.schema_arrow.names
        columns = [name for name in names if wanted is None or name in wanted]
        try:
            largest = _largest_row(_Footer.of(source), source, columns)
        except _UNLIKE as problem:
            raise DataError(f"{path} is damaged: {problem}. Make the file again.") from problem
    if largest > _MAX_BATCH_BYTES and not is_limited():
        call(count_rows, _LIMITS, str(path), path=str(path), columns=columns)
    yield from _rows(path, columns, min(_BATCH, max(1, _MAX_BATCH_BYTES // largest)), after)


def count_rows(path: str, columns: list[str]) -> int:
    """Read all rows, one at a time, to see whether they fit into the memory of this process.

    :raises DataError: if the file is corrupt.
    """
    return sum(1 for _ in _rows(Path(path), columns, 1))


def _rows(path: Path, columns: list[str], size: int, after: int = 0) -> Iterator[Row]:
    """The rows behind the first ``after``, so many read at once."""
    number = 0
    with _open_parquet(path) as (file, _):
        try:
            groups, number = _groups_after(file.metadata, after)
            for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=columns):
                skipped = min(batch.num_rows, max(0, after - number))
                number += skipped
                for part in _parts(batch.slice(skipped)):
                    for row in _batch_rows(part, number):
                        number += 1
                        yield row
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
            raise DataError(
                f"{path} is corrupt after row {number}: {problem}. Make the file again."
            ) from problem


def _groups_after(metadata: pq.FileMetaData, after: int) -> tuple[list[int], int]:
    """The groups of rows that hold more than the first ``after`` rows, and the rows before them."""
    before = group = 0
    while group < metadata.num_row_groups:
        rows = metadata.row_group(group).num_rows
        if before + rows > after:
            break
        before, group = before + rows, group + 1
    return list(range(group, metadata.num_row_groups)), before


def _largest_row(footer: "_Footer", source: BinaryIO, columns: list[str]) -> int:
    """Bytes of a row in which each text is the longest of its column, as objects."""
    wanted = {column.encode() for column in columns}
    largest = 1
    for group in footer.groups():
        rows = max(1, group.get(_ROWS, 1))
        size = 0
        for chunk in (column.get(_META, {}) for column in group.get(_COLUMNS, ())):
            if next(iter(chunk.get(_PATH, ())), None) in wanted:
                items = -(-chunk.get(_VALUES, 0) // rows)
                size += items * max(_ITEM_BYTES, _longest_text(chunk, source))
        largest = max(largest, size)
    return largest


def _longest_text(chunk: dict[int, Any], source: BinaryIO) -> int:
    """Bytes of the texts that a column has stored once, of which one may be nearly all."""
    source.seek(max(0, chunk.get(_DICTIONARY) or chunk.get(_DATA, 0)))
    head = source.read(len(_DICTIONARY_PAGE) + 6)
    if not head.startswith(_DICTIONARY_PAGE):
        return 0
    return _Footer(head[len(_DICTIONARY_PAGE) :]).integer()


class _Footer:
    """What a Parquet file says of itself, in Thrift: fields by their numbers.

    The library has it too, but ends the process where a column's description is damaged.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    @classmethod
    def of(cls, source: BinaryIO) -> "_Footer":
        """That of a file, which is known to have one."""
        end = source.seek(-8, io.SEEK_END)
        size = int.from_bytes(source.read(4), "little")
        source.seek(max(0, end - size))
        return cls(source.read(size))

    def groups(self) -> list[dict[int, Any]]:
        """The groups of rows, each with its columns."""
        return list(self._struct().get(_GROUPS, ()))

    def integer(self) -> int:
        """The next number; its sign is the last bit."""
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)

    def _byte(self) -> int:
        self._place += 1
        return self._content[self._place - 1]

    def _unsigned(self) -> int:
        number = shift = 0
        while (byte := self._byte()) >= 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return number | byte << shift

    def _skip(self, size: int) -> bytes:
        start, self._place = self._place, self._place + size
        if self._place > len(self._content):
            raise ValueError("its description is cut off")
        return self._content[start : self._place]

    def _struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 8:
            return self._skip(self._unsigned())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15) for _ in range(size)]
        if kind == 12:
            return self._struct()
        if kind not in (1, 2, 3, 7):
            raise ValueError(f"unknown type {kind}")
        return self._skip(8 if kind == 7 else 1)


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
