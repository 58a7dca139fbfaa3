"""Which of a patent's fields make up the text. Knows field names, not tokens."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from patclass.core.errors import DataError
from patclass.data.cleaning import SPACE, clean

FIELDS = ("title", "abstract", "claims", "description")

# What undecodable bytes become under surrogateescape, and what no UTF-8 file can hold.
SURROGATE = re.compile("[\ud800-\udfff]")


def text_sha256(text: str) -> str:
    """By what a text is recognised where it is not kept: SHA-256, hexadecimal.

    Letter case and spaces make no difference.
    """
    plain = SPACE.sub(" ", text).strip().lower()
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class TextView:
    """The columns that are joined to one text, in this order."""

    columns: tuple[str, ...]

    @classmethod
    def parse(cls, spec: str, columns: Collection[str]) -> "TextView":
        """Read the setting ``text``: ``auto``, a column, or fields joined by ``+``.

        :raises DataError: if a column is missing.
        """
        wanted = (
            cls._auto(columns)
            if spec == "auto"
            else tuple(part.strip() for part in spec.split("+"))
        )
        missing = [column for column in wanted if column not in columns]
        if missing or not wanted:
            raise DataError(
                f"no column '{'+'.join(missing) or 'text'}' for the text ({spec}); there are "
                f"{', '.join(sorted(columns)) or 'none'}. Name a column, or fields joined by '+' "
                "such as title+abstract.",
                setting="text",
            )
        return cls(wanted)

    @staticmethod
    def _auto(columns: Collection[str]) -> tuple[str, ...]:
        if "text" in columns:
            return ("text",)
        short = tuple(column for column in ("title", "abstract") if column in columns)
        return short or tuple(column for column in FIELDS if column in columns)[:1]

    def __str__(self) -> str:
        return "+".join(self.columns)

    def text_of(self, fields: Mapping[str, Any]) -> str:
        """The text of one row; empty if none of the columns holds any."""
        found = [part for column in self.columns if (part := clean(fields.get(column)))]
        return " ".join([*map(_sentence, found[:-1]), *found[-1:]])

    def text_of_patent(self, fields: Mapping[str, Any]) -> str:
        """The text of a row: by this view, else ``text``, else any of a patent's fields."""
        for view in (self, TextView(("text",)), TextView(("title", "abstract"))):
            text = view.text_of(fields)
            if text:
                return text
        return clean(fields.get("claims")) or clean(fields.get("description"))


def views_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Title, abstract and claims of a row, each a text of its own; those that it has."""
    return tuple(text for field in FIELDS[:3] if (text := clean(fields.get(field))))


def _sentence(part: str) -> str:
    return part if part.endswith((".", "!", "?", ";", ":")) else part + "."
