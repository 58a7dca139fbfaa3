"""How a row gets its label. Knows a row's fields, not where rows come from.

Four schemes: a column, CPC/IPC symbols cut to a level, symbols matched with a list, and
symbols with all that they say about the tree.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from patclass.core.errors import DataError
from patclass.cpc.levels import LEVELS, SUBCLASS_DEPTH
from patclass.cpc.scheme import changes, parse_code
from patclass.cpc.symbols import Symbol
from patclass.cpc.tree import LabelSet, LabelTree, Path, common_path
from patclass.data.codes import (
    CODE_COLUMNS,
    LEVEL_COLUMNS,
    MAIN_CODE_COLUMNS,
    ONLY_CROSS_SECTION,
    Fields,
    UnusableRowError,
    deciding,
    level_symbols_of,
    symbols_of,
)
from patclass.data.column_labels import (
    ColumnLabels,
    FlatScheme,
    LabelScheme,
    NamedLabels,
    RowLabel,
    unanimous,
)

# The value of --labels that asks for the whole tree.
CPC = "cpc"


def _symbol(code: str) -> Symbol:
    symbol = Symbol.parse(code)
    if symbol is None:
        raise UnusableRowError("no CPC symbol")
    return symbol


@dataclass(frozen=True)
class LevelLabels(FlatScheme):
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
                return unanimous(cut)
            tagged |= any(symbol.is_cross_sectional for symbol in symbols)
        raise UnusableRowError(ONLY_CROSS_SECTION if tagged else "no label")

    def _deciding(self, symbols: list[Symbol], columns: Sequence[str]) -> list[Symbol]:
        """The deciding symbols; a column named after the level is a label, even if it says Y."""
        return deciding(symbols) or (symbols if self.level in columns else [])

    def label_of_code(self, code: str) -> RowLabel:
        return RowLabel.flat(unanimous([_symbol(code).cut(self.level)]))


@dataclass(frozen=True)
class ListLabels(FlatScheme):
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
        return unanimous(found)

    def label_of_code(self, code: str) -> RowLabel:
        match = self._match(_symbol(code))
        if match is None:
            raise UnusableRowError("label not in the list")
        return RowLabel.flat(match)

    def _decide(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        """The deciding symbols; those of section Y too, if the list has them."""
        crossing = [s for s in symbols if s.is_cross_sectional and self._match(s)]
        return [*deciding(symbols), *crossing]

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
    """What symbols say of each level of the CPC, however much that is.

    The main symbol decides. Without one, columns named after a level decide as far as they
    go, and the true code is one of the listed symbols below them.

    :param finest: the level below which symbols are cut.
    """

    main_columns: tuple[str, ...]
    level_columns: tuple[str, ...]
    code_columns: tuple[str, ...]
    finest: str = LEVELS[-1]

    def label_of(self, fields: Fields) -> RowLabel:
        main = symbols_of(fields, self.main_columns)
        levels = level_symbols_of(fields, self.level_columns)
        listed = symbols_of(fields, self.code_columns)
        # Where one column holds all symbols, it is the list.
        carried = self._carried(main, listed or (main if len(self.main_columns) == 1 else []))
        if not self._paths(main) and any(symbol.first for symbol in listed):
            main = deciding(listed)
        certain = common_path(self._paths(main) or _longest(self._paths(levels)))
        if certain and self._paths(main):
            sections = {path[0] for path in self._paths(listed)}
            contradicted = bool(sections) and certain[0] not in sections
            return RowLabel(certain, (certain,), carried, contradicted)
        candidates = {path for path in self._paths(listed) if path[: len(certain)] == certain}
        candidates = candidates or ({certain} if certain else set(self._paths(main)))
        if not candidates:
            crossing = any(symbol.is_cross_sectional for symbol in (*main, *listed, *levels))
            raise UnusableRowError(ONLY_CROSS_SECTION if crossing else "no label")
        return RowLabel(common_path(candidates), tuple(sorted(candidates)), carried)

    def label_of_code(self, code: str) -> RowLabel:
        paths = self._paths([_symbol(code)])
        if not paths:
            raise UnusableRowError(ONLY_CROSS_SECTION)
        return RowLabel(paths[0], (paths[0],))

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        codes = (label.code for label in training if label.path)
        carried = (label.carried for label in training if label.carried is not None)
        return LabelTree.of_cpc(codes, min_rows, carried, self.finest)

    def _path(self, symbol: Symbol) -> Path:
        return symbol.path[: LEVELS.index(self.finest) + 1]

    def _paths(self, symbols: Iterable[Symbol]) -> list[Path]:
        return [self._path(symbol) for symbol in deciding(list(symbols))]

    def _carried(self, main: list[Symbol], listed: list[Symbol]) -> tuple[Path, ...] | None:
        """The paths of all symbols; None without a list, or if it may be of the main symbol only.

        :param listed: symbols of columns that hold lists.
        """
        symbols = [*main, *listed]
        if not listed or len({symbol.text for symbol in symbols}) < 2:
            return None
        return tuple(sorted({self._path(symbol) for symbol in symbols}))


def _longest(paths: list[Path]) -> list[Path]:
    """The deepest of the paths: a column ``class`` repeats what ``subclass`` says."""
    return [path for path in paths if len(path) == max(map(len, paths))]


def label_scheme(
    wanted: str,
    columns: Collection[str],
    names: Mapping[str, tuple[str, ...]],
    codes: str | None = None,
    multi: bool = False,
    finest: str = LEVELS[-1],
) -> LabelScheme:
    """Choose the scheme for the setting ``labels``.

    :param wanted: ``auto``, ``cpc`` for the tree, a level, a comma-separated list of codes, or
        a column.
    :param columns: columns of the data.
    :param names: names of integer labels, by column, where the data set knows them.
    :param codes: the only column that holds symbols, if it is stated.
    :param multi: whether a column of texts holds several labels a row.
    :param finest: the finest level of the tree.
    :raises DataError: if the value fits none of these, or the columns it needs are missing.
    """
    if wanted == "auto":
        wanted = "label" if "label" in columns else "section"
    if wanted in (*LEVELS, CPC) or "," in wanted:
        return _symbol_scheme(wanted, columns, codes, finest)
    if wanted in names:
        labels = LabelSet.of_names(names[wanted])
        return NamedLabels(wanted, names[wanted], labels, multi=multi)
    if wanted in columns:
        return ColumnLabels(wanted, multi=multi)
    raise DataError(
        f"unknown label level or column '{wanted}': use {', '.join((CPC, *LEVELS))}, a list of "
        f"codes such as A61,G06,H04, or one of the columns {', '.join(sorted(columns))}."
    )


def _symbol_scheme(
    wanted: str, columns: Collection[str], codes: str | None, finest: str
) -> LabelScheme:
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
        return CpcLabels(main, levels, listed, finest)
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
