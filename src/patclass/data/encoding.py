"""The encoding of a text by its bytes: of tables, documents, fields and standard input alike."""

import codecs

from patclass.core.errors import DataError
from patclass.data.legacy_encoding import legacy_encoding, stateful_encoding

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
    **{"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp950": "Big5"},
    **{"gb18030": "GB18030", "cp932": "Shift_JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR"},
    **{"cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1253": "Windows-1253"},
    **{"iso2022_jp": "ISO-2022-JP", "iso2022_kr": "ISO-2022-KR"},
}


def name_of(encoding: str) -> str:
    """An encoding as it is usually written."""
    return _NAMES.get(encoding, encoding)


def encoding_of(sample: bytes) -> str:
    """The encoding of a text by its beginning: by its mark, UTF-16, UTF-8, else an older one.

    :param sample: the whole text, or its first ``SAMPLE`` bytes.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if (wide := _unmarked_wide(sample)) is not None:
        return wide
    if sample.isascii():
        return stateful_encoding(sample) or "utf-8"
    text = sample.decode("utf-8", errors="surrogateescape")
    if len(sample) >= SAMPLE:
        text = text[:-3]  # it may end within a character
    undecodable = sum("\ud800" <= char <= "\udfff" for char in text)
    decodable = sum(char > "\x7f" for char in text) - undecodable
    return "utf-8" if decodable >= undecodable else legacy_encoding(sample)


def _unmarked_wide(sample: bytes) -> str | None:
    """The kind of UTF-16 without a mark, which has its zeros in every second byte only."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    most, least = max(even, odd), min(even, odd)
    if len(sample) < 16:
        return None
    if most > len(sample) / 4 > 2 * least:
        return encoding
    # Of other alphabets, only digits, spaces and delimiters have a zero.
    if 2 * least > most or most < max(2, len(sample) / 100):
        return None
    if _readable(sample.replace(b"\0", b""), "utf-8") > 0.8:
        return None
    whole = sample[: len(sample) // 2 * 2]
    return encoding if _readable(whole, encoding) > 0.98 else None


def _readable(content: bytes, encoding: str) -> float:
    """The share of characters that texts have; 0 if it is no text in this encoding."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    good = sum(char.isprintable() or char in "\t\r\n\u3000" for char in text)
    return good / max(1, len(text))


def errors_of(encoding: str) -> str:
    """How undecodable bytes are read: as surrogates, by which rows with them are found."""
    return "replace" if is_wide(encoding) or "2022" in encoding else "surrogateescape"


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
