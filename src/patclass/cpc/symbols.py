"""CPC and IPC symbols as offices and databases write them. Knows their form, not the scheme.

A cell is searched rather than parsed: whatever in it is neither a symbol nor a usual remark on one
is kept as a remainder, so that no code is decided by skipping what was not understood.
"""

import ast
import json
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from html import unescape
from typing import Any, Self

from patclass.cpc.records import (
    EMPTY,
    code_of,
    fields_of,
    first_of,
    has_records,
    inventive_of,
    scheme_of,
    version_of,
)
from patclass.cpc.records import Scheme as Scheme

LEVELS = ("section", "class", "subclass", "main_group", "subgroup")

# How many of the levels a subclass has. It is the finest level that CPC and IPC nearly share.
SUBCLASS_DEPTH = LEVELS.index("subclass") + 1

# Characters of a code at each level down to the subclass: A, A61, A61K. Groups differ in length.
_LENGTHS = (1, 3, 4)

# From this main group on, symbols are indexing codes: they describe, but do not classify.
_FIRST_INDEXING_GROUP = 2000


@dataclass(frozen=True)
class Symbol:
    """A symbol such as ``A61K31/7036``, possibly known only to a coarser level.

    :param text: without spaces and leading zeros; a main group ends with ``/00``.
    :param indexing: it is of a 2000 series.
    :param first: whether it is the first of its patent; None where that is not stated.
    :param inventive: whether it is inventive information, or additional; None likewise.
    :param scheme: None where it is not stated.
    :param version: of the scheme, as in ``2006.01``; None where it is not stated.
    """

    text: str
    indexing: bool = False
    first: bool | None = None
    inventive: bool | None = None
    scheme: Scheme | None = None
    version: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The codes of its levels, from the section down to itself."""
        return code_path(self.text)

    @property
    def depth(self) -> int:
        """How many levels are known, from 1 (section) to 5 (subgroup)."""
        return len(self.path)

    @property
    def is_tag(self) -> bool:
        """Whether it is of section Y, which is only ever added to other symbols."""
        return self.text.startswith("Y")

    @property
    def classifies(self) -> bool:
        """Whether it may decide a label."""
        return not self.is_tag and not self.indexing

    def is_within(self, code: str) -> bool:
        """Whether this symbol stands in the scheme at or below ``code``.

        A main group contains its subgroups. Subgroups contain each other only by the dots of the
        scheme, which symbols do not show, so each contains itself alone.
        """
        above = code_path(code)
        return self.path[: len(above)] == above != ()

    @classmethod
    def parse(cls, text: str) -> "Symbol | None":
        """Read one symbol in any usual spelling; None if ``text`` is none, or more than one."""
        cell = read_symbols(text)
        return cell.symbols[0] if len(cell.symbols) == 1 and not cell.remainder else None

    def cut(self, level: str) -> str | None:
        """The code at ``level``, one of ``LEVELS``; None if the symbol is coarser."""
        path, position = self.path, LEVELS.index(level)
        return path[position] if len(path) > position else None


@dataclass(frozen=True)
class SymbolCell:
    """The symbols of a cell in their order, and whatever was not understood."""

    symbols: tuple[Symbol, ...] = ()
    remainder: tuple[str, ...] = ()

    def __add__(self, other: Self) -> "SymbolCell":
        return SymbolCell(self.symbols + other.symbols, self.remainder + other.remainder)


def code_path(code: str) -> tuple[str, ...]:
    """The codes of a code's levels, from the section down to itself, as far as it goes.

    ``A61K31/7036`` gives ``A``, ``A61``, ``A61K``, ``A61K31/00``, ``A61K31/7036``. A main group
    is written with ``/00``, as offices do, and has no subgroup.
    """
    path = tuple(code[:length] for length in _LENGTHS if len(code) >= length)
    if len(code) <= _LENGTHS[-1]:
        return path
    group, _, subgroup = code.partition("/")
    path = (*path, f"{group}/00")
    return path if subgroup in ("", "00") else (*path, code)


# Full-width forms, typographic spaces, dashes and slashes; characters of no width go.
_PLAIN = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((0x00A0, 0x202F, 0x3000, *range(0x2000, 0x200B)), " "),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
    **dict.fromkeys((0x2044, 0x2215), "/"),
    **dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), None),
}

# Repetitions are bounded, so that the time is linear in the length of any cell.
_BETWEEN = r"\s;,|\[\]{}()'\"、・･&+^~:"
# The b is of bytes that Python printed: b'A61K31/00'.
_SEPARATORS = re.compile(rf"[{_BETWEEN}]+|//+|(?<![^\s,\[(])b(?=['\"])")
_REMAINDER = re.compile(rf"[^{_BETWEEN}]+")
_ENTITY = re.compile(r"&#?[a-z0-9]{1,8};", re.IGNORECASE | re.ASCII)
_TAG = re.compile(r"</?[a-z]{1,9} ?/?>", re.IGNORECASE | re.ASCII)
_PREFIX = re.compile(
    r"""
    (?:(?P<cpc>CPC)|(?P<ipc>IPCR?8?|INT\.?[ ]?CL\.?[ ]?[0-9]?|FI))(?:[ ]?[:.])?
      (?:(?=[\s;,A-HY])|[-_](?=[A-HY][0-9]))
  | (?:(?P<inv>INV)|ADD)(?:[ ]?[:.])?(?=\s{0,4}[A-HY][ ]?[0-9])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SYMBOL = re.compile(
    r"""
    (?P<section>[A-HY])
    (?:
        # A61K 31/00, A 61 K 31/00, A61K-031/00, A61K_31_00, A61K/31/00, G06F-003/0481/7; C12R1:01
        [ ]?(?P<class>[0-9]{2})[ ]?(?P<subclass>[A-Z])
        [ ]{0,6}[-_/]?[ ]{0,2}0{0,3}(?P<group>[0-9]{1,4})
        [ ]{0,2}(?:[/_]|(?P<colon>:))[ ]{0,6}(?P<subgroup>[0-9]{2,6}|0)
        (?:/(?P<more>[0-9]{1,2}))?
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
    # Symbols of WIPO ST.8 may follow each other without a separator.
    (?: (?![A-Z0-9]|/(?!/)|\.[0-9]) | (?<=[0-9]{10})(?=[A-HY][0-9]{2}[A-Z][0-9]{10}(?![0-9])) )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# Of the Japanese FI: subdivision and facet, as in A61K31/00,101@A; A61K31/00 101A; A61K31/00   A
_FI = re.compile(
    r"""
    (?: (?:[ ]?,[ ]?|[ ]{1,10}(?=[0-9]{3}[A-Z](?![A-Z0-9]))) [0-9]{3}(?![0-9/]) )?
    (?: (?:[ ]?@|[ ]{0,20},?[ ]{0,2}) (?P<facet>[A-Z]) (?![A-Z0-9/]|[ ][0-9]) )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# (2006.01), [20130101], (EP,US), (I), (20060101, A, I, R, EP, 20200101, B, H); (2006.01) N
_PARENTHESES = re.compile(
    r"""
    [ ]{0,6} [(\[] (?P<inside>[A-Z0-9., ]{1,250}) [)\]]
    (?:[ ]?(?P<flag>[INAFL])(?![A-Z0-9/]|[ ][0-9]))?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_REMARK = re.compile(
    r"""
    (?P<version>[0-9]{4}\.[0-9]{2}) | (?P<flag>[INAFL])?(?P<date>[0-9]{8}) | (?P<office>[A-Z]{2})
  | (?P<word>inventive|additional|first|later|INV|ADD) | (?P<letter>[A-Z])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# The rest of a symbol in the fixed columns of WIPO ST.8: 20060101AFI20060101BHUS
_FIXED_COLUMNS = re.compile(
    r"""
    # A missing date leaves its columns empty.
    (?: [ ]{1,10} (?P<date>[0-9]{8}) [ ]{0,2} | [ ]{8,20} (?=[ACSFL][ACSFL ]{0,2}[INA]\b) )
    (?: (?P<level>[ACS])? [ ]? (?P<position>[FL])? [ ]? (?P<value>[INA])? )
    (?: [ ]? [0-9]{8} [A-Z]{0,2} [ ]? [A-Z]{0,2} )? (?![A-Z0-9])
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


# Lists within lists: no file has as many as this, and each costs a call.
_DEEPEST = 20


def read_symbols(cell: object) -> SymbolCell:
    """All symbols of a cell: text in any usual spelling, a list, or records with a code.

    Read are symbols of any level, spaced, hyphenated, joined or in the columns of WIPO ST.8, with
    versions, dates, offices and facets, separated by any usual mark, spaces and line ends. A
    section stands alone or beside sections: a letter beside longer symbols is not understood.
    Records are mappings with ``code`` or ``symbol``, or a part for each level, and optionally
    ``first``, ``inventive``, ``scheme`` and ``version``.
    """
    return _read(cell, 0)


def _read(cell: object, depth: int) -> SymbolCell:
    if cell is None:
        return SymbolCell()
    if depth > _DEEPEST:
        return SymbolCell(remainder=("lists within lists",))
    if isinstance(cell, Mapping):
        return _read_record(cell, depth)
    if hasattr(cell, "tolist"):  # an array, or a number of one
        return _read(cell.tolist(), depth + 1)
    if isinstance(cell, Iterable) and not isinstance(cell, (str, bytes)):
        return _joined(_read(part, depth + 1) for part in cell)
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    if text.strip().lower() in EMPTY:
        return SymbolCell()
    if text.lstrip()[:2] in ("[{", "{'", '{"'):
        records = _parsed(text)
        if records is not None:
            return _read(records, depth + 1)
    # Codes repeat, so short cells are searched once.
    return _search_short(text) if len(text) <= _SHORT else _search(text)


def _joined(cells: Iterable[SymbolCell]) -> SymbolCell:
    found = list(cells)
    return SymbolCell(
        tuple(symbol for cell in found for symbol in cell.symbols),
        tuple(part for cell in found for part in cell.remainder),
    )


def _parsed(text: str) -> Any:
    """A list of records written as JSON or by Python; None if it is neither."""
    for parse in (json.loads, ast.literal_eval):
        try:
            records = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        # A set has no order.
        return None if isinstance(records, set) else records
    return None


def _read_record(record: Mapping[Any, Any], depth: int) -> SymbolCell:
    fields = fields_of(record)
    found = _read(code_of(fields), depth + 1)
    if found.remainder or (has_records(fields) and not found.symbols):
        return found
    if not found.symbols:
        return SymbolCell(remainder=(reprlib.repr(dict(record))[:80],))
    stated, scheme = scheme_of(fields)
    if stated and scheme is None:
        return SymbolCell(remainder=(f"{found.symbols[0].text} ({stated[:20]})",))
    first, inventive, version = first_of(fields), inventive_of(fields), version_of(fields)
    symbols = (
        replace(
            symbol,
            first=symbol.first if first is None else first,
            inventive=symbol.inventive if inventive is None else inventive,
            scheme=scheme or symbol.scheme,
            version=version or symbol.version,
        )
        for symbol in found.symbols
    )
    return SymbolCell(tuple(symbols))


_SHORT = 40


@lru_cache(maxsize=100_000)
def _search_short(text: str) -> SymbolCell:
    return _search(text)


def _search(text: str) -> SymbolCell:
    text = _TAG.sub("\n", _ENTITY.sub(lambda entity: unescape(entity.group()), text))
    text = text.translate(_PLAIN)
    symbols: list[Symbol] = []
    remainder: list[str] = []
    held: dict[str, Any] = {}  # what a prefix says of the symbols after it
    place = 0
    while place < len(text):
        if match := _SEPARATORS.match(text, place):
            place = match.end()
        elif match := _PREFIX.match(text, place):
            held, place = _with_prefix(held, match), match.end()
        elif (match := _SYMBOL.match(text, place)) and _stands_alone(text, match):
            symbol = replace(_symbol(match), **held) if held else _symbol(match)
            symbol, place = _with_remarks(text, match, symbol)
            symbols.append(symbol)
        else:
            match = _REMAINDER.match(text, place)
            assert match is not None  # every character is a separator or is none
            place = match.end()
            if match.group().lower() not in EMPTY:
                remainder.append(match.group())
    return _without_letters(SymbolCell(tuple(symbols), tuple(remainder)))


def _with_prefix(held: dict[str, Any], match: "re.Match[str]") -> dict[str, Any]:
    if match["cpc"] or match["ipc"]:
        return {"scheme": "CPC" if match["cpc"] else "IPC"}
    return {**held, "inventive": match["inv"] is not None}


def _without_letters(cell: SymbolCell) -> SymbolCell:
    """Letters beside longer symbols say something of those: they are no sections."""
    letters = tuple(symbol.text for symbol in cell.symbols if symbol.depth == 1)
    longer = tuple(symbol for symbol in cell.symbols if symbol.depth > 1)
    return SymbolCell(longer, cell.remainder + letters) if letters and longer else cell


def _stands_alone(text: str, match: "re.Match[str]") -> bool:
    """A single letter is a section only where nothing but separators surrounds it."""
    if match.end() - match.start() > 1:
        return True
    # Only a few characters are looked at: a run of spaces must not cost time for each letter.
    before = text[max(0, match.start() - 4) : match.start()].rstrip(" \t")[-1:]
    after = text[match.end() : match.end() + 4].lstrip(" \t")[:1]
    return all(side == "" or side in ";,|[](){}'\"、・･&+/:\r\n" for side in (before, after))


def _symbol(match: "re.Match[str]") -> Symbol:
    parts = {name: value for name, value in match.groupdict().items() if value is not None}
    codes = [parts.get(f"{form}class") for form in ("", "joined_", "short_", "spaced_")]
    letters = [parts.get(f"{form}subclass") for form in ("", "joined_", "short_", "spaced_")]
    class_ = next((code for code in codes if code), "")
    subclass = next((letter for letter in letters if letter), "")
    group, subgroup = parts.get("group", parts.get("main_group", "")), parts.get("subgroup", "")
    digits = parts.get("digits", "")
    indexing = "colon" in parts or _is_joined_indexing(digits)
    if len(digits) == len("0031000000"):
        group, subgroup = digits[:4].lstrip("0"), digits[4:].rstrip("0").ljust(2, "0")
    if "subgroup" in parts or len(digits) == len("0031000000"):
        indexing |= int(group or 0) >= _FIRST_INDEXING_GROUP
    text = f"{parts['section']}{class_}{subclass}".upper()
    return Symbol(text + _group(group, subgroup, parts.get("more", "")), indexing)


def _group(group: str, subgroup: str, more: str) -> str:
    """``31/7036``, or ``31/00`` of a main group; empty if the group is 0, or not certain.

    Four digits alone may be a main group (B29K2105) or a group and its subgroup (H01L2102).
    """
    if not group.strip("0") or (not subgroup and len(group) > 3):
        return ""
    # A spreadsheet made 0 of 00.
    return f"{group}/{subgroup}{more}" if subgroup.strip("0") else f"{group}/00"


def _is_joined_indexing(digits: str) -> bool:
    """Whether digits without a slash can only be of a 2000 series.

    Else they would be a main group of at most three digits with a subgroup padded to six.
    """
    return len(digits) in (8, 9) and digits.startswith("2") and not digits.endswith("00")


def _with_remarks(text: str, found: "re.Match[str]", symbol: Symbol) -> tuple[Symbol, int]:
    """The symbol with what follows it in parentheses or fixed columns, and where that ends."""
    place = found.end()
    if match := _FIXED_COLUMNS.match(text, place):
        date, position, value = (match[name] for name in ("date", "position", "value"))
        return replace(
            symbol,
            first=None if position is None else position.upper() == "F",
            inventive=symbol.inventive if value is None else value.upper() == "I",
            version=f"{date[:4]}.{date[4:6]}" if date else None,
        ), match.end()
    if symbol.depth == 1:
        return symbol, place
    whole = "/" in symbol.text and found["main_group"] is None
    if whole and (match := _FI.match(text, place)):
        place = match.end()
        symbol = _with_letter(symbol, match["facet"] if match["facet"] in ("I", "i") else "")
    while match := _PARENTHESES.match(text, place):
        words = [_REMARK.fullmatch(word) for word in re.split(r"[ ,]+", match["inside"]) if word]
        remarks = [word for word in words if word]
        dated = any(remark["date"] for remark in remarks)
        letters = [remark["letter"] for remark in remarks if remark["letter"]]
        if len(remarks) < len(words) or not (dated or all(x in "INAFLinafl" for x in letters)):
            break
        for remark in remarks:
            symbol = _with_remark(symbol, remark)
        for letter in (*letters, match["flag"]):
            # After a date, A is the level of the IPC.
            symbol = symbol if dated and letter in ("A", "a") else _with_letter(symbol, letter)
        place = match.end()
    return symbol, place


def _with_remark(symbol: Symbol, remark: "re.Match[str]") -> Symbol:
    if version := remark["version"] or remark["date"]:
        version = version if "." in version else f"{version[:4]}.{version[4:6]}"
        # The first date is that of the version, the next one that of the action.
        symbol = replace(symbol, version=symbol.version or version)
    return _with_letter(symbol, remark["flag"] or (remark["word"] or "")[:1])


def _with_letter(symbol: Symbol, letter: str | None) -> Symbol:
    """The symbol with its value (I, or N and A) or its position (F or L)."""
    letter = (letter or "").upper()
    if letter in ("I", "N", "A"):
        return replace(symbol, inventive=letter == "I")
    return replace(symbol, first=letter == "F") if letter in ("F", "L") else symbol
