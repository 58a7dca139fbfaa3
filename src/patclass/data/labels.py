"""How a row gets its label. Knows a row's fields, not where rows come from.

Four schemes: a column, CPC/IPC symbols cut to a level, symbols matched with a list, and
symbols with all that they say about the tree.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from patclass.core.errors import DataError
from patclass.cpc.scheme import changes, parse_code
from patclass.cpc.symbols import LEVELS, SUBCLASS_DEPTH, Symbol
from patclass.cpc.tree import LabelSet, LabelTree, Path, common_path
from patclass.data.codes import (
    CODE_COLUMNS,
    LEVEL_COLUMNS,
    MAIN_CODE_COLUMNS,
    ONLY_TAGS,
    Fields,
    UnusableRowError,
    deciding,
    level_symbols_of,
    symbols_of,
)

# The value of --labels that asks for the whole tree.
CPC = "cpc"


@dataclass(frozen=True)
class RowLabel:
    """What is known of a row's label.

    :param path: the codes that are certain, coarsest first; empty if not even the first is.
    :param candidates: paths at or below ``path``, one of which is the true one.
    :param tags: for each tag whether the row carries it; None if that is not known.
    """

    path: Path
    candidates: tuple[Path, ...]
    tags: tuple[bool | None, ...] = ()

    @classmethod
    def flat(cls, code: str) -> "RowLabel":
        """A label of a set without levels."""
        return cls((code,), ((code,),))

    @property
    def code(self) -> str:
        """The finest code that is certain."""
        return self.path[-1]


class LabelScheme(Protocol):
    """Finds a row's label and the tree of all labels."""

    def label_of(self, fields: Fields) -> RowLabel:
        """The row's label.

        :raises Unusable: if the row has none or more than one.
        """

    def label_of_code(self, code: str) -> RowLabel:
        """The label of a patent of which a person says that it belongs under ``code``.

        :raises Unusable: if that decides no label.
        """

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        """All labels in output order, given those of the training rows.

        :param min_rows: codes with fewer training rows are folded, where there are levels.
        """


class _FlatScheme:
    """What the schemes without levels have in common: one code a row."""

    @property
    def level_name(self) -> str:
        return "label"

    def code_of(self, fields: Fields) -> str:
        raise NotImplementedError

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return LabelSet.of_codes(sorted(set(training_codes)))

    def label_of(self, fields: Fields) -> RowLabel:
        return RowLabel.flat(self.code_of(fields))

    def label_of_code(self, code: str) -> RowLabel:
        return RowLabel.flat(code)

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        return LabelTree.flat(self.label_set(label.code for label in training), self.level_name)


@dataclass(frozen=True)
class ColumnLabels(_FlatScheme):
    """Labels as they stand in a column."""

    column: str

    def code_of(self, fields: Fields) -> str:
        return _cell(fields, self.column)


@dataclass(frozen=True)
class NamedLabels(_FlatScheme):
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
        raise UnusableRowError("unknown label")

    def label_of_code(self, code: str) -> RowLabel:
        if code not in self.labels:
            raise UnusableRowError("unknown label")
        return RowLabel.flat(code)

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return self.labels


def _cell(fields: Fields, column: str) -> str:
    value = fields.get(column)
    text = "" if value is None else str(value).strip()
    if not text or text == "-1":  # -1 is how hub data sets say "unlabelled"
        raise UnusableRowError("no label")
    return text


def _symbol(code: str) -> Symbol:
    symbol = Symbol.parse(code)
    if symbol is None:
        raise UnusableRowError("no CPC symbol")
    return symbol


def _unanimous(codes: Iterable[str | None]) -> str:
    found = {code for code in codes if code is not None}
    if not found:
        raise UnusableRowError("no label")
    if len(found) > 1:
        raise UnusableRowError("ambiguous label")
    return found.pop()


@dataclass(frozen=True)
class LevelLabels(_FlatScheme):
    """Symbols cut to a level: main symbol, else columns named after levels, else unanimity."""

    level: str
    main_columns: tuple[str, ...]
    level_columns: tuple[str, ...]
    code_columns: tuple[str, ...]

    @property
    def level_name(self) -> str:
        return self.level

    def code_of(self, fields: Fields) -> str:
        tagged = False
        for read, columns in (
            (symbols_of, self.main_columns),
            (level_symbols_of, self.level_columns),
            (symbols_of, self.code_columns),
        ):
            symbols = read(fields, columns)
            cut = {symbol.cut(self.level) for symbol in self._deciding(symbols, columns)} - {None}
            if cut:
                return _unanimous(cut)
            tagged |= any(symbol.is_tag for symbol in symbols)
        raise UnusableRowError(ONLY_TAGS if tagged else "no label")

    def _deciding(self, symbols: list[Symbol], columns: Sequence[str]) -> list[Symbol]:
        """The deciding symbols; a column named after the level is a label, even if it says Y."""
        return deciding(symbols) or (symbols if self.level in columns else [])

    def label_of_code(self, code: str) -> RowLabel:
        return RowLabel.flat(_unanimous([_symbol(code).cut(self.level)]))


@dataclass(frozen=True)
class ListLabels(_FlatScheme):
    """Symbols matched with a given list of codes of any level (``A61, G06F, H04``)."""

    codes: tuple[str, ...]
    main_columns: tuple[str, ...]
    level_columns: tuple[str, ...]
    code_columns: tuple[str, ...]

    def code_of(self, fields: Fields) -> str:
        symbols = self._decide(symbols_of(fields, self.main_columns)) or self._decide(
            [
                *level_symbols_of(fields, self.level_columns),
                *symbols_of(fields, self.code_columns),
            ]
        )
        if not symbols:
            raise UnusableRowError("no label")
        found = {self._match(symbol) for symbol in symbols} - {None}
        if not found:
            raise UnusableRowError("label not in the list", _former(symbols))
        return _unanimous(found)

    def label_of_code(self, code: str) -> RowLabel:
        match = self._match(_symbol(code))
        if match is None:
            raise UnusableRowError("label not in the list")
        return RowLabel.flat(match)

    def _decide(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        """The deciding symbols; those of a tag too, if the list has one."""
        tags = [symbol for symbol in symbols if symbol.is_tag and self._match(symbol)]
        return [*deciding(symbols), *tags]

    def _match(self, symbol: Symbol) -> str | None:
        matches = [code for code in self.codes if symbol.is_within(code)]
        return max(matches, key=len) if matches else None

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        return LabelSet.of_codes(self.codes)


def _former(symbols: Iterable[Symbol]) -> str | None:
    """What became of a symbol's subclass that the CPC no longer has; None if it has all."""
    codes = [symbol.path[:SUBCLASS_DEPTH][-1] for symbol in symbols]
    return next((f"{code} {changes()[code]}" for code in codes if code in changes()), None)


@dataclass(frozen=True)
class CpcLabels:
    """What symbols say of section, class and subclass, however much that is.

    The main symbol decides. Without one, columns named after a level decide as far as they
    go, and the true code is one of the listed symbols below them.
    """

    main_columns: tuple[str, ...]
    level_columns: tuple[str, ...]
    code_columns: tuple[str, ...]

    def label_of(self, fields: Fields) -> RowLabel:
        main = symbols_of(fields, self.main_columns)
        levels = level_symbols_of(fields, self.level_columns)
        listed = symbols_of(fields, self.code_columns)
        tags = (_tagged([*main, *listed], levels),)
        if not _paths(main) and any(symbol.first for symbol in listed):
            main = deciding(listed)
        certain = common_path(_paths(main) or _longest(_paths(levels)))
        if certain and _paths(main):
            return RowLabel(certain, (certain,), tags)
        candidates = {path for path in _paths(listed) if path[: len(certain)] == certain}
        candidates = candidates or ({certain} if certain else set(_paths(main)))
        if not candidates:
            raise UnusableRowError(ONLY_TAGS if tags[0] else "no label")
        return RowLabel(common_path(candidates), tuple(sorted(candidates)), tags)

    def label_of_code(self, code: str) -> RowLabel:
        paths = _paths([_symbol(code)])
        if not paths:
            raise UnusableRowError(ONLY_TAGS)
        return RowLabel(paths[0], (paths[0],), (None,))

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        codes = (label.code for label in training if label.path)
        return LabelTree.of_cpc(codes, min_rows)


def _paths(symbols: Iterable[Symbol]) -> list[Path]:
    return [symbol.path[:SUBCLASS_DEPTH] for symbol in deciding(list(symbols))]


def _longest(paths: list[Path]) -> list[Path]:
    """The deepest of the paths: a column ``class`` repeats what ``subclass`` says."""
    return [path for path in paths if len(path) == max(map(len, paths))]


def _tagged(symbols: list[Symbol], levels: list[Symbol]) -> bool | None:
    """Whether the row carries the tag; one symbol alone says nothing about additional ones.

    :param levels: what columns named after a level say; they repeat what is known elsewhere.
    """
    if any(symbol.is_tag for symbol in (*symbols, *levels)):
        return True
    return False if len({symbol.text for symbol in symbols}) > 1 else None


def label_scheme(
    wanted: str,
    columns: Collection[str],
    names: Mapping[str, tuple[str, ...]],
    codes: str | None = None,
) -> LabelScheme:
    """Choose the scheme for the setting ``labels``.

    :param wanted: ``auto``, ``cpc`` for the tree, a level, a comma-separated list of codes, or
        a column.
    :param columns: columns of the data.
    :param names: names of integer labels, by column, where the data set knows them.
    :param codes: the only column that holds symbols, if it is stated.
    :raises DataError: if the value fits none of these, or the columns it needs are missing.
    """
    if wanted == "auto":
        wanted = "label" if "label" in columns else "section"
    if wanted in (*LEVELS, CPC) or "," in wanted:
        return _symbol_scheme(wanted, columns, codes)
    if wanted in names:
        return NamedLabels(wanted, names[wanted], LabelSet.of_names(names[wanted]))
    if wanted in columns:
        return ColumnLabels(wanted)
    raise DataError(
        f"unknown label level or column '{wanted}': use {', '.join((CPC, *LEVELS))}, a list of "
        f"codes such as A61,G06,H04, or one of the columns {', '.join(sorted(columns))}."
    )


def _symbol_scheme(wanted: str, columns: Collection[str], codes: str | None) -> LabelScheme:
    if codes is not None and codes not in columns:
        raise DataError(
            f"codes {codes!r}: no such column; there are {', '.join(sorted(columns))}.",
            setting="codes",
        )
    main = (codes,) if codes else tuple(c for c in MAIN_CODE_COLUMNS if c in columns)
    listed = () if codes else tuple(c for c in CODE_COLUMNS if c in columns)
    levels = tuple(c for names in LEVEL_COLUMNS.values() for c in names if c in columns)
    if not main and not listed and not levels:
        raise DataError(
            f"labels '{wanted}' need CPC/IPC symbols, but no column holds them; there are "
            f"{', '.join(sorted(columns))}. Name the right one with codes, or label by a column "
            "with labels.",
            setting=("labels", "codes"),
        )
    if wanted == CPC:
        return CpcLabels(main, levels, listed)
    if wanted in LEVELS:
        return LevelLabels(wanted, main, levels, listed)
    return ListLabels(_parse_list(wanted), main, levels, listed)


def _parse_list(wanted: str) -> tuple[str, ...]:
    codes = [part.strip() for part in wanted.split(",") if part.strip()]
    symbols = [Symbol.parse(code) for code in codes]
    wrong = [code for code, symbol in zip(codes, symbols, strict=True) if symbol is None]
    if wrong:
        raise DataError(
            f"labels '{wanted}': not a CPC symbol: {', '.join(wrong)} (expected e.g. A61).",
            setting="labels",
        )
    for symbol in symbols:
        parse_code(symbol.text if symbol else "")  # a code that does not exist has no row either
    found = tuple(dict.fromkeys(symbol.text for symbol in symbols if symbol))
    if len(found) < 2:
        raise DataError(
            f"labels '{wanted}' names fewer than two codes; a classifier needs two.",
            setting="labels",
        )
    return found
