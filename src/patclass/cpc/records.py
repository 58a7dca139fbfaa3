"""What a record of a code says, by the names of its fields. Knows the names, no symbols."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

Scheme = Literal["CPC", "IPC"]
Fields = Mapping[str, Any]

# What programs write into a cell, or a part of a list, that has no value.
EMPTY = {"", "-", "none", "nan", "null", "n/a", "na", "nat", "<na>"}

_CODES = (
    *("code", "symbol", "cpc_code", "ipc_code", "cpc_symbol", "ipc_symbol"),
    *("cpc_subgroup_id", "cpc_group_id", "cpc_group", "ipc_group"),
)
# Further records; list, element and item are of Parquet.
_RECORDS = ("classifications", "classification", "codes", "symbols", "list", "element", "item")
# The parts of a code, coarsest first.
_PARTS = (
    ("section", "cpc_section", "ipc_section"),
    ("class", "cpc_class", "ipc_class"),
    ("subclass", "cpc_subclass", "ipc_subclass"),
    ("main_group", "maingroup", "cpc_main_group", "ipc_main_group", "group"),
)
_SUBGROUPS = ("subgroup", "cpc_subgroup", "ipc_subgroup")
_POSITIONS = ("first", "position", "symbol_position")
_SEQUENCES = ("sequence", "cpc_sequence")
_VALUES = ("inventive", "value", "classification_value", "cpc_category", "cpc_type")
_SCHEMES = ("scheme", "classification_scheme", "classification_system", "system")

_YES, _NO = {"true", "1", "yes", "y"}, {"false", "0", "no", "n"}
_FIRST, _LATER = {*_YES, "f", "first"}, {*_NO, "l", "later"}
_INVENTIVE = {*_YES, "i", "inv", "invention", "inventive", "inventional"}
_ADDITIONAL = {*_NO, "a", "add", "additional"}


def fields_of(record: Mapping[Any, Any]) -> Fields:
    """A record whose names are spelled in one way."""
    return {str(name).lower().replace("-", "_"): value for name, value in record.items()}


def code_of(fields: Fields) -> Any:
    """What holds the code: a cell, further records, or the joined parts; empty if nothing does."""
    cells = (fields.get(name) for name in (*_CODES, *_RECORDS))
    whole = next((cell for cell in cells if _text(cell)), None)
    return _joined_parts(fields) if whole is None else whole


def has_records(fields: Fields) -> bool:
    """Whether it only holds further records, perhaps none."""
    return any(name in fields for name in _RECORDS)


def _joined_parts(fields: Fields) -> str:
    path = ""
    for names in _PARTS:
        part = _word(fields, names).removesuffix(".0")
        # A61 repeats A, while 61 follows it.
        path = part if part.upper().startswith(path.upper()) else path + part
    subgroup = _word(fields, _SUBGROUPS).removesuffix(".0")
    if "/" in subgroup or not _word(fields, _PARTS[-1]):
        return subgroup if "/" in subgroup else path
    return path if "/" in path and not subgroup else f"{path.partition('/')[0]}/{subgroup:0>2}"


def first_of(fields: Fields) -> bool | None:
    """Whether the code is the first of its patent; None where that is not stated."""
    if position := _word(fields, _POSITIONS):
        return _truth(position, _FIRST, _LATER)
    sequence = _word(fields, _SEQUENCES)
    return sequence.removesuffix(".0") == "0" if sequence else None


def inventive_of(fields: Fields) -> bool | None:
    """Whether the code is inventive information, or additional; None where it is not stated."""
    value = _word(fields, _VALUES) or _word(fields, _SCHEMES).upper().removeprefix("CPC")
    return _truth(value, _INVENTIVE, _ADDITIONAL)


def scheme_of(fields: Fields) -> tuple[str, Scheme | None]:
    """The scheme as stated, and which of ours it is: None for the scheme of an office.

    The Japanese FI refines the IPC.
    """
    stated = _word(fields, _SCHEMES)
    if stated.upper().startswith("CPC"):
        return stated, "CPC"
    return stated, "IPC" if stated.upper().startswith("IPC") or stated.upper() == "FI" else None


def version_of(fields: Fields) -> str | None:
    """The version of the scheme; None where it is not stated."""
    return _word(fields, ("version",)) or None


def _word(fields: Fields, names: Iterable[str]) -> str:
    """The first of the fields that has a value; empty if none has."""
    return next((word for name in names if (word := _text(fields.get(name)))), "")


def _text(value: object) -> str:
    """A value as text; empty if it has none."""
    if isinstance(value, (Mapping, list, tuple)):
        return "..." if value else ""  # not a word, and perhaps too deep to be printed
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return "" if text.strip().lower() in EMPTY else text.strip()


def _truth(word: str, yes: set[str], no: set[str]) -> bool | None:
    word = word.lower().removesuffix(".0")
    return True if word in yes else False if word in no else None
