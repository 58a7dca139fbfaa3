"""Tables of patents in files of any usual format, one row at a time. Knows no labels.

Encoding, delimiter, header, sheet and the meaning of columns are recognised. A row that cannot be
read comes out as a row with an error, in its place, so that nothing vanishes and one bad row does
not end a long job.
"""

import gzip
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.columns import add_roles, columns_by_role
from patclass.data.delimited import SAMPLE, Dialect, recognise
from patclass.data.options import RECOGNISED, TableOptions
from patclass.data.records import Doubts, read_records
from patclass.data.sheets import open_sheet
from patclass.data.text import SURROGATE
from patclass.data.wrong_files import (
    COMPOUND,
    ZIP,
    check_columns,
    check_content,
    check_text,
    check_workbook,
)

# Formats of files that are written.
FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

_DELIMITED = (".csv", ".tsv", ".txt", ".tab")
_JSON = (".json", ".jsonl", ".ndjson")
_SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
_PACKED = (".gz", ".zip")
TABLE_SUFFIXES = (*_DELIMITED, *_JSON, *_SHEETS, ".parquet")

# Rows by which the columns of JSON lines are recognised.
_FIRST_ROWS = 100


# Not frozen, which would take several times as long for each of millions.
@dataclass(slots=True)
class Row:
    """One row of a source: its fields, or why it cannot be used.

    :param number: its position, from 1.
    :param fields: if there is an error, what is known of them.
    :param line: its line in the file, where it has one.
    """

    number: int
    fields: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    line: int | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """The patent's number, or the row's where there is none; of several, the first."""
        return first_line(self.fields.get("id")) or str(self.number)


def first_line(value: object) -> str:
    """The first line of a cell: of several publication numbers, the first; empty for NaN."""
    text = "" if value is None or value != value else str(value).strip()
    return text.splitlines()[0].strip() if text else ""


@dataclass(frozen=True)
class Table:
    """A file of patents with its columns, as they were recognised.

    :param columns: as they are named in the file.
    :param roles: the column of each role that one was recognised for.
    :param form: in words, how the file is written.
    :param read: yields the rows with the fields of the file, given the only columns needed.
    :param stated: the roles whose column was not recognised but stated.
    :param options: those of delimiter, encoding and sheet that apply to the file.
    :param sheets: of a workbook, all of them.
    :param types: of the columns of a Parquet file.
    :param estimate: of the number of rows, from no more than the first megabyte of the file.
    :param doubts: after the rows were read, what of them may have been read wrongly.
    """

    path: Path
    columns: tuple[str, ...]
    roles: Mapping[str, str]
    form: str
    read: Callable[[Collection[str] | None], Iterator[Row]]
    stated: Collection[str] = ()
    options: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    estimate: Callable[[], int] = lambda: 0
    doubts: Callable[[], tuple[str, ...]] = lambda: ()

    @property
    def names(self) -> list[str]:
        """The columns and the roles, by which fields of a row are found."""
        return list(dict.fromkeys((*self.columns, *self.roles)))

    @property
    def recognised(self) -> str:
        """What was recognised, in one line."""
        roles = ", ".join(f"{role}: {column}" for role, column in self.roles.items())
        return f"{self.path.name}: {self.form}; {roles or 'no usual name of a column'}"

    def rows(self, wanted: Collection[str] | None = None) -> Iterator[Row]:
        """The rows in their order; their fields are named by columns and roles.

        :param wanted: the only columns or roles that are needed.
        :raises DataError: if the file turns out to be corrupt.
        """
        named, stated = self._named, self.stated
        for row in self.read(None if wanted is None else self.needed(wanted)):
            add_roles(row.fields, named, stated)
            yield row

    def needed(self, wanted: Collection[str]) -> set[str]:
        """The columns of which the wanted columns and roles are made."""
        return {self.roles.get(name, name) for name in wanted} | set(wanted)

    def with_roles(self, row: Row) -> Row:
        """A row as it was read, with the fields of the roles."""
        found = replace(row, fields=dict(row.fields))
        add_roles(found.fields, self._named, self.stated)
        return found

    @cached_property
    def _named(self) -> dict[str, str]:
        """The roles whose column has another name."""
        return {role: column for role, column in self.roles.items() if role != column}

    @property
    def notes(self) -> tuple[str, ...]:
        """After the rows were read, what of them may have been read wrongly, a line each."""
        return tuple(f"{self.path.name}: {doubt}" for doubt in self.doubts())


def file_format(path: Path) -> str:
    """The suffix that decides how ``path`` is written.

    :raises DataError: if it is none of the formats.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: '{suffix or path.name}' is no known format; use {', '.join(FORMATS)}."
        )
    return suffix


def stem_of(path: Path) -> str:
    """The name of a file without its suffixes of format and packing."""
    name = Path(path.stem) if path.suffix.lower() in _PACKED else path
    return name.stem if name.suffix.lower() in TABLE_SUFFIXES else name.name


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table."""
    return table_suffix(path.name) in (*TABLE_SUFFIXES, ".zip")


def table_suffix(name: str) -> str:
    """The suffix of a name, without that of a packed file."""
    path = Path(name.lower())
    inner = Path(path.stem).suffix
    return inner if path.suffix in _PACKED and inner else path.suffix


def open_table(path: Path, options: TableOptions = RECOGNISED) -> Table:
    """Recognise a table: CSV, TSV, XLSX, XLS, ODS, JSON, JSONL or Parquet, also as .gz or .zip.

    :param options: what overrules the recognition.
    :raises DataError: if the file is missing, empty, corrupt, without columns or of an unknown
        format, or an option does not fit it.
    """
    table = _with_roles(_recognise(path, options), options.columns)
    options.check(f"{path.name}, {table.form}", table.options)
    if not table.columns:
        raise DataError(f"{path} has no columns; expected named fields such as text or title.")
    check_columns(path, table.columns)
    return table


def _with_roles(table: Table, stated: Mapping[str, str]) -> Table:
    check_stated(table.path.name, table.columns, stated)
    return replace(table, roles=columns_by_role(table.columns, stated), stated=tuple(stated))


def check_stated(name: str, columns: Sequence[str], stated: Mapping[str, str]) -> None:
    """Check that the columns that are stated for roles exist.

    :raises DataError: naming the columns of the file or data set ``name``.
    """
    for role, column in stated.items():
        if column not in columns:
            raise DataError(
                f"{role} {column!r}: {name} has no such column; it has "
                f"{', '.join(map(repr, columns))}.",
                setting=role,
            )


def _recognise(path: Path, options: TableOptions) -> Table:
    suffix = table_suffix(path.name)
    if suffix not in (*TABLE_SUFFIXES, ".zip"):
        raise DataError(
            f"{path}: '{suffix or path.name}' is no known format; use "
            f"{', '.join(TABLE_SUFFIXES)}, also packed as {' or '.join(_PACKED)}."
        )
    with _opened(path) as (name, file):
        sample = file.read(SAMPLE)
    if not sample:
        raise DataError(f"{path} is empty; expected a header and at least one row.")
    suffix = table_suffix(name)
    check_content(path, sample)
    if sample.startswith(b"PAR1") or suffix == ".parquet":
        return _parquet_table(path)
    if sample.startswith((ZIP, COMPOUND)) or suffix in _SHEETS:
        return _sheet_table(path, options.sheet)
    if suffix in _JSON:
        return _json_table(path, sample)
    return _delimited_table(path, sample, suffix, options)


def columns_of(path: Path) -> list[str]:
    """The columns and roles of a file (of JSON: all keys of its first 100 rows).

    :raises DataError: if the file is missing, empty or broken.
    """
    return open_table(path).names


def read_rows(path: Path, wanted: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the rows of a table in their order.

    :param wanted: the only columns or roles that are needed.
    :raises DataError: if the file is missing, empty, corrupt or of an unknown format.
    """
    return _with_roles(_recognise(path, RECOGNISED), {}).rows(wanted)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The name and the content of a file, unpacked."""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                yield path.stem, cast(BinaryIO, file)
        elif path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                name = _only_table(path, archive)
                with archive.open(name) as file:
                    yield name, cast(BinaryIO, file)
        else:
            with path.open("rb") as file:
                yield path.name, file
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error) as problem:
        raise DataError(f"{path} is damaged: {problem}. Make or download it again.") from problem
    except OSError as problem:
        raise DataError(f"cannot read {path}: {problem.strerror or problem}.") from problem


def _only_table(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if table_suffix(name) in TABLE_SUFFIXES]
    names = [name for name in names if not name.startswith("__MACOSX")]
    if len(names) != 1:
        found = f"{len(names)} tables: {', '.join(names[:5])}" if names else "no table"
        raise DataError(f"{path} holds {found}; unpack it, and name one.")
    return names[0]


@contextmanager
def _seekable(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The same as a file in which any place can be read."""
    with _opened(path) as (name, file):
        if path.suffix.lower() not in _PACKED:
            yield name, file
            return
        with tempfile.SpooledTemporaryFile(1 << 24) as copy:
            while piece := file.read(1 << 20):
                copy.write(piece)
            copy.seek(0)
            yield name, cast(BinaryIO, copy)


def _delimited_table(path: Path, sample: bytes, suffix: str, options: TableOptions) -> Table:
    encoding, delimiter = options.encoding, options.delimiter
    dialect = recognise(sample, suffix, encoding=encoding, delimiter=delimiter)
    if not dialect.encoding.startswith("utf-16") and encoding is None:
        check_text(path, sample)
    doubts = Doubts()
    read = partial(_read_delimited, path, dialect, doubts)
    estimate = partial(_estimate, path, lambda file: read_records(file, dialect))
    form = f"read as {dialect}"
    return Table(
        path=path,
        columns=dialect.columns,
        roles={},
        form=form,
        read=read,
        options=("delimiter", "encoding"),
        estimate=estimate,
        doubts=doubts.notes,
    )


def _read_delimited(
    path: Path, dialect: Dialect, doubts: Doubts, wanted: Collection[str] | None
) -> Iterator[Row]:
    names = [name for name in dialect.columns if wanted is None or name in wanted]
    places = [dialect.columns.index(name) for name in names]
    whole = len(names) == len(dialect.columns)
    doubts.clear()
    with _opened(path) as (_, file):
        for number, record in enumerate(read_records(file, dialect), 1):
            if record.doubt is not None:
                doubts.add(record)
            cells = record.cells if whole else [record.cells[place] for place in places]
            yield Row(number, dict(zip(names, cells, strict=True)), record.error, record.line)


def _estimate(path: Path, read: Callable[[BinaryIO], Iterator[object]]) -> int:
    """The number of records, if those after the first megabyte are as long as those in it."""
    with _opened(path) as (_, file):
        sample = file.read(SAMPLE)
    rows = sum(1 for _ in read(io.BytesIO(sample)))
    if len(sample) < SAMPLE:
        return rows
    return max(1, rows - 1) * _size(path) // len(sample)  # the last record is cut off


def _size(path: Path) -> int:
    """The number of bytes of a file, unpacked."""
    size = path.stat().st_size
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.getinfo(_only_table(path, archive)).file_size
    if path.suffix.lower() == ".gz":
        with path.open("rb") as file:
            file.seek(max(0, size - 4))
            # The size is stored modulo 4 GiB, and texts are not packed to a fiftieth.
            stored = int.from_bytes(file.read(), "little")
        return stored + (-(-(size - stored) // 2**32) << 32 if stored < size else 0)
    return size


def _sheet_table(path: Path, wanted: str | None) -> Table:
    with _seekable(path) as (_, file):
        has_macros = check_workbook(path, file)
        sheet = open_sheet(str(path), file, wanted)
    form = f"read from sheet '{sheet.name}', header in row {sheet.header}"
    form += ", macros not run" if has_macros else ""

    def read(wanted: Collection[str] | None) -> Iterator[Row]:
        for number, (line, fields) in enumerate(sheet.rows(), 1):
            yield Row(number, fields, None, line)

    count = max(0, sheet.cells.total_height - sheet.header)
    return Table(
        path=path,
        columns=sheet.columns,
        roles={},
        form=form,
        read=read,
        options=("sheet",),
        sheets=sheet.names,
        estimate=lambda: count,
    )


def _json_table(path: Path, sample: bytes) -> Table:
    if _is_json_lines(sample) or table_suffix(path.name) in (".jsonl", ".ndjson"):
        form, read = "read as JSON lines", partial(_read_jsonl, path)
        estimate = partial(_estimate, path, lambda file: filter(bytes.strip, file))
    else:
        values = _json_values(path)
        form, read = "read as one JSON document", partial(_read_json, values)
        estimate = partial(len, values)
    first = islice(read(None), _FIRST_ROWS)
    columns = tuple(dict.fromkeys(key for row in first for key in row.fields))
    return Table(path, columns, {}, form, read, estimate=estimate)


def _is_json_lines(sample: bytes) -> bool:
    """Whether the first line is a whole value that is no list of rows."""
    text = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return False
    line, _, rest = text.partition(b"\n")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return not line.rstrip().endswith((b"{", b"[", b","))
    return bool(rest.strip()) or _rows_within(value) is None


def _read_jsonl(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    with _opened(path) as (_, file):
        number = 0
        for place, line in enumerate(file, 1):
            if line.strip():
                number += 1
                yield _json_row(number, line, place)


def _json_row(number: int, line: bytes, place: int) -> Row:
    try:
        fields = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Row(number, error="undecodable: not UTF-8", line=place)
    except (ValueError, RecursionError) as problem:
        return Row(number, error=f"undecodable: not JSON ({problem})", line=place)
    # In UTF-8, only an escape can stand for half a pair.
    return _object_row(number, fields, place, b"\\u" in line)


def _object_row(number: int, fields: object, line: int | None = None, escapes: bool = True) -> Row:
    if not isinstance(fields, dict):
        return Row(number, error="undecodable: not a JSON object", line=line)
    text = json.dumps(fields, ensure_ascii=False) if escapes else ""
    if SURROGATE.search(text):
        known = json.loads(SURROGATE.sub("\ufffd", text))
        return Row(number, known, "undecodable: half a surrogate pair", line)
    return Row(number, fields, None, line)


def _json_values(path: Path) -> list[Any]:
    """The rows of one JSON document: a list, or an object with a list of objects in it."""
    with _opened(path) as (_, file):
        try:
            value = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{path} is not JSON: {problem}.") from problem
    return value if isinstance(value, list) else (_rows_within(value) or [value])


def _read_json(values: Sequence[Any], wanted: Collection[str] | None) -> Iterator[Row]:
    for number, fields in enumerate(values, 1):
        yield _object_row(number, dict(fields) if isinstance(fields, dict) else fields)


def _rows_within(value: object) -> list[Any] | None:
    """The longest list of objects in an object, such as ``{"patents": [...]}``."""
    if not isinstance(value, dict):
        return None
    lists = [
        part
        for part in value.values()
        if isinstance(part, list) and part and all(isinstance(item, dict) for item in part)
    ]
    # A patent of its own has such lists too, of its inventors and codes.
    if not lists or columns_by_role([key for key in value if isinstance(key, str)]):
        return None
    return max(lists, key=len)


@contextmanager
def _open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    with _seekable(path) as (_, source):
        try:
            file = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"{path} is not a readable Parquet file: {problem}") from problem
        with file:
            yield file


def _parquet_table(path: Path) -> Table:
    with _open_parquet(path) as file:
        schema, count = file.schema_arrow, int(file.metadata.num_rows)
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
