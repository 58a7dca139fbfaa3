"""A patent document as one record, whatever office published it. Knows no format.

Nothing about persons or companies is kept: no applicant, inventor or representative.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from patclass.cpc.records import Scheme
from patclass.cpc.symbols import Symbol, read_symbols
from patclass.data.columns import WITHDRAWN, exclusion

# The version of a table of documents, in its metadata; another one has other columns.
TABLE_FORMAT = "1"

# The columns of a table of documents. ``codes`` are records with the fields of ``Code``.
COLUMNS = (
    *("id", "kind", "title", "abstract", "claims", "first_claim", "description", "codes"),
    *("publication_date", "application_date", "language"),
)


@dataclass(frozen=True)
class Code:
    """A symbol that an office gave to a document.

    :param first: whether it is the first one; None where the office does not say.
    :param inventive: whether it is inventive information, or additional; None likewise.
    :param version: of the scheme, as in ``2013.01``.
    """

    code: str
    first: bool | None = None
    inventive: bool | None = None
    scheme: Scheme | None = None
    version: str | None = None


@dataclass(frozen=True)
class Document:
    """A published patent application or a granted patent; fields that it lacks are empty.

    :param id: the publication number with country and kind, such as ``US11646472B2``.
    :param kind: the kind code, such as ``B2``.
    :param codes: CPC and IPC symbols in the order of the document, none of them twice.
    :param publication_date: as in ISO 8601.
    :param language: of the abstract, or of the title or claims without one, in ISO 639-1.
    """

    id: str
    kind: str = ""
    title: str = ""
    abstract: str = ""
    claims: tuple[str, ...] = ()
    description: str = ""
    codes: tuple[Code, ...] = ()
    publication_date: str = ""
    application_date: str = ""
    language: str = ""

    @property
    def has_text(self) -> bool:
        """Whether there is anything to classify."""
        return bool(self.title or self.abstract or self.claims or self.description)

    def fields(self) -> dict[str, Any]:
        """The row of a table with ``COLUMNS``."""
        values = vars(self) | {
            "claims": list(self.claims),
            "first_claim": self.claims[0] if self.claims else "",
            "codes": [vars(code) for code in self.codes],
        }
        return {column: values[column] for column in COLUMNS}


@dataclass(frozen=True)
class RejectedDocument:
    """A document that cannot be classified, with the reason under which it is counted.

    :param detail: where or how, if more is known of it.
    """

    id: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class UnreadableError(ValueError):
    """A document cannot be read.

    :param reason: under which it is counted.
    :param detail: as of a ``RejectedDocument``.
    """

    def __init__(self, reason: str, detail: object = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, str(detail)


PLANT = "a plant patent"


def checked(document: Document, withdrawn: bool = False) -> Document | RejectedDocument:
    """The document, or why it is none that can be classified."""
    reason = WITHDRAWN if withdrawn else exclusion(document.id)
    # By the kind, or by the series of the number.
    if reason is None and re.match(r"US(?:PP\d|.*\dP\d?$)", document.id):
        reason = PLANT
    if reason is None and not document.has_text:
        reason = "no text"
    return document if reason is None else RejectedDocument(document.id, reason)


# Digits of a published US application: the year and seven more; databases leave a zero out.
_US_SHORTENED = re.compile(r"((?:19|20)[0-9]{2})([0-9]{6})")

_EP_DIGITS = 7


def publication_number(country: str, number: str, kind: str) -> str:
    """``US11646472B2`` of ``US``, ``11646472`` or ``US 11,646,472``, and ``B2``."""
    plain = re.sub(r"[^0-9A-Z]", "", number.upper()).removeprefix(country)
    letters = re.match(r"[A-Z]*", plain)
    series = letters.group() if letters else ""
    return f"{country}{canonical_number(country, series, plain[len(series) :])}{kind}"


def canonical_number(country: str, series: str, digits: str) -> str:
    """A number as its office spells it: EP with seven digits, US without leading zeros.

    :param series: letters in front of it, such as ``D`` or ``RE``.
    """
    if country == "EP":
        return series + digits.lstrip("0").zfill(_EP_DIGITS)
    if country != "US":
        return series + digits
    digits = digits.lstrip("0")
    shortened = None if series else _US_SHORTENED.fullmatch(digits)
    return f"{shortened[1]}0{shortened[2]}" if shortened else series + digits


def iso_date(text: str) -> str:
    """``2021-10-19`` of ``20211019`` and of itself; empty if it is neither.

    A day or month that is not known is written as zeros, and left out.
    """
    match = re.match(r"\s*(\d{4})-?(\d{2})-?(\d{2})", text)
    if not match:
        return ""
    return "-".join(part for part in match.groups() if part != "00")


def codes_of_text(text: str, scheme: Scheme, first: bool | None = None) -> list[Code]:
    """The symbols of a text, with what it says of them; what is not understood stays as it is."""
    cell = read_symbols(text)
    if cell.remainder:
        return [Code(" ".join(text.split()), first, None, scheme)]
    return [code_of(symbol, scheme, first) for symbol in cell.symbols]


def code_of(symbol: Symbol, scheme: Scheme, first: bool | None = None) -> Code:
    """A symbol that was read, as a code of a document."""
    stated = symbol.first if first is None else first
    return Code(symbol.text, stated, symbol.inventive, scheme, symbol.version)


def unique(codes: Iterable[Code]) -> tuple[Code, ...]:
    """The codes without repetitions, as offices state a symbol once for each that gave it."""
    seen: dict[tuple[str, Scheme | None], Code] = {}
    for code in codes:
        seen.setdefault((code.code, code.scheme), code)
    return tuple(seen.values())


def wants(columns: Collection[str] | None, *names: str) -> bool:
    """Whether any of the columns is needed; None stands for all columns."""
    return columns is None or any(name in columns for name in names)
