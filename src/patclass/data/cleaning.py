"""Plain text from what fields of patents hold: markup, entities, PDF line ends, lists, bytes.

The same for training and for predictions. Knows characters and markup, no names of fields.
"""

import html
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from patclass.core.errors import DataError
from patclass.data.encoding import decoded

# Hostile or damaged input must cost nothing: a tokenizer takes over a second for 1 MB of
# dots even when it keeps 256 tokens, so text is bounded before any tokenizer sees it.
MAX_CHARS = 1_000_000

SPACE = re.compile(r"[\s\x00]+")  # no database keeps a NUL

# What programs write for a field without a value.
_EMPTY = {"nan", "none", "null", "n/a", "<na>", "nat"}

# Characters of no width: soft hyphen, joiners, marks of direction and of byte order.
_NO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")

# Within a word or a formula; any other element stands between words.
_INLINE = (
    *("sub", "sup", "sub2", "sup2", "b", "i", "u", "o", "s", "em", "strong", "small", "big"),
    *("font", "span", "a", "abbr", "smallcaps", "figref", "claim-ref", "crossref"),
)
_BLOCK = (
    *("p", "div", "br", "hr", "li", "ul", "ol", "dl", "dt", "dd", "pre", "blockquote", "center"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "heading", "title", "body", "html", "head", "section"),
    *("table", "tables", "tgroup", "colspec", "thead", "tbody", "tr", "td", "th", "row", "entry"),
    *("abstract", "claim", "claims", "claim-text", "claim-statement", "description", "para"),
    *("paragraph", "img", "math", "maths", "mi", "mo", "mn", "mrow", "msub", "msup", "mfrac"),
    *("chemistry", "emi", "patcit", "nplcit", "text", "document-id", "doc-number", "country"),
    *("kind", "date", "name", "in-line-formulae", "sequence-list", "custom-character", "simple"),
)
_ATTRIBUTES = r"(?:\s[^<>]{0,2000})?"
_INLINE_TAG = re.compile(rf"</?(?:{'|'.join(_INLINE)}){_ATTRIBUTES}/?>", re.IGNORECASE)
_OTHER_TAG = re.compile(
    rf"</?(?:[a-z]{{1,9}}:[a-z-]{{1,30}}|{'|'.join(_BLOCK)}){_ATTRIBUTES}/?>"
    r"|<!--[^<>]{0,2000}-->|<\?[^<>]{0,500}\?>|<!\[CDATA\[|\]\]>",
    re.IGNORECASE,
)
# A word divided at the end of a line, as text of a PDF has it.
_HYPHENATED = re.compile(r"[-\u2010](?<=[a-zà-ÿ].)[ \t]?\r?\n[ \t]?(?=[a-zà-ÿ])")

# Entities may be escaped again, and an unescaped one may be a tag.
_PASSES = 3


def clean(value: object) -> str:
    """Plain text with single spaces; empty for a field without a value.

    Entities and tags are resolved, compatibility characters and ligatures are replaced (Unicode
    NFKC), and words that are divided at the end of a line are joined. Of a list, the parts are
    joined; of a list of translations, the English one is taken. Overlong text stays overlong for
    the caller.

    :raises DataError: if the value is no text.
    """
    text = as_text(value)
    if len(text) > MAX_CHARS:
        return text
    plain = " ".join(_without_markup(text).replace("\x00", " ").split())
    return "" if plain.lower() in _EMPTY else plain


def _without_markup(text: str) -> str:
    if text.isascii() and "<" not in text and "&" not in text and "-" not in text:
        return text
    for _ in range(_PASSES):
        before = text
        if not text.isascii():
            text = _NO_WIDTH.sub("", unicodedata.normalize("NFKC", text))
        if "\n" in text:
            text = _HYPHENATED.sub("", text)
        if "&" in text:
            text = html.unescape(text)
        if "<" in text or "]]>" in text:
            text = _OTHER_TAG.sub(" ", _INLINE_TAG.sub("", text))
        if text == before:
            break
    return text


def as_text(value: object) -> str:
    """The text of a value as it stands, before it is made plain; empty for no value.

    :raises DataError: if the value is no text.
    """
    try:
        return _text_of(value)
    except RecursionError as problem:
        raise DataError("not a text but lists within lists, too many of them") from problem


def _text_of(value: object) -> str:
    if value is None or value != value:  # NaN differs from itself
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return decoded(value)
    if isinstance(value, Mapping):
        return _text_of_record(value)
    if isinstance(value, (list, tuple)):
        return _text_of_list(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"not a text but a value of type {type(value).__name__}")


def _text_of_record(record: Mapping[Any, Any]) -> str:
    """The text of a record such as ``{"text": ..., "language": "en"}`` or ``{"en": ...}``."""
    for key in ("text", "value", "en", "EN", "content", "claim_text"):
        if key in record:
            return _text_of(record[key])
    raise DataError(f"not a text but a record of {', '.join(map(str, list(record)[:5]))}")


def _text_of_list(parts: list[Any] | tuple[Any, ...]) -> str:
    languages = [_language(part) for part in parts]
    if any(languages):
        parts = [parts[languages.index("en")]] if "en" in languages else parts[:1]
    return " ".join(filter(None, map(_text_of, parts)))


def _language(part: object) -> str | None:
    """The language of a translation: of a list of these, one is taken."""
    if not isinstance(part, Mapping):
        return None
    found = part.get("language") or part.get("lang")
    return None if found is None else str(found).lower()[:2]
