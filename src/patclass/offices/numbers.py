"""Publication numbers in their usual spellings. Knows their form, not whether they exist."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from patclass.core.errors import OfficeError
from patclass.data.documents.document import canonical_number

ACCEPTED = (
    "EP1000000A1, EP 1 000 000 A1, US11646472B2, US 11,646,472, US2025/0204297 A1 or WO2022/259205"
)

_MAX_CHARS = 60
_SEPARATORS = re.compile(r"[\s,./\-\u2010-\u2015\u2212]+")

# Country, digits with the letters that count a series of their own, and kind.
_NUMBER = re.compile(
    r"(?:(US)(D|PP|RE|H|T|AI|X)?|(JP)([HMST])?|(AT)(E)?|([A-Z]{2}))([0-9]{1,14})([A-Z][0-9]?)?"
)

# Digits of a published US application: the year and seven more.
_US_APPLICATION = re.compile(r"(?:19|20)[0-9]{9}")


@dataclass(frozen=True)
class PublicationNumber:
    """The number of a published patent or application.

    :param country: two letters: of a state, or ``EP`` or ``WO``.
    :param number: digits, after letters if it is of a series such as US reissues.
    :param kind: such as ``A1``; None where it is not stated.
    """

    country: str
    number: str
    kind: str | None = None

    def __str__(self) -> str:
        return f"{self.country}{self.number}{self.kind or ''}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a number in any usual spelling; spaces, commas, slashes and hyphens are free.

        :raises OfficeError: if it is none, without its country, or that of an application.
        """
        plain = unicodedata.normalize("NFKC", text[: _MAX_CHARS + 1]).strip().upper()
        found = _NUMBER.fullmatch(_SEPARATORS.sub("", plain))
        if found is None or len(text) > _MAX_CHARS:
            raise _not_a_number(text)
        *countries, digits, kind = found.groups()
        country, series = (part or "" for part in _pair(countries))
        if not digits.strip("0"):
            raise _not_a_number(text)
        return cls(country, canonical_number(country, series, digits), kind)

    def is_same(self, other: "PublicationNumber") -> bool:
        """Whether both name one publication, with or without leading zeros.

        A kind that is not stated may be any.
        """
        if self.country != other.country or _unpadded(self.number) != _unpadded(other.number):
            return False
        return None in (self.kind, other.kind) or self.kind == other.kind

    @property
    def is_us_application(self) -> bool:
        """Whether it is a published application of the USPTO, not a grant."""
        return self.country == "US" and _US_APPLICATION.fullmatch(self.number) is not None

    @property
    def is_us_design(self) -> bool:
        """Whether it is a US design patent, which has drawings but no abstract."""
        kind = self.kind or ""
        return self.country == "US" and (self.number.startswith("D") or kind.startswith("S"))


def _unpadded(number: str) -> tuple[str, str]:
    """Series and digits without leading zeros, which databases write or leave out."""
    digits = number.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return number[: len(number) - len(digits)], digits.lstrip("0")


def _pair(groups: list[str | None]) -> tuple[str | None, str | None]:
    """Country and series of whichever alternative matched."""
    us, us_series, jp, jp_series, at, at_series, other = groups
    return us or jp or at or other, us_series or jp_series or at_series


def _not_a_number(text: str) -> OfficeError:
    shown = text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
    return OfficeError(
        f"number {shown!r} is not a publication number: expected country, number and kind such as "
        f"{ACCEPTED}.",
        setting="number",
        reason="number_invalid",
    )
