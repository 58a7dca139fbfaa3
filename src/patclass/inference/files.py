"""A file of patents to a file of answers, in order, larger than memory, whole or not at all."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError, OutputError
from patclass.core.files import atomic_write, check_writable
from patclass.cpc.symbols import LEVELS
from patclass.data.rows import ID_COLUMNS, Row, columns_of, file_format, read_rows
from patclass.data.text import FIELDS, TextView
from patclass.inference.classifier import DEFAULTS, Classifier
from patclass.inference.prediction import COLUMNS, Options, record_of

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


# Enough rows that sorting by length leaves little padding, few enough to stay small in memory.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class StreamResult:
    """How many rows went through, and how many of them with an error."""

    rows: int
    errors: int


def classify_file(
    classifier: Classifier,
    source: Path,
    target: Path,
    options: Options = DEFAULTS,
    advance: Callable[[int], object] = lambda rows: None,
) -> StreamResult:
    """Answer every row of ``source`` with a row in ``target``; bad rows carry an ``error``.

    :raises DataError: if ``source`` cannot be read or has no text column.
    :raises OutputError: if ``target`` cannot be written; it is then not there at all.
    """
    check_files(source, target)
    classifier.check(options)
    _check_columns(classifier.view, source)
    total = errors = 0
    with atomic_write(target) as partial, open_sink(partial) as sink:
        for chunk in _chunks(read_rows(source, (*ID_COLUMNS, *_text_columns(classifier.view)))):
            answers = _answers(classifier, chunk, options)
            sink.write(answers)
            total += len(answers)
            errors += sum(answer["error"] is not None for answer in answers)
            advance(len(answers))
    return StreamResult(total, errors)


def check_files(source: Path, target: Path) -> None:
    """Refuse before any model is loaded what could only fail.

    :raises DataError: if a format is unknown or ``source`` cannot be read.
    :raises OutputError: if ``target`` is ``source`` or cannot be written.
    """
    file_format(target)
    check_writable(target)
    columns_of(source)
    if target.exists() and os.path.samefile(source, target):
        raise OutputError(f"{target} is the input itself; name another file for the answers.")


def _check_columns(view: TextView, source: Path) -> None:
    columns, usable = columns_of(source), _text_columns(view)
    if not set(usable) & set(columns):
        raise DataError(
            f"{source} has no column {', '.join(usable)}; it has "
            f"{', '.join(map(repr, columns[:20]))}. Rename the column of the text."
        )


def _text_columns(view: TextView) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*view.columns, "text", *FIELDS)))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _answers(classifier: Classifier, rows: list[Row], options: Options) -> list[dict[str, Any]]:
    """One answer a row, in order; the usable rows are scored together."""
    answers = [dict.fromkeys(COLUMNS) | {"id": row.id} for row in rows]
    texts: dict[int, str] = {}
    for position, row in enumerate(rows):
        try:
            if row.error is not None:
                raise DataError(row.error)
            texts[position] = classifier.text_of(row.fields)
        except DataError as problem:
            answers[position]["error"] = str(problem)
    predictions = classifier.classify(list(texts.values()), options)
    for position, prediction in zip(texts, predictions, strict=True):
        answers[position] = record_of(prediction) | {"id": rows[position].id}
    return answers
