"""Tables of patents in files of any usual format, one row at a time. Knows no labels.

Encoding, delimiter, header, sheet and the meaning of columns are recognised. A row that cannot be
read comes out as a row with an error, in its place, so that nothing vanishes and one bad row does
not end a long job.
"""

import gzip
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.columns import columns_by_role, with_roles
from patclass.data.delimited import Dialect, Record, read_records, recognise
from patclass.data.encoding import SAMPLE
from patclass.data.sheets import open_sheet
from patclass.data.text import SURROGATE

# Formats of files that are written.
FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

_DELIMITED = (".csv", ".tsv", ".txt", ".tab")
_JSON = (".json", ".jsonl", ".ndjson")
_SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
_PACKED = (".gz", ".zip")
TABLE_SUFFIXES = (*_DELIMITED, *_JSON, *_SHEETS, ".parquet")

# Rows by which the columns of JSON lines are recognised.
_FIRST_ROWS = 100


@dataclass(frozen=True)
class Row:
    """One row of a source: its fields, or why it has none.

    :param number: its position, from 1.
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
    """

    path: Path
    columns: tuple[str, ...]
    roles: Mapping[str, str]
    form: str
    read: Callable[[Collection[str] | None], Iterator[Row]]

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
        needed = None
        if wanted is not None:
            needed = {self.roles.get(name, name) for name in wanted} | set(wanted)
        for row in self.read(needed):
            if not row.error:
                row = Row(row.number, with_roles(row.fields, self.roles), line=row.line)
            yield row


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


def open_table(path: Path) -> Table:
    """Recognise a table: CSV, TSV, XLSX, XLS, ODS, JSON, JSONL or Parquet, also as .gz or .zip.

    :raises DataError: if the file is missing, empty, corrupt, without columns or of an unknown
        format.
    """
    table = _recognise(path)
    if not table.columns:
        raise DataError(f"{path} has no columns; expected named fields such as text or title.")
    return table


def _recognise(path: Path) -> Table:
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
    if sample.startswith(b"PAR1") or suffix == ".parquet":
        return _parquet_table(path)
    if sample.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) or suffix in _SHEETS:
        return _sheet_table(path)
    if suffix in _JSON:
        return _json_table(path, sample)
    return _delimited_table(path, sample, suffix)


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
    return _recognise(path).rows(wanted)


def count_rows(path: Path) -> int:
    """The number of rows, bad ones included; reads the whole file unless it is Parquet.

    :raises DataError: as ``read_rows``.
    """
    table = _recognise(path)
    if table_suffix(path.name) == path.suffix.lower() == ".parquet":
        with _open_parquet(path) as file:
            return int(file.metadata.num_rows)
    return sum(1 for _ in table.rows(()))


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


def _delimited_table(path: Path, sample: bytes, suffix: str) -> Table:
    dialect = recognise(sample, suffix)
    columns = dialect.columns
    read = partial(_read_delimited, path, dialect)
    return Table(path, columns, columns_by_role(columns), f"read as {dialect}", read)


def _read_delimited(path: Path, dialect: Dialect, wanted: Collection[str] | None) -> Iterator[Row]:
    with _opened(path) as (_, file):
        for number, record in enumerate(read_records(file, dialect), 1):
            yield _delimited_row(number, record, dialect.columns)


def _delimited_row(number: int, record: Record, columns: tuple[str, ...]) -> Row:
    if record.error is not None:
        return Row(number, error=record.error, line=record.line)
    return Row(number, dict(zip(columns, record.cells, strict=True)), None, record.line)


def _sheet_table(path: Path) -> Table:
    with _seekable(path) as (_, file):
        sheet = open_sheet(str(path), file)
    form = f"read from sheet '{sheet.name}', header in row {sheet.header}"

    def read(wanted: Collection[str] | None) -> Iterator[Row]:
        for number, (line, fields) in enumerate(sheet.rows(), 1):
            yield Row(number, fields, None, line)

    return Table(path, sheet.columns, columns_by_role(sheet.columns), form, read)


def _json_table(path: Path, sample: bytes) -> Table:
    lines = _is_json_lines(sample) or table_suffix(path.name) in (".jsonl", ".ndjson")
    read = partial(_read_jsonl if lines else _read_json, path)
    first = islice(read(None), _FIRST_ROWS)
    columns = tuple(dict.fromkeys(key for row in first for key in row.fields))
    form = "read as JSON lines" if lines else "read as one JSON document"
    return Table(path, columns, columns_by_role(columns), form, read)


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
    return _object_row(number, fields, place)


def _object_row(number: int, fields: object, line: int | None = None) -> Row:
    if not isinstance(fields, dict):
        return Row(number, error="undecodable: not a JSON object", line=line)
    if SURROGATE.search(json.dumps(fields, ensure_ascii=False)):
        return Row(number, error="undecodable: half a surrogate pair", line=line)
    return Row(number, fields, None, line)


def _read_json(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    """The rows of one JSON document: a list, or an object with a list of objects in it."""
    with _opened(path) as (_, file):
        try:
            value = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{path} is not JSON: {problem}.") from problem
    rows = value if isinstance(value, list) else (_rows_within(value) or [value])
    for number, fields in enumerate(rows, 1):
        yield _object_row(number, fields)


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
        columns = tuple(file.schema_arrow.names)
    read = partial(_read_parquet, path)
    return Table(path, columns, columns_by_role(columns), "read as Parquet", read)


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
