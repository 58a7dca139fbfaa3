"""A table of patents: as it was recognised, what a user states of it, its rows, and its cells.

Knows columns and roles, no format.
"""

import codecs
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from patclass.core.errors import DataError
from patclass.core.settings import FORM_OPTIONS, STATED_ROLES, DataSettings
from patclass.data.columns import add_roles, exclusion, status_columns


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
    :param estimate: of the number of rows, from no more than the first megabyte of the file; 0 if
        that does not tell.
    :param doubts: after the rows were read, what of them may have been read wrongly.
    :param read_after: as ``read``, but without the first so many rows; None for a file that can
        only be read from its beginning.
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
    read_after: Callable[[Collection[str] | None, int], Iterator[Row]] | None = None

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
            self._exclude(row)
            yield row

    def needed(self, wanted: Collection[str]) -> set[str]:
        """The columns of which the wanted columns and roles are made."""
        wanted = {*wanted, "id", *self._status.values()}
        return {self.roles.get(name, name) for name in wanted} | wanted

    def with_roles(self, row: Row) -> Row:
        """A row as it was read, with the fields of the roles."""
        found = replace(row, fields=dict(row.fields))
        add_roles(found.fields, self._named, self.stated)
        self._exclude(found)
        return found

    def _exclude(self, row: Row) -> None:
        """Make a row an error if it is no patent that has a text."""
        if row.error is None:
            stated = {status: row.fields.get(column) for status, column in self._status.items()}
            row.error = exclusion(str(row.fields.get("id")), stated)

    @cached_property
    def _status(self) -> dict[str, str]:
        return status_columns(self.columns)

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


_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class TableOptions:
    """What overrules the recognition of a table; None leaves it to be recognised.

    :param id: the column of the publication number; likewise for the other roles.
    :param codes: the column of the CPC/IPC symbols, which replaces all others with symbols.
    :param delimiter: one character, or ``tab``.
    :param encoding: any text encoding that Python knows, such as ``cp1252``.
    :param sheet: the name of a workbook's sheet.
    :raises DataError: if the delimiter is none or the encoding is not known.
    """

    id: str | None = None
    title: str | None = None
    abstract: str | None = None
    claims: str | None = None
    description: str | None = None
    codes: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        """Check and spell out the values, so that a wrong one is told before a file is read."""
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _delimiter(self.delimiter))
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))

    @classmethod
    def of(cls, settings: DataSettings) -> Self:
        """The options among the settings of a run."""
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})

    @property
    def columns(self) -> Mapping[str, str]:
        """The stated column of each role that one is stated for."""
        stated = {role: getattr(self, role) for role in STATED_ROLES}
        return {role: column for role, column in stated.items() if column is not None}

    def check(self, form: str, usable: Collection[str]) -> None:
        """Check that no option is given that does not apply to a file.

        :param form: the file and how it is written, in words.
        :param usable: those of delimiter, encoding and sheet that apply to it.
        :raises DataError: naming the first option that does not.
        """
        for name in FORM_OPTIONS:
            if name not in usable and getattr(self, name) is not None:
                raise DataError(f"{name} does not apply to {form}; leave it out.", setting=name)


RECOGNISED = TableOptions()


def _delimiter(text: str) -> str:
    delimiter = _DELIMITER_NAMES.get(text.lower(), text)
    if len(delimiter) != 1 or delimiter in '"\r\n\x00':
        raise DataError(
            f"delimiter {text!r}: expected one character, such as ';', or 'tab'.",
            setting="delimiter",
        )
    return delimiter


def _encoding(name: str) -> str:
    """The name under which Python knows an encoding; a mark at the beginning is left out."""
    try:
        known = codecs.lookup(name)
        # Codecs that are no encodings of text, or of names of hosts only, raise here.
        known.incrementaldecoder(errors="surrogateescape").decode("a".encode(name))
    except (LookupError, TypeError, ValueError) as problem:
        raise DataError(
            f"encoding {name!r} is not known; use a name such as utf-8, utf-16, cp1252, "
            "shift_jis, gb18030 or euc_kr.",
            setting="encoding",
        ) from problem
    return "utf-8-sig" if known.name == "utf-8" else known.name
