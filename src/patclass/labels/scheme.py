"""How a row gets its label. Knows a row's fields, not where rows come from.

Three schemes: a column, CPC/IPC symbols cut to a level, symbols matched with a list.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from patclass.errors import DataError
from patclass.labels.labelset import LabelSet
from patclass.labels.symbols import LEVELS, Symbol, split_codes

Fields = Mapping[str, Any]

# The first (inventive) symbol decides; a list of symbols decides only where it is unanimous,
# because its order often carries no meaning.
MAIN_CODE_COLUMNS = ("main_code", "main_cpc", "main_ipc")
CODE_COLUMNS = ("codes", "cpc", "ipc", "cpc_codes", "ipc_codes", "cpc_label", "ipc_label", "code")


class Unusable(Exception):
    """A row that cannot be used, with the reason under which it is counted."""


class LabelScheme(Protocol):
    """Finds a row's label and the closed set of labels."""

    def code_of(self, fields: Fields) -> str:
        """The row's label code.

        :raises Unusable: if the row has none or more than one.
        """

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        """All labels in output order, given the codes of the training rows."""


@dataclass(frozen=True)
class ColumnLabels:
    """Labels as they stand in a column."""

    column: str

    def code_of(self, fields: Fields) -> str:
        return _cell(fields, self.column)

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return LabelSet.of_codes(sorted(set(training_codes)))


@dataclass(frozen=True)
class NamedLabels:
    """A ``ClassLabel`` column: integers, or their names, that stand for a known label set."""

    column: str
    names: tuple[str, ...]
    labels: LabelSet

    def code_of(self, fields: Fields) -> str:
        text = _cell(fields, self.column)
        if text.isdecimal() and int(text) < len(self.names):
            return self.labels[int(text)].code
        if text in self.names:
            return self.labels[self.names.index(text)].code
        raise Unusable("unknown label")

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return self.labels


def _cell(fields: Fields, column: str) -> str:
    value = fields.get(column)
    text = "" if value is None else str(value).strip()
    if not text or text == "-1":  # -1 is how hub data sets say "unlabelled"
        raise Unusable("no label")
    return text


def _symbols(fields: Fields, columns: Iterable[str]) -> list[Symbol]:
    codes = [code for column in columns for code in split_codes(fields.get(column))]
    return [symbol for symbol in map(Symbol.parse, codes) if symbol is not None]


def _unanimous(codes: Iterable[str | None]) -> str:
    found = {code for code in codes if code is not None}
    if not found:
        raise Unusable("no label")
    if len(found) > 1:
        raise Unusable("ambiguous label")
    return found.pop()


@dataclass(frozen=True)
class LevelLabels:
    """Symbols cut to a level: main symbol, else a column of the level's name, else unanimity."""

    level: str
    main_columns: tuple[str, ...]
    code_columns: tuple[str, ...]

    def code_of(self, fields: Fields) -> str:
        for columns in (self.main_columns, (self.level,)):
            cut = {symbol.cut(self.level) for symbol in _symbols(fields, columns)} - {None}
            if cut:
                return _unanimous(cut)
        return _unanimous(symbol.cut(self.level) for symbol in _symbols(fields, self.code_columns))

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return LabelSet.of_codes(sorted(set(training_codes)))


@dataclass(frozen=True)
class ListLabels:
    """Symbols matched with a given list of codes of any level (``A61, G06F, H04``)."""

    codes: tuple[str, ...]
    main_columns: tuple[str, ...]
    code_columns: tuple[str, ...]

    def code_of(self, fields: Fields) -> str:
        main = _symbols(fields, self.main_columns)
        symbols = main or _symbols(fields, (*LEVELS, *self.code_columns))
        if not symbols:
            raise Unusable("no label")
        found = {self._match(symbol) for symbol in symbols} - {None}
        if not found:
            raise Unusable("label not in the list")
        return _unanimous(found)

    def _match(self, symbol: Symbol) -> str | None:
        matches = [code for code in self.codes if symbol.is_within(code)]
        return max(matches, key=len) if matches else None

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return LabelSet.of_codes(self.codes)


def label_scheme(
    wanted: str,
    columns: Collection[str],
    names: Mapping[str, tuple[str, ...]],
    code_column: str | None = None,
) -> LabelScheme:
    """Choose the scheme for ``--labels``.

    :param wanted: ``auto``, a level, a comma-separated list of codes, or a column.
    :param columns: columns of the data.
    :param names: names of integer labels, by column, where the data set knows them.
    :param code_column: the column that holds the symbols, if it has an unusual name.
    :raises DataError: if the value fits none of these, or the columns it needs are missing.
    """
    if wanted == "auto":
        wanted = "label" if "label" in columns else "section"
    if wanted in LEVELS or "," in wanted:
        return _symbol_scheme(wanted, columns, code_column)
    if wanted in names:
        return NamedLabels(wanted, names[wanted], LabelSet.of_names(names[wanted]))
    if wanted in columns:
        return ColumnLabels(wanted)
    raise DataError(
        f"unknown label level or column '{wanted}': use {', '.join(LEVELS)}, a list of codes "
        f"such as A61,G06,H04, or one of the columns {', '.join(sorted(columns))}."
    )


def _symbol_scheme(wanted: str, columns: Collection[str], code_column: str | None) -> LabelScheme:
    if code_column is not None and code_column not in columns:
        raise DataError(
            f"no column '{code_column}' (--code-column); there are {', '.join(sorted(columns))}."
        )
    main = (code_column,) if code_column else tuple(c for c in MAIN_CODE_COLUMNS if c in columns)
    codes = () if code_column else tuple(c for c in CODE_COLUMNS if c in columns)
    levels = {wanted} if wanted in LEVELS else set(LEVELS)
    if not main and not codes and not levels & set(columns):
        raise DataError(
            f"labels '{wanted}' need CPC/IPC symbols, but no column holds them; there are "
            f"{', '.join(sorted(columns))}. Name the right one with --code-column, or label by "
            "a column with --labels NAME."
        )
    if wanted in LEVELS:
        return LevelLabels(wanted, main, codes)
    return ListLabels(_parse_list(wanted), main, codes)


def _parse_list(wanted: str) -> tuple[str, ...]:
    codes = [part.strip() for part in wanted.split(",") if part.strip()]
    symbols = [Symbol.parse(code) for code in codes]
    wrong = [code for code, symbol in zip(codes, symbols, strict=True) if symbol is None]
    if wrong:
        raise DataError(f"not a CPC symbol in --labels: {', '.join(wrong)} (expected e.g. A61).")
    found = tuple(dict.fromkeys(symbol.text for symbol in symbols if symbol))
    if len(found) < 2:
        raise DataError(f"--labels '{wanted}' names fewer than two codes; a classifier needs two.")
    return found
