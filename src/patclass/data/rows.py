"""Tables of patents in files of any usual format, one row at a time. Knows no labels.

Patent documents of offices are tables too, with a row for each document. Encoding, delimiter,
header, sheet and the meaning of columns are recognised. A row that cannot be read comes out as a
row with an error, in its place, so that nothing vanishes and one bad row does not end a long job.
"""

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.columns import columns_by_role
from patclass.data.delimited import Dialect, recognise
from patclass.data.documents import DOCUMENT_COLUMNS, Document, first_form, read_documents
from patclass.data.encoding import SAMPLE
from patclass.data.files import (
    DOCUMENTS,
    JSON,
    PACKED,
    SHEETS,
    TABLE_SUFFIXES,
    TABLES,
    opened,
    seekable,
    table_suffix,
    unpacked_size,
)
from patclass.data.options import RECOGNISED, TableOptions
from patclass.data.records import Doubts, read_records
from patclass.data.sheets import open_sheet
from patclass.data.table import Row, Table
from patclass.data.text import SURROGATE
from patclass.data.wrong_files import (
    COMPOUND,
    ZIP,
    check_columns,
    check_content,
    check_text,
    check_workbook,
)

# Rows by which the columns of JSON lines are recognised.
_FIRST_ROWS = 100


def open_table(path: Path, options: TableOptions = RECOGNISED) -> Table:
    """Recognise a table: CSV, TSV, XLSX, XLS, ODS, JSON, JSONL or Parquet, also as .gz or .zip.

    A file or archive of patent documents, such as the weekly files of the USPTO, is one as well.

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
    form = first_form(path) if path.is_file() else None
    if form is not None:
        return _documents_table(path, form)
    suffix = table_suffix(path.name)
    if suffix not in (*TABLES, ".zip"):
        what = "holds no patent document" if suffix in DOCUMENTS else "is no known format"
        raise DataError(
            f"{path}: '{suffix or path.name}' {what}; use {', '.join(TABLE_SUFFIXES)}, also "
            f"packed as {' or '.join(PACKED)}."
        )
    with opened(path) as (name, file):
        sample = file.read(SAMPLE)
    if not sample:
        raise DataError(f"{path} is empty; expected a header and at least one row.")
    suffix = table_suffix(name)
    check_content(path, sample)
    if sample.startswith(b"PAR1") or suffix == ".parquet":
        return _parquet_table(path)
    if sample.startswith((ZIP, COMPOUND)) or suffix in SHEETS:
        return _sheet_table(path, options.sheet)
    if suffix in JSON:
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
    with opened(path) as (_, file):
        for number, record in enumerate(read_records(file, dialect), 1):
            if record.doubt is not None:
                doubts.add(record)
            cells = record.cells if whole else [record.cells[place] for place in places]
            yield Row(number, dict(zip(names, cells, strict=True)), record.error, record.line)


def _documents_table(path: Path, form: str) -> Table:
    read = partial(_read_documents, path)
    return Table(path, DOCUMENT_COLUMNS, {}, f"patent documents in {form}", read)


def _read_documents(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    for number, document in enumerate(read_documents(path, wanted), 1):
        if isinstance(document, Document):
            yield Row(number, document.fields())
        else:
            known = dict.fromkeys(DOCUMENT_COLUMNS) | {"id": document.id}
            yield Row(number, known, document.reason)


def _estimate(path: Path, read: Callable[[BinaryIO], Iterator[object]]) -> int:
    """The number of records, if those after the first megabyte are as long as those in it."""
    with opened(path) as (_, file):
        sample = file.read(SAMPLE)
    rows = sum(1 for _ in read(io.BytesIO(sample)))
    if len(sample) < SAMPLE:
        return rows
    return max(1, rows - 1) * unpacked_size(path) // len(sample)  # the last record is cut off


def _sheet_table(path: Path, wanted: str | None) -> Table:
    with seekable(path) as (_, file):
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
    if _is_json_lines(path, sample) or table_suffix(path.name) in (".jsonl", ".ndjson"):
        form, read = "read as JSON lines", partial(_read_jsonl, path)
        estimate = partial(_estimate, path, lambda file: filter(bytes.strip, file))
    else:
        values = _json_values(path)
        form, read = "read as one JSON document", partial(_read_json, values)
        estimate = partial(len, values)
    first = islice(read(None), _FIRST_ROWS)
    columns = tuple(dict.fromkeys(key for row in first for key in row.fields))
    return Table(path, columns, {}, form, read, estimate=estimate)


def _is_json_lines(path: Path, sample: bytes) -> bool:
    """Whether the first line is a whole value that is no list of rows."""
    text = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return False
    line, end, rest = text.partition(b"\n")
    if not end:
        return len(sample) >= SAMPLE and _has_lines(path)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return not line.rstrip().endswith((b"{", b"[", b","))
    return bool(rest.strip()) or _rows_within(value) is None


def _has_lines(path: Path) -> bool:
    """Whether anything follows the first line of a file."""
    with opened(path) as (_, file):
        while block := file.read(SAMPLE):
            _, end, rest = block.partition(b"\n")
            if end:
                return bool((rest or file.read(SAMPLE)).strip())
    return False


def _read_jsonl(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    with opened(path) as (_, file):
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
    with opened(path) as (_, file):
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
    with seekable(path) as (_, source):
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
