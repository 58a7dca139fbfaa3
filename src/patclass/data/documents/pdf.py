"""The text layer of a patent in PDF, by the INID codes of its first page and its headings.

Source of the codes: WIPO Standard ST.9. Knows no pictures: a scan without a text layer has no text.
"""

import io
import re
import time
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import LimitReachedError

from patclass.cpc.records import Scheme
from patclass.data.documents.document import (
    Code,
    Document,
    RejectedDocument,
    UnreadableError,
    checked,
    codes_of_text,
    iso_date,
    publication_number,
    unique,
)

SCAN = "no text: a scan without a text layer"
PASSWORD = "protected by a password"
TOO_LONG = "more to draw than a patent has"

# A kilobyte of PDF draws the same text for ever. Of a document, so many operators and characters
# are read; patents of two thousand pages have some tens of millions.
MAX_DRAWN = 100_000_000

# Seconds of the processor, as an operator may be preceded by any number of values.
_MAX_SECONDS = 300.0

_TEXT_OPERATORS = (b"Tj", b"TJ", b"'", b'"')
_DRAWS_TEXT = re.compile(rb"T[jJ]|Do|['\"]")

# At the beginning of a line, and before a name, number or title: reference signs in an abstract are
# written in the same way.
_INID = re.compile(r"^[ \t]*\((\d\d)\)\s*(?=[^\Wa-z_]|[\"'“„«(])", re.MULTILINE)
_CLAIMS = re.compile(
    r"^\s*(?:claims|patent claims|what is claimed is ?:?|(?:i|we) claim ?:?"
    r"|patentansprüche|revendications)\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_DESCRIPTION = re.compile(r"^\s*(?:description|beschreibung)\s*$", re.IGNORECASE | re.MULTILINE)
_CLAIM = re.compile(r"^\s*(?=\d{1,3}\s*\.\s)", re.MULTILINE)
_NUMBER = re.compile(
    r"\b(EP|WO|US|DE|GB|FR|CA|AU|CN|JP|KR) ?((?:D|PP|RE|H|T)? ?\d[\d ,/]{4,14}\d) ?([A-Z]\d?)\b"
)
_DATE = re.compile(r"\b(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\b")
_US_DATE = re.compile(r"\b([A-Z][a-z]{2})[a-z]*\.? (?P<day>\d{1,2}), (?P<year>\d{4})\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What stands in front of symbols: "Int Cl.7:", "CPC ......", "International Patent Classification:"
_SCHEME = re.compile(
    r"(?:(?:Cooperative|International) Patent Classification|\(?CPC\)?|Int\.? ?Cl\.? ?\d?"
    r"|U\.S\. ?Cl\.)"
    r"[ .:]{0,60}",
    re.IGNORECASE,
)
_SCHEMES: tuple[tuple[str, Scheme], ...] = (("52", "CPC"), ("51", "IPC"))
# The classes of the USPTO, and the fields that were searched, are no symbols of the CPC.
_OTHER_CLASSES = re.compile(r"\b(?:USPC|U\.S\. ?Cl\.(?! ?CPC))", re.IGNORECASE)
# What stands before a title or abstract, and after an abstract of the USPTO.
_HEADING = re.compile(r"^\s*(?:abstract|title|zusammenfassung|abrégé)\b\s*:?\s*", re.IGNORECASE)
_COUNTS = re.compile(r"\b\d+ Claims?, .{0,40}Drawing Sheets?\s*$")
# The numbers of lines or of the page, alone in a line.
_MARGIN = re.compile(r"^[ \t]*\d{1,3}[ \t]*\n", re.MULTILINE)


def read_pdf(content: bytes, name: str) -> Document | RejectedDocument:
    """Read one document; without a publication number its id is the name of the file.

    :raises UnreadableError: if it is damaged, or of more than ``MAX_DRAWN`` operators.
    """
    pages = _pages(content)
    if pages is None:
        return RejectedDocument(name, PASSWORD)
    if not any(page.strip() for page in pages):
        return RejectedDocument(name, SCAN)
    first, rest = pages[0], "\n".join(pages[1:])
    parts = _parts(first)
    claims, description = _body(rest)
    number = _NUMBER.search(first)
    document = Document(
        id=publication_number(*number.groups()) if number else name,
        kind=number[3] if number else "",
        title=_line(_HEADING.sub("", parts.get("54", ""))),
        abstract=_COUNTS.sub("", _HEADING.sub("", parts.get("57", ""))).strip(),
        claims=claims,
        description=description if parts or claims else "\n".join(pages),
        codes=unique(_codes(parts)),
        publication_date=_date(parts.get("43", "") or parts.get("45", "")),
        application_date=_date(parts.get("22", "")),
    )
    return checked(document)


def _pages(content: bytes) -> list[str] | None:
    """The text of each page; None if it is protected by a password."""
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            return None
        drawn = _Drawn()
        return [drawn.text_of(page) for page in reader.pages]
    except (MemoryError, UnreadableError):
        raise
    except LimitReachedError as problem:
        raise UnreadableError(TOO_LONG) from problem
    except Exception as problem:  # the library raises exceptions of many types
        raise UnreadableError("damaged, or not a PDF", problem) from problem


class _Drawn:
    """Counts what the pages of a document draw."""

    def __init__(self) -> None:
        self._left, self._end = MAX_DRAWN, time.thread_time() + _MAX_SECONDS

    def text_of(self, page: PageObject) -> str:
        """The text of a page.

        :raises UnreadableError: if more is drawn than in any patent.
        """
        content = page.get_contents()
        if content is None or not _DRAWS_TEXT.search(content.get_data()):
            return "\n"  # a drawing, whose millions of lines need not be read
        text = page.extract_text(visitor_operand_before=self._count)
        self._check()  # the library goes on after what is raised within a form
        return _MARGIN.sub("", text + "\n")

    def _count(self, operator: bytes, operands: Any, *_: object) -> None:
        self._left -= 1
        if operator in _TEXT_OPERATORS:
            self._left -= len(str(operands))
        if operator == b"Do" or self._left < 0 or not self._left & 0xFFF:
            self._check()

    def _check(self) -> None:
        if self._left < 0 or time.thread_time() > self._end:
            self._left = -1
            raise UnreadableError(TOO_LONG)


def _parts(page: str) -> dict[str, str]:
    """The text after each INID code, the first of a code."""
    found: dict[str, str] = {}
    matches = list(_INID.finditer(page))
    for match, after in zip_longest(matches, matches[1:]):
        text = page[match.end() : after.start() if after else None]
        if text.strip():
            found.setdefault(match[1], text)
    return found


def _line(text: str) -> str:
    return " ".join(text.split())


def _codes(parts: dict[str, str]) -> Iterator[Code]:
    for inid, scheme in _SCHEMES:
        text = _OTHER_CLASSES.split(_line(parts.get(inid, "")))[0]
        for code in codes_of_text(_SCHEME.sub(" ", text), scheme):
            if "/" in code.code:
                yield code


def _body(text: str) -> tuple[tuple[str, ...], str]:
    """The claims, and the description before them."""
    start = _CLAIMS.search(text)
    described = _DESCRIPTION.search(text)
    description = text[described.end() if described else 0 : start.start() if start else None]
    if start is None:
        return (), _line(description)
    end = _CLAIMS.search(text, start.end())  # the claims in another language
    claims = _CLAIM.split(text[start.end() : end.start() if end else None])
    return tuple(filter(None, map(_line, claims))), _line(description)


def _date(text: str) -> str:
    if match := _DATE.search(text):
        month = int(match["month"])
    elif (match := _US_DATE.search(text)) and match[1] in _MONTHS:
        month = _MONTHS.index(match[1]) + 1
    else:
        return ""
    return iso_date(f"{match['year']}{month:02}{int(match['day']):02}")
