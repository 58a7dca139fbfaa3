"""A file of patents to a file of answers, larger than memory, in order, whole or not at all."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from patclass.data.rows import ID_COLUMNS, Row, columns_of, file_format, read_rows
from patclass.data.views import FIELDS, TextView
from patclass.errors import DataError, OutputError
from patclass.files import check_writable, whole_file
from patclass.inference.answer import Options
from patclass.inference.classifier import DEFAULTS, Classifier
from patclass.inference.record import COLUMNS, record_of
from patclass.inference.sinks import open_sink

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
    with whole_file(target) as aside, open_sink(aside) as sink:
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
