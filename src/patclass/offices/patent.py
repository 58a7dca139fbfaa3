"""What is known of a patent that was found by its number. Knows no office."""

from dataclasses import dataclass
from typing import Any

# Symbols that are shown of a patent; some have a hundred.
SHOWN_CODES = 12

_FIELDS = ("title", "abstract", "claims", "description")


@dataclass(frozen=True)
class OfficePatent:
    """A patent as its office published it.

    :param office: ``EPO`` or ``USPTO``.
    :param claims: None unless they were wanted, or there is no abstract.
    :param description: None unless it was wanted, or there is neither abstract nor claim.
    :param codes: CPC and IPC symbols that the office has assigned.
    """

    number: str
    office: str
    title: str | None
    abstract: str | None
    claims: str | None
    description: str | None
    codes: tuple[str, ...]

    def fields(self, max_chars: int | None = None) -> dict[str, str | None]:
        """The fields that a classifier reads.

        :param max_chars: to which they are cut together, the last field first.
        """
        fields: dict[str, str | None] = {name: getattr(self, name) for name in _FIELDS}
        if max_chars is None:
            return fields
        for name, value in fields.items():
            fields[name] = value and value[:max_chars]
            max_chars = max(0, max_chars - len(value or ""))
        return fields

    def record(self) -> dict[str, Any]:
        """What is shown beside a prediction."""
        names = ("number", "office", "title", "abstract", "codes")
        return {name: getattr(self, name) for name in names}
