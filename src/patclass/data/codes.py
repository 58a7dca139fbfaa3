"""The symbols of a row, and which of them may decide its label. Knows columns, no labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patclass.cpc.records import EMPTY
from patclass.cpc.symbols import LEVELS, Symbol, SymbolCell, read_symbols
from patclass.cpc.tree import CROSS_SECTION

Fields = Mapping[str, Any]

# The first (inventive) symbol decides; a list of symbols decides only where it is unanimous,
# because its order often carries no meaning.
MAIN_CODE_COLUMNS = ("main_code", "main_cpc", "main_ipc")
CODE_COLUMNS = (
    *("codes", "cpc", "ipc", "cpc_codes", "ipc_codes", "cpc_label", "ipc_label", "code"),
    "cpc_group",
)

# Columns that hold one level each, with or without what is above it.
LEVEL_COLUMNS = {
    "section": ("section", "cpc_section", "ipc_section"),
    "class": ("class", "cpc_class", "ipc_class"),
    "subclass": ("subclass", "cpc_subclass", "ipc_subclass"),
    "main_group": ("main_group", "cpc_main_group", "ipc_main_group"),
    "subgroup": ("subgroup", "cpc_subgroup", "ipc_subgroup"),
}

NOT_UNDERSTOOD = "symbols not understood"
ONLY_CROSS_SECTION = f"only in section {CROSS_SECTION}, never a main code"


class UnusableRowError(Exception):
    """A row that cannot be used, with the reason under which it is counted.

    :param example: what in the row is the reason, if that can be quoted.
    """

    def __init__(self, reason: str, example: str | None = None) -> None:
        super().__init__(reason)
        self.example = example


def symbols_of(fields: Fields, columns: Iterable[str]) -> list[Symbol]:
    """The symbols of some columns.

    :raises UnusableRowError: if a part of a cell is not understood, as it might decide otherwise.
    """
    return _understood(sum((read_symbols(fields.get(column)) for column in columns), SymbolCell()))


def _understood(cell: SymbolCell) -> list[Symbol]:
    if cell.remainder:
        raise UnusableRowError(NOT_UNDERSTOOD, " ".join(cell.remainder)[:60])
    return list(cell.symbols)


def level_symbols_of(fields: Fields, columns: Iterable[str]) -> list[Symbol]:
    """The symbols of columns that hold a level each.

    ``A``, ``61``, ``K``, ``31``, ``7036`` are read like ``A``, ``A61``, ``A61K``, ``A61K31/00``,
    ``A61K31/7036``.

    :raises UnusableRowError: as ``symbols_of``, and if a level contradicts a coarser one.
    """
    present, path, found, coarser = set(columns), "", SymbolCell(), SymbolCell()
    for level in LEVELS:
        symbols = SymbolCell()
        for column in LEVEL_COLUMNS[level]:
            text = _text(fields.get(column)) if column in present else ""
            if text := _whole(level, text, path):
                read = read_symbols(text)
                symbols, path = symbols + read, read.symbols[-1].text if read.symbols else text
        _agree(coarser.symbols, symbols.symbols)
        found, coarser = found + symbols, symbols if symbols.symbols else coarser
    return _understood(found)


def _whole(level: str, part: str, path: str) -> str:
    """A level's cell with what is above it, which it may lack.

    :param path: the code of the next coarser level that is known; empty if none is.
    """
    if level == "class" and len(path) == 1 and part.isdecimal():
        return f"{path}{int(part):02}"
    if level == "subclass" and len(path) == len("A61") and len(part) == 1:
        return path + part
    if level == "main_group" and len(path) == len("A61K") and part.isdecimal():
        return f"{path}{int(part)}/00"
    if level == "subgroup" and path.endswith("/00") and part.isdecimal():
        return f"{path.removesuffix('00')}{part:0>2}"
    if level in ("main_group", "subgroup") and (len(path) <= len("A61") or part.isdecimal()):
        # Numbers say nothing alone, and other tables have subgroups too.
        symbol = Symbol.parse(part)
        return part if symbol is not None and symbol.depth > LEVELS.index("main_group") else ""
    return part


def _agree(coarser: Sequence[Symbol], finer: Sequence[Symbol]) -> None:
    """Check that a level and the next coarser one that is known have a symbol in common."""
    pairs = [(coarse, fine) for coarse in coarser for fine in finer]
    if pairs and not any(a.is_within(b.text) or b.is_within(a.text) for a, b in pairs):
        raise UnusableRowError(NOT_UNDERSTOOD, " but ".join(symbol.text for symbol in pairs[-1]))


def _text(value: object) -> str:
    """A cell as text; a number that a spreadsheet made of a class is whole again."""
    text = "" if str(value).strip().lower() in EMPTY else str(value).strip()
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def deciding(symbols: Sequence[Symbol]) -> list[Symbol]:
    """The symbols that may decide a label: of those, the first and the inventive ones if stated.

    Where a cell states the schemes and has both, the CPC decides.
    """
    classifying = [symbol for symbol in symbols if symbol.classifies]
    classifying = [symbol for symbol in classifying if symbol.scheme == "CPC"] or classifying
    inventive = [symbol for symbol in classifying if symbol.inventive is not False] or classifying
    return [symbol for symbol in inventive if symbol.first] or inventive
