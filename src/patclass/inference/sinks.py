"""Files of predictions: the columns of the input, then those of the answers. Knows no model.

In CSV and TSV, which spreadsheets open, no cell is a formula; in other formats, cells stay as they
are.
"""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError
from patclass.data.cells import cell_json, cell_text, spreadsheet_text
from patclass.data.columns import MAX_COLUMNS, free_name
from patclass.data.formats import file_format
from patclass.data.table import Row, Table, first_line
from patclass.inference.prediction import ANSWER_COLUMNS, file_columns

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


# The schema of the answers.
SCHEMA = pa.schema([(column.name, _arrow_type(column.type)) for column in ANSWER_COLUMNS])


@dataclass(frozen=True)
class OwnColumns:
    """The columns of the input that stand before those of the answers.

    :param names: the name in the output by that in the input, in their order.
    :param types: of the columns of a Parquet file; all others are written as text.
    :param complete: whether every column of the input is among them.
    :param late: columns that were first met after the output was begun.
    :param answers: the names of the columns of the answers.
    """

    names: dict[str, str] = field(default_factory=dict)
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    complete: bool = False
    late: set[str] = field(default_factory=set)
    answers: tuple[str, ...] = file_columns()
    _taken: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep the names that no other column may have."""
        self._taken.update(self.names.values(), self.answers)

    @classmethod
    def of(
        cls,
        table: Table,
        wanted: Collection[str] | None = None,
        answers: tuple[str, ...] = file_columns(),
    ) -> "OwnColumns":
        """The wanted columns of a table; without ``wanted``, all of them.

        A column with the name of an answer's column is renamed, except for that of the ids.

        :raises DataError: if the table has no such column.
        """
        for name in wanted or ():
            if name not in table.columns:
                raise DataError(
                    f"columns {name!r}: {table.path.name} has no such column; it has "
                    f"{', '.join(map(repr, table.columns))}.",
                    setting="columns",
                )
        own = cls({}, table.types, wanted is None, answers=answers)
        for column in table.columns if wanted is None else dict.fromkeys(wanted):
            own.add(column, is_id=table.roles.get("id") == column)
        return own

    def add(self, column: str, is_id: bool = False) -> None:
        """Give a column that is not there a name that no other column has, if there is room."""
        if column in self.names:
            return
        if len(self.names) >= MAX_COLUMNS:
            self._miss(column)
            return
        name = column if is_id and column == "id" else free_name(column, self._taken)
        self.names[column] = name
        self._taken.add(name)

    def _miss(self, column: str) -> None:
        if len(self.late) < MAX_COLUMNS:
            self.late.add(column)

    @property
    def columns(self) -> list[str]:
        """The columns of the output, those of the answers included."""
        return list(dict.fromkeys((*self.names.values(), *self.answers)))

    @property
    def schema(self) -> pa.Schema:
        """The columns of the output with their types."""
        types = {name: self.types.get(column, pa.string()) for column, name in self.names.items()}
        types |= {name: SCHEMA.field(name).type for name in self.answers}
        return pa.schema([(name, types[name]) for name in self.columns])

    def cells(self, row: Row) -> dict[str, Any]:
        """The cells of a row by their names in the output."""
        if self.complete and not row.fields.keys() <= self.names.keys():
            for column in row.fields:
                if column not in self.names:
                    self._miss(column)
        fields = row.fields
        return {name: fields[column] for column, name in self.names.items() if column in fields}


class Sink(Protocol):
    """Writes rows: the cells of the input and the answer by column."""

    def write(self, rows: Sequence[Row], answers: Sequence[dict[str, Any]]) -> None:
        """Append an answer for each row; None is an empty cell."""


def _joined(own: OwnColumns, row: Row, answer: dict[str, Any]) -> dict[str, Any]:
    """The cells of one row of the output; an id of the input is written as it was."""
    cells = own.cells(row)
    id = cells.get("id")
    answer = {name: cell for name, cell in answer.items() if name in own.answers}
    return cells | answer | ({"id": cell_text(id)} if first_line(id) else {})


class _JsonSink:
    def __init__(self, file: Any, own: OwnColumns) -> None:
        self._file, self._own = file, own

    def write(self, rows: Sequence[Row], answers: Sequence[dict[str, Any]]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            if self._own.complete:  # a line may have columns that no line before it has
                for column in row.fields:
                    self._own.add(column)
            filled = {key: value for key, value in answer.items() if value not in (None, ())}
            self._file.write(cell_json(_joined(self._own, row, filled)) + "\n")


class _CsvSink:
    def __init__(self, file: Any, own: OwnColumns, delimiter: str) -> None:
        self._writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
        self._own, self._columns = own, own.columns
        names: dict[str, None] = {}
        for column in self._columns:
            names[free_name(spreadsheet_text(column), names)] = None
        self._write(list(names))

    def write(self, rows: Sequence[Row], answers: Sequence[dict[str, Any]]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            cells = _joined(self._own, row, answer)
            self._write([cell_text(cells.get(column)) for column in self._columns])

    def _write(self, cells: Sequence[str | None]) -> None:
        self._writer.writerow([cell and spreadsheet_text(cell) for cell in cells])


class _Lines:
    """Ends lines by a line feed alone, while cells with either part of an end are quoted."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


class _ParquetSink:
    def __init__(self, writer: pq.ParquetWriter, own: OwnColumns) -> None:
        self._writer, self._own, self._schema = writer, own, own.schema
        texts = [name for name in own.names.values() if pa.types.is_string(self._type(name))]
        self._texts = {name for name in texts if name not in own.answers}

    def _type(self, name: str) -> pa.DataType:
        return self._schema.field(name).type

    def write(self, rows: Sequence[Row], answers: Sequence[dict[str, Any]]) -> None:
        records = []
        for row, answer in zip(rows, answers, strict=True):
            cells = _joined(self._own, row, answer)
            records.append({k: cell_text(v) if k in self._texts else v for k, v in cells.items()})
        self._writer.write_table(pa.Table.from_pylist(records, schema=self._schema))


@contextmanager
def open_sink(path: Path, own: OwnColumns | None = None) -> Iterator[Sink]:
    """Open ``path`` for rows; its suffix determines the format.

    :param own: the columns of the input to write; without them, only the answers.
    :raises DataError: if the suffix is no supported format.
    """
    suffix, own = file_format(path), own or OwnColumns()
    if suffix == ".parquet":
        with pq.ParquetWriter(path, own.schema) as writer:
            yield _ParquetSink(writer, own)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if suffix == ".jsonl":
            yield _JsonSink(file, own)
        else:
            yield _CsvSink(file, own, "\t" if suffix == ".tsv" else ",")
