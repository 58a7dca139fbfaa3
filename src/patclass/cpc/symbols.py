"""CPC and IPC symbols as offices and databases write them. Knows their form, not the scheme.

A cell is searched rather than parsed: whatever in it is neither a symbol nor a usual remark on one
is kept as a remainder, so that no code is decided by skipping what was not understood.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self

LEVELS = ("section", "class", "subclass")

# Characters of a code at each level: A, A61, A61K.
_LENGTHS = (1, 3, 4)

# From this main group on, symbols are indexing codes: they describe, but do not classify.
_FIRST_INDEXING_GROUP = 2000

Scheme = Literal["CPC", "IPC"]


@dataclass(frozen=True)
class Symbol:
    """A symbol such as ``A61K31/00``, possibly known only to a coarser level.

    :param text: without spaces and leading zeros.
    :param depth: how many of section, class and subclass are known, from 1 to 3.
    :param indexing: it is of a 2000 series.
    :param first: whether it is the first of its patent; None where that is not stated.
    :param inventive: whether it is inventive information, or additional; None likewise.
    :param scheme: None where it is not stated.
    :param version: of the scheme, as in ``2006.01``; None where it is not stated.
    """

    text: str
    depth: int
    indexing: bool = False
    first: bool | None = None
    inventive: bool | None = None
    scheme: Scheme | None = None
    version: str | None = None

    @property
    def is_tag(self) -> bool:
        """Whether it is of section Y, which is only ever added to other symbols."""
        return self.text.startswith("Y")

    @property
    def classifies(self) -> bool:
        """Whether it may decide a section, class or subclass."""
        return not self.is_tag and not self.indexing

    def is_within(self, code: str) -> bool:
        """Whether this symbol stands in the scheme at or below ``code``."""
        if not self.text.startswith(code):
            return False
        # A main group's number must end where the code does: A61K31 is not within A61K3.
        return len(code) <= len("A61K") or not self.text[len(code) :][:1].isdigit()

    @classmethod
    def parse(cls, text: str) -> "Symbol | None":
        """Read one symbol in any usual spelling; None if ``text`` is none, or more than one."""
        cell = read_symbols(text)
        return cell.symbols[0] if len(cell.symbols) == 1 and not cell.remainder else None

    def cut(self, level: str) -> str | None:
        """The code at ``level`` (section, class or subclass); None if the symbol is coarser."""
        depth = LEVELS.index(level)
        return self.text[: _LENGTHS[depth]] if self.depth > depth else None


@dataclass(frozen=True)
class SymbolCell:
    """The symbols of a cell in their order, and whatever was not understood."""

    symbols: tuple[Symbol, ...] = ()
    remainder: tuple[str, ...] = ()

    def __add__(self, other: Self) -> "SymbolCell":
        return SymbolCell(self.symbols + other.symbols, self.remainder + other.remainder)


def code_path(code: str) -> tuple[str, ...]:
    """Section, class and subclass of a code, as far as it goes."""
    return tuple(code[:length] for length in _LENGTHS if len(code) >= length)


# Full-width forms, typographic spaces, dashes and slashes; characters of no width go.
_PLAIN = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((0x00A0, 0x202F, 0x3000, *range(0x2000, 0x200B)), " "),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
    **dict.fromkeys((0x2044, 0x2215), "/"),
    **dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), None),
}

# Repetitions are bounded, so that the time is linear in the length of any cell.
_SEPARATORS = re.compile(r"[\s;,|\[\]'\"]+")
_REMAINDER = re.compile(r"[^\s;,|\[\]'\"]+")
_PREFIX = re.compile(
    r"(?:(?P<cpc>CPC)|(?P<ipc>IPCR?8?|INT\.? ?CL\.? ?[0-9]?|FI))(?: ?[:.])?(?=[\s;,A-HY])",
    re.IGNORECASE | re.ASCII,
)
_SYMBOL = re.compile(
    r"""
    (?P<section>[A-HY])
    (?:
        # A61K 31/00, A 61 K 31/00, A61K-031/00, G06F-003/0481/7, A61K31/00,101@A
        [ ]?(?P<class>[0-9]{2})[ ]?(?P<subclass>[A-Z])
        [ ]{0,6}-?[ ]{0,2}0{0,3}(?P<group>[0-9]{1,4}) [ ]{0,2}/[ ]{0,6}(?P<subgroup>[0-9]{2,6})
        (?:/(?P<more>[0-9]{1,2}))?
        (?:[ ]?,[ ]?[0-9]{3}(?![0-9/]))? (?:[ ]?@[A-Z])?
    |
        # A61K0031000000 (WIPO ST.8), A61K31000000 and H04L125608, whose groups may be ambiguous
        (?P<joined_class>[0-9]{2})(?P<joined_subclass>[A-Z])(?P<digits>[0-9]{5,10})
    |
        # A 61 K
        [ ](?P<spaced_class>[0-9]{2})[ ](?P<spaced_subclass>[A-Z])(?![A-Z0-9])
    |
        # A61K31, A61K 31, A61K, A61
        [ ]?(?P<short_class>[0-9]{2})
        (?:(?P<short_subclass>[A-Z])(?:[ ]{0,6}-?0{0,3}(?P<main_group>[0-9]{1,4}))?)?
    )?
    (?![A-Z0-9/]|\.[0-9])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# (2006.01), [2013.01], (20130101), (EP,US), and I or N after a version
_PARENTHESES = re.compile(
    r"""
    [ ]{0,6} [(\[] [ ]?
    (?: (?P<version>[0-9]{4}\.[0-9]{2}) | (?P<date>[0-9]{8}) | [A-Z]{2}(?:[ ]?,[ ]?[A-Z]{2}){0,50}
      | (?P<value>inventive|additional|first|later) )
    [ ]? [)\]] (?:[ ]?(?P<flag>[INA])(?![A-Z0-9]))?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# The rest of a symbol in the fixed columns of WIPO ST.8: 20060101AFI20060101BHUS
_FIXED_COLUMNS = re.compile(
    r"""
    # A missing date leaves its columns empty.
    (?: [ ]{1,10} (?P<date>[0-9]{8}) [ ]{0,2} | [ ]{8,20} (?=[ACSFL ]{0,3}[INA]\b) )
    (?: (?P<level>[ACS])? [ ]? (?P<position>[FL])? [ ]? (?P<value>[INA])? )
    (?: [ ]? [0-9]{8} [A-Z]{0,2} [ ]? [A-Z]{0,2} )? (?![A-Z0-9])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


# What programs write into a cell that has no value.
_EMPTY = {"", "-", "none", "nan", "null", "n/a", "na"}


def read_symbols(cell: object) -> SymbolCell:
    """All symbols of a cell: text in any usual spelling, a list, or records with a code.

    Read are symbols of any level, spaced, hyphenated, joined or in the columns of WIPO ST.8, with
    versions, dates, offices and facets, separated by any of ``;``, ``,``, ``|``, spaces and line
    ends. Records are mappings with ``code`` or ``symbol``, and optionally ``first``, ``inventive``,
    ``scheme`` and ``version``.
    """
    if cell is None or cell != cell:  # NaN differs from itself
        return SymbolCell()
    if isinstance(cell, Mapping):
        return _read_record(cell)
    if isinstance(cell, Iterable) and not isinstance(cell, (str, bytes)):
        return sum(map(read_symbols, cell), SymbolCell())
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    if text.strip().lower() in _EMPTY:
        return SymbolCell()
    if text.lstrip()[:2] in ("[{", "{'", '{"'):
        records = _parsed(text)
        if records is not None:
            return read_symbols(records)
    # Codes repeat, so short cells are searched once.
    return _search_short(text) if len(text) <= _SHORT else _search(text)


def _parsed(text: str) -> Any:
    """A list of records written as JSON or by Python; None if it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


_CODE_KEYS = ("code", "symbol", "cpc_subgroup_id", "cpc_group_id", "ipc_symbol")
_FIRST_KEYS = {"first": (True, "true", "f"), "sequence": (0, "0"), "cpc_sequence": (0, "0")}
_VALUE_KEYS = ("inventive", "value", "cpc_category", "cpc_type")


def _read_record(record: Mapping[Any, Any]) -> SymbolCell:
    code = next((record[key] for key in _CODE_KEYS if record.get(key)), None)
    if code is None:
        return SymbolCell(remainder=(str(dict(record))[:80],))
    found = read_symbols(code)
    firsts = [record[key] in yes for key, yes in _FIRST_KEYS.items() if record.get(key) is not None]
    first = firsts[0] if firsts else None
    value = next((record[key] for key in _VALUE_KEYS if record.get(key) is not None), None)
    inventive = None if value is None else str(value).lower() in ("true", "i") or _inventive(value)
    stated: dict[object, Scheme] = {"CPC": "CPC", "IPC": "IPC"}
    scheme = stated.get(record.get("scheme"))
    version = record.get("version")
    return replace(
        found,
        symbols=tuple(
            replace(
                symbol,
                first=first,
                inventive=inventive,
                scheme=scheme or symbol.scheme,
                version=version or symbol.version,
            )
            for symbol in found.symbols
        ),
    )


def _inventive(value: object) -> bool:
    return str(value).lower().startswith("inventi")


_SHORT = 40


@lru_cache(maxsize=100_000)
def _search_short(text: str) -> SymbolCell:
    return _search(text)


def _search(text: str) -> SymbolCell:
    text = text.translate(_PLAIN)
    symbols: list[Symbol] = []
    remainder: list[str] = []
    scheme: Scheme | None = None
    place = 0
    while place < len(text):
        if match := _SEPARATORS.match(text, place):
            place = match.end()
        elif match := _PREFIX.match(text, place):
            scheme, place = "CPC" if match["cpc"] else "IPC", match.end()
        elif (match := _SYMBOL.match(text, place)) and _stands_alone(text, match):
            symbol, place = _with_remarks(text, match.end(), _symbol(match))
            symbols.append(replace(symbol, scheme=scheme))
        else:
            match = _REMAINDER.match(text, place)
            assert match is not None  # every character is a separator or is none
            remainder.append(match.group())
            place = match.end()
    return SymbolCell(tuple(symbols), tuple(remainder))


def _stands_alone(text: str, match: "re.Match[str]") -> bool:
    """A single letter is a section only where nothing but separators surrounds it."""
    if match.end() - match.start() > 1:
        return True
    # Only a few characters are looked at: a run of spaces must not cost time for each letter.
    before = text[max(0, match.start() - 4) : match.start()].rstrip(" \t")[-1:]
    after = text[match.end() : match.end() + 4].lstrip(" \t")[:1]
    return all(side == "" or side in ";,|[]'\"\r\n" for side in (before, after))


def _symbol(match: "re.Match[str]") -> Symbol:
    parts = {name: value for name, value in match.groupdict().items() if value is not None}
    codes = [parts.get(f"{form}class") for form in ("", "joined_", "short_", "spaced_")]
    letters = [parts.get(f"{form}subclass") for form in ("", "joined_", "short_", "spaced_")]
    class_ = next((code for code in codes if code), "")
    subclass = next((letter for letter in letters if letter), "")
    group, subgroup = parts.get("group", parts.get("main_group", "")), parts.get("subgroup", "")
    digits = parts.get("digits", "")
    indexing = _is_joined_indexing(digits)
    if len(digits) == len("0031000000"):
        group, subgroup = digits[:4].lstrip("0"), digits[4:].rstrip("0").ljust(2, "0")
    if "subgroup" in parts or len(digits) == len("0031000000"):
        indexing = int(group or 0) >= _FIRST_INDEXING_GROUP
    text = f"{parts['section']}{class_}{subclass}".upper()
    text += group + (f"/{subgroup}{parts.get('more', '')}" if subgroup else "")
    return Symbol(text, 1 + bool(class_) + bool(subclass), indexing)


def _is_joined_indexing(digits: str) -> bool:
    """Whether digits without a slash can only be of a 2000 series.

    Else they would be a main group of at most three digits with a subgroup padded to six.
    """
    return len(digits) in (8, 9) and digits.startswith("2") and not digits.endswith("00")


def _with_remarks(text: str, place: int, symbol: Symbol) -> tuple[Symbol, int]:
    """The symbol with what follows it in parentheses or fixed columns, and where that ends."""
    if match := _FIXED_COLUMNS.match(text, place):
        date, position, value = (match[name] for name in ("date", "position", "value"))
        return replace(
            symbol,
            first=None if position is None else position.upper() == "F",
            inventive=None if value is None else value.upper() == "I",
            version=f"{date[:4]}.{date[4:6]}" if date else None,
        ), match.end()
    while match := _PARENTHESES.match(text, place):
        place, version, date = match.end(), match["version"], match["date"]
        if date:
            version = f"{date[:4]}.{date[4:6]}"
        if version:
            symbol = replace(symbol, version=version)
        word, flag = (match["value"] or "").lower(), (match["flag"] or "").upper()
        if word in ("inventive", "additional") or flag in ("I", "N"):
            symbol = replace(symbol, inventive=word == "inventive" or flag == "I")
        if word in ("first", "later"):
            symbol = replace(symbol, first=word == "first")
    return symbol, place
