"""Classification of a file of patents into a file of predictions.

Rows keep their order; files may be larger than memory; the output file appears complete or not at
all.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from patclass.core.errors import DataError, OutputError
from patclass.core.files import atomic_write, check_writable
from patclass.core.types import Echo, OnProgress
from patclass.data.formats import file_format
from patclass.data.rows import open_table
from patclass.data.table import RECOGNISED, Row, Table, TableOptions
from patclass.data.text import FIELDS, TextView
from patclass.inference.classifier import DEFAULTS, Classifier
from patclass.inference.prediction import COLUMNS, Options, file_columns, record_of
from patclass.inference.sinks import OwnColumns, open_sink

# Large enough that sorting by length leaves little padding, small enough for any memory.
CHUNK_ROWS = 256
CHUNK_CHARACTERS = 16_000_000

# The first chunk is small, so that the first answers are there at once.
FIRST_CHUNK_ROWS = 16


@dataclass(frozen=True)
class FileTask:
    """A file to classify, as it was recognised, and what to write where.

    :param view: of what the text is made; None for the view of the model.
    :param own: the columns of the input that stand before those of the answers.
    """

    table: Table
    target: Path
    view: TextView | None
    own: OwnColumns


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
    *,
    table: TableOptions = RECOGNISED,
    text: str | None = None,
    columns: Collection[str] | None = None,
) -> FileResult:
    """Classify every row of ``source`` into a row of ``target``; unusable rows get an ``error``.

    The output has the columns of the input, then those of the answers. The parameters that are not
    listed here are those of ``file_task`` and ``classify_rows``.

    :raises DataError: if ``source`` cannot be read or has no text column.
    :raises OutputError: if ``target`` cannot be written; no part of it is then left.
    """
    task = file_task(source, target, table, text, columns, options.all_codes)
    return classify_rows(classifier, task, options, on_progress, echo)


def file_task(
    source: Path,
    target: Path,
    table: TableOptions = RECOGNISED,
    text: str | None = None,
    columns: Collection[str] | None = None,
    all_codes: bool = False,
) -> FileTask:
    """Check input and output files before a model is loaded, and recognise the input.

    :param table: what overrules the recognition of the input.
    :param text: the column of the text, or fields joined by '+'; None for those of the model.
    :param columns: the columns of the input to write beside the answers; None for all of them.
    :param all_codes: whether the answers have the column of all codes.
    :raises DataError: if a format is not supported, ``source`` cannot be read or lacks a column.
    :raises OutputError: if ``target`` is ``source`` or cannot be written.
    """
    file_format(target)
    check_writable(target)
    return open_task(source, target, table, text, columns, all_codes)


def open_task(
    source: Path,
    target: Path,
    table: TableOptions = RECOGNISED,
    text: str | None = None,
    columns: Collection[str] | None = None,
    all_codes: bool = False,
) -> FileTask:
    """``file_task`` without a look at what ``target`` is and whether it can be written."""
    opened = open_table(source, table)
    if target.exists() and os.path.samefile(source, target):
        raise OutputError(f"{target} is the input itself; choose another output file.")
    view = None if text is None else TextView.parse(text, opened.names)
    own = OwnColumns.of(opened, columns, file_columns(all_codes))
    return FileTask(opened, target, view, own)


def classify_rows(
    classifier: Classifier,
    task: FileTask,
    options: Options = DEFAULTS,
    on_progress: OnProgress = lambda rows: None,
    echo: Echo = lambda line: None,
) -> FileResult:
    """Classify the rows of a task into its file.

    :param on_progress: called with the number of rows that were written.
    :param echo: called with lines that say what was recognised of the input, and what is unsure.
    :raises DataError: if the input turns out to be corrupt, or has no text column.
    :raises OutputError: if the output cannot be written; no part of it is then left.
    """
    table, own = task.table, task.own
    view = task.view or TextView(_text_columns(classifier.view))
    classifier.check_options(options)
    _check_columns(view, table)
    echo(table.recognised)
    total = errors = 0
    needed = None if own.complete else table.needed(("id", *view.columns)) | own.names.keys()
    with atomic_write(task.target) as partial, open_sink(partial, own) as sink:
        for rows in _chunks(table.read(needed)):
            answers = _answers(classifier, [table.with_roles(row) for row in rows], task, options)
            sink.write(rows, answers)
            total += len(answers)
            errors += sum(answer["error"] is not None for answer in answers)
            on_progress(len(answers))
    for note in table.notes:
        echo(note)
    if own.late:
        names = f"{', '.join(sorted(own.late)[:20])}{', …' if len(own.late) > 20 else ''}"
        echo(f"first met after the output was begun, and not written: {names}")
    return FileResult(total, errors)


def _check_columns(view: TextView, table: Table) -> None:
    if not set(view.columns) & set(table.names):
        raise DataError(
            f"{table.path} has no column {', '.join(view.columns)}; it has "
            f"{', '.join(map(repr, table.columns[:20]))}. Name the column that holds the text.",
            setting="text",
        )


def _text_columns(view: TextView) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*view.columns, "text", *FIELDS)))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    size = min(FIRST_CHUNK_ROWS, CHUNK_ROWS)
    while chunk := list(_up_to(islice(rows, size))):
        yield chunk
        size = min(2 * size, CHUNK_ROWS)


def _up_to(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows until their cells have as many characters as a chunk may have."""
    characters = 0
    for row in rows:
        yield row
        characters += sum(len(cell) for cell in row.fields.values() if isinstance(cell, str))
        if characters > CHUNK_CHARACTERS:
            return


def _answers(
    classifier: Classifier, rows: list[Row], task: FileTask, options: Options
) -> list[dict[str, Any]]:
    """One answer per row, in order; the usable rows are classified together."""
    answers = [dict.fromkeys(COLUMNS) | {"id": row.id} for row in rows]
    texts: dict[int, str] = {}
    for position, row in enumerate(rows):
        try:
            if row.error is not None:
                raise DataError(row.error if row.line is None else f"line {row.line}: {row.error}")
            fields = row.fields if task.view is None else {"text": task.view.text_of(row.fields)}
            texts[position] = classifier.text_of(fields)
        except DataError as problem:
            answers[position]["error"] = str(problem)
    predictions = classifier.classify(list(texts.values()), options)
    for position, prediction in zip(texts, predictions, strict=True):
        answers[position] = record_of(prediction) | {"id": rows[position].id}
    return answers
