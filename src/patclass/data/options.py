"""What a user states about a table where recognition would be wrong. Knows names, no files."""

import codecs
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from patclass.core.errors import DataError
from patclass.core.settings import FORM_OPTIONS, STATED_ROLES, DataSettings

_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class TableOptions:
    """What overrules the recognition of a table; None leaves it to be recognised.

    :param id: the column of the publication number; likewise for the other roles.
    :param codes: the column of the CPC/IPC symbols, which replaces all others with symbols.
    :param delimiter: one character, or ``tab``.
    :param encoding: any text encoding that Python knows, such as ``cp1252``.
    :param sheet: the name of a workbook's sheet.
    :raises DataError: if the delimiter is none or the encoding is not known.
    """

    id: str | None = None
    title: str | None = None
    abstract: str | None = None
    claims: str | None = None
    description: str | None = None
    codes: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        """Check and spell out the values, so that a wrong one is told before a file is read."""
        if self.delimiter is not None:
            object.__setattr__(self, "delimiter", _delimiter(self.delimiter))
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))

    @classmethod
    def of(cls, settings: DataSettings) -> Self:
        """The options among the settings of a run."""
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})

    @property
    def columns(self) -> Mapping[str, str]:
        """The stated column of each role that one is stated for."""
        stated = {role: getattr(self, role) for role in STATED_ROLES}
        return {role: column for role, column in stated.items() if column is not None}

    def check(self, form: str, usable: Collection[str]) -> None:
        """Check that no option is given that does not apply to a file.

        :param form: the file and how it is written, in words.
        :param usable: those of delimiter, encoding and sheet that apply to it.
        :raises DataError: naming the first option that does not.
        """
        for name in FORM_OPTIONS:
            if name not in usable and getattr(self, name) is not None:
                raise DataError(f"{name} does not apply to {form}; leave it out.", setting=name)


RECOGNISED = TableOptions()


def _delimiter(text: str) -> str:
    delimiter = _DELIMITER_NAMES.get(text.lower(), text)
    if len(delimiter) != 1 or delimiter in '"\r\n\x00':
        raise DataError(
            f"delimiter {text!r}: expected one character, such as ';', or 'tab'.",
            setting="delimiter",
        )
    return delimiter


def _encoding(name: str) -> str:
    """The name under which Python knows an encoding; a mark at the beginning is left out."""
    try:
        known = codecs.lookup(name)
        # Codecs that are no encodings of text, or of names of hosts only, raise here.
        known.incrementaldecoder(errors="surrogateescape").decode("a".encode(name))
    except (LookupError, TypeError, ValueError) as problem:
        raise DataError(
            f"encoding {name!r} is not known; use a name such as utf-8, utf-16, cp1252, "
            "shift_jis, gb18030 or euc_kr.",
            setting="encoding",
        ) from problem
    return "utf-8-sig" if known.name == "utf-8" else known.name
