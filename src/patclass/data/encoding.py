"""The encoding of a text by its bytes: of tables, documents, fields and standard input alike."""

import codecs

from patclass.core.errors import DataError

# What is read ahead to recognise a file, in bytes.
SAMPLE = 1 << 20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NAMES = {
    **{"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252", "utf-32": "UTF-32"},
    **{"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"},
}


def name_of(encoding: str) -> str:
    """An encoding as it is usually written."""
    return _NAMES.get(encoding, encoding)


def encoding_of(sample: bytes) -> str:
    """The encoding of a text by its beginning: by its mark, UTF-16, UTF-8, else Windows-1252.

    :param sample: the whole text, or its first ``SAMPLE`` bytes.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 16 and max(even, odd) > len(sample) / 4 > 2 * min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    if sample.isascii():
        return "utf-8"
    text = sample.decode("utf-8", errors="surrogateescape")
    if len(sample) >= SAMPLE:
        text = text[:-3]  # it may end within a character
    undecodable = sum("\ud800" <= char <= "\udfff" for char in text)
    decodable = sum(char > "\x7f" for char in text) - undecodable
    return "utf-8" if decodable >= undecodable else "cp1252"


def errors_of(encoding: str) -> str:
    """How undecodable bytes are read: as surrogates, by which rows with them are found."""
    return "replace" if is_wide(encoding) else "surrogateescape"


def is_wide(encoding: str) -> bool:
    """Whether an end of a line is more than one byte."""
    return encoding.startswith(("utf-16", "utf-32"))


def decoded(content: bytes) -> str:
    """A text in the encoding that is recognised, without its mark.

    :raises DataError: if it is no text in this encoding.
    """
    try:
        return content.decode(encoding_of(content[:SAMPLE]))
    except UnicodeDecodeError as problem:
        raise DataError(
            f"no text in UTF-8, UTF-16 or Windows-1252: {problem.reason} at byte "
            f"{problem.start + 1:,}; save it as UTF-8."
        ) from problem
