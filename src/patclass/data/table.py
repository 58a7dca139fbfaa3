"""A table of patents as it was recognised, and its rows. Knows columns and roles, no format."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from patclass.core.errors import DataError
from patclass.data.columns import add_roles


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
        roles = ", ".join(
            role if role == column else f"{role}: {column}" for role, column in self.roles.items()
        )
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
