"""CPC and IPC symbols as text. Knows their form, not the scheme's tables."""

import re
from dataclasses import dataclass

LEVELS = ("section", "class", "subclass")

# Characters of a code at each level: A, A61, A61K.
_LENGTHS = (1, 3, 4)

_SYMBOL = re.compile(r"([A-HY])(?:(\d\d)(?:([A-Z])(?:(\d{1,4})(?:/(\d{2,6}))?)?)?)?")
# Offices add the scheme's version: A61K 31/00 (2006.01).
_VERSION = re.compile(r"\s*\(\d{4}\.\d{2}\)\s*$")
_SEPARATORS = re.compile(r"[;,|\n]")


@dataclass(frozen=True)
class Symbol:
    """A parsed symbol such as ``A61K31/00``, possibly known only to a coarser level."""

    text: str
    depth: int

    def is_within(self, code: str) -> bool:
        """Whether this symbol stands in the scheme at or below ``code``."""
        if not self.text.startswith(code):
            return False
        # A main group's number must end where the code does: A61K31 is not within A61K3.
        return len(code) <= len("A61K") or not self.text[len(code) :][:1].isdigit()

    @classmethod
    def parse(cls, text: str) -> "Symbol | None":
        """Read ``A61K 31/00``, ``a61k31/00``, ``A61K``, ``A61`` or ``A``; None if it is none."""
        compact = re.sub(r"\s+", "", _VERSION.sub("", text)).upper()
        # Only ASCII: other scripts have digits and letters that look or upper-case alike.
        match = _SYMBOL.fullmatch(compact) if text.isascii() else None
        if match is None:
            return None
        return cls(compact, min(3, sum(part is not None for part in match.groups())))

    def cut(self, level: str) -> str | None:
        """The code at ``level`` (section, class or subclass); None if the symbol is coarser."""
        depth = LEVELS.index(level)
        return self.text[: _LENGTHS[depth]] if self.depth > depth else None


def code_path(code: str) -> tuple[str, ...]:
    """Section, class and subclass of a code, as far as it goes."""
    return tuple(code[:length] for length in _LENGTHS if len(code) >= length)


def split_codes(cell: object) -> list[str]:
    """All codes in a cell: a list, or text with ``;``, ``,`` or ``|`` between them."""
    if cell is None:
        return []
    if isinstance(cell, (list, tuple)):
        parts = [str(code) for code in cell]
    else:
        parts = _SEPARATORS.split(str(cell))
    return [part.strip(" []'\"") for part in parts if part.strip(" []'\"")]
