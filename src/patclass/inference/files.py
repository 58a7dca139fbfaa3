"""Classification of a file of patents into a file of predictions.

Rows keep their order; files may be larger than memory; the output file appears complete or not at
all.
"""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError, OutputError
from patclass.core.files import atomic_write, check_writable
from patclass.core.types import Echo, OnProgress
from patclass.data.rows import Row, Table, file_format, open_table
from patclass.data.text import FIELDS, TextView
from patclass.inference.classifier import DEFAULTS, Classifier
from patclass.inference.prediction import ANSWER_COLUMNS, COLUMNS, Options, record_of

_SCALARS = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}


def _arrow_type(kind: Any) -> Any:
    """The Arrow type of a column's Python type."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return pa.struct([(field.name, _arrow_type(types[field.name])) for field in fields(kind)])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return pa.string()
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    (required,) = (argument for argument in arguments if argument is not NoneType)
    return _arrow_type(required)


# The schema of a file of predictions.
SCHEMA = pa.schema([(column.name, _arrow_type(column.type)) for column in ANSWER_COLUMNS])


class Sink(Protocol):
    """Writes rows with the keys of ``COLUMNS``; None is an empty cell."""

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
    """A list is written as JSON, an empty list as an empty cell."""
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
    """Open ``path`` for rows; its suffix determines the format.

    :raises DataError: if the suffix is no supported format.
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


# Large enough that sorting by length leaves little padding, small enough for any memory.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class FileResult:
    """Number of rows, and of those with an error."""

    rows: int
    errors: int


def classify_file(
    classifier: Classifier,
    source: Path,
    target: Path,
    options: Options = DEFAULTS,
    on_progress: OnProgress = lambda rows: None,
    echo: Echo = lambda line: None,
) -> FileResult:
    """Classify every row of ``source`` into a row of ``target``; unusable rows get an ``error``.

    :param on_progress: called with the number of rows that were written.
    :param echo: called with a line that says what was recognised of ``source``.
    :raises DataError: if ``source`` cannot be read or has no text column.
    :raises OutputError: if ``target`` cannot be written; no part of it is then left.
    """
    table = check_files(source, target)
    classifier.check_options(options)
    _check_columns(classifier.view, table)
    echo(table.recognised)
    total = errors = 0
    with atomic_write(target) as partial, open_sink(partial) as sink:
        for chunk in _chunks(table.rows(("id", *_text_columns(classifier.view)))):
            answers = _answers(classifier, chunk, options)
            sink.write(answers)
            total += len(answers)
            errors += sum(answer["error"] is not None for answer in answers)
            on_progress(len(answers))
    return FileResult(total, errors)


def check_files(source: Path, target: Path) -> Table:
    """Check input and output files before a model is loaded, and recognise the input.

    :raises DataError: if a format is not supported or ``source`` cannot be read.
    :raises OutputError: if ``target`` is ``source`` or cannot be written.
    """
    file_format(target)
    check_writable(target)
    table = open_table(source)
    if target.exists() and os.path.samefile(source, target):
        raise OutputError(f"{target} is the input itself; choose another output file.")
    return table


def _check_columns(view: TextView, table: Table) -> None:
    usable = _text_columns(view)
    if not set(usable) & set(table.names):
        raise DataError(
            f"{table.path} has no column {', '.join(usable)}; it has "
            f"{', '.join(map(repr, table.columns[:20]))}. Rename the column that holds the text."
        )


def _text_columns(view: TextView) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*view.columns, "text", *FIELDS)))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _answers(classifier: Classifier, rows: list[Row], options: Options) -> list[dict[str, Any]]:
    """One answer per row, in order; the usable rows are classified together."""
    answers = [dict.fromkeys(COLUMNS) | {"id": row.id} for row in rows]
    texts: dict[int, str] = {}
    for position, row in enumerate(rows):
        try:
            if row.error is not None:
                raise DataError(row.error if row.line is None else f"line {row.line}: {row.error}")
            texts[position] = classifier.text_of(row.fields)
        except DataError as problem:
            answers[position]["error"] = str(problem)
    predictions = classifier.classify(list(texts.values()), options)
    for position, prediction in zip(texts, predictions, strict=True):
        answers[position] = record_of(prediction) | {"id": rows[position].id}
    return answers
