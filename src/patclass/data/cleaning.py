"""Plain text from what fields of patents hold: markup, entities, PDF line ends, lists, bytes.

The same for training and for predictions. Knows characters and markup, no names of fields.
"""

import ast
import html
import json
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

# What programs write for a field without a value; among them errors of formulas in worksheets.
_EMPTY = frozenset(
    (
        *("nan", "none", "null", "(null)", "n/a", "<na>", "nat", "[]", "{}", r"\n", "-", "--"),
        *("#n/a", "#name?", "#value!", "#ref!", "#div/0!", "#num!", "#null!"),
    )
)

# Characters of no width: soft hyphen, joiners, marks of direction and of byte order.
_NO_WIDTH = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

# Any but tabs and line ends, also as worksheets escape them: _x000D_.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]|_x00[01][0-9A-Fa-f]_")

# Elements within a word or a formula, in HTML and in documents of offices; any other stands
# between words.
INLINE = frozenset(
    (
        *("sub", "sup", "sub2", "sup2", "b", "i", "u", "o", "s", "em", "strong", "small", "big"),
        *("font", "span", "tspan", "a", "abbr", "smallcaps", "figref", "claim-ref", "crossref"),
        *("subscript", "superscript", "bold", "italic", "bold-italic", "underline", "o-line"),
        *("sb", "sp", "hil", "highlight", "pdat", "ptext", "fgref", "clref", "ulink", "text"),
        *("claim-reference", "figure-reference", "cross-reference", "dependent-claim-reference"),
        *("patcit", "chem", "math", "maths", "mi", "mn", "mo", "mrow"),
    )
)
_BLOCK = frozenset(
    (
        *("p", "div", "br", "hr", "li", "ul", "ol", "dl", "dt", "dd", "pre", "blockquote"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "heading", "title", "body", "html", "head"),
        *("table", "tables", "tgroup", "colspec", "thead", "tbody", "tr", "td", "th", "row"),
        *("abstract", "claim", "claims", "claim-text", "claim-statement", "description", "para"),
        *("paragraph", "img", "msub", "msup", "mfrac", "chemistry", "emi", "nplcit", "section"),
        *("document-id", "doc-number", "country", "kind", "date", "name", "in-line-formulae"),
        *("sequence-list", "custom-character", "simple", "entry", "center", "script", "style"),
    )
)
# Each has a name and a value, so that "x<b and c>d" is prose. Nothing is tried twice, for time
# that grows with the text alone.
_ATTRIBUTES = (
    r"(?:\s++[a-z_][\w:.-]*+\s*+=\s*+"
    r"(?>\"\"[^\"<>]++\"\"|\"[^\"<>]++\"|'[^'<>]++'|[^\s<>]++))*+\s*+"
)
_TAG = re.compile(
    r"<(?=[a-z/!?])(?:"
    rf"/?+(?P<prefix>[a-z][a-z0-9]{{0,8}}+:)?+(?P<name>[a-z][a-z0-9-]{{0,30}}+){_ATTRIBUTES}/?+>"
    r"|!--[^<>]{0,2000}+>|\?[^<>]{0,500}+(?<=\?)>|!\[CDATA\[)|\]\]>",
    re.IGNORECASE,
)
# Elements whose content is no text.
_PROGRAM = re.compile(
    rf"<(script|style){_ATTRIBUTES}>[^<]*+(?:<(?!/?(?:script|style))[^<]*+)*+</\1\s*+>",
    re.IGNORECASE,
)
# A word divided at the end of a line, as text of a PDF has it. Of a compound divided there, the
# hyphen is lost too: words divided by the line are far more frequent.
_HYPHENATED = re.compile(r"[-\u2010](?<=[a-zà-ÿ].)[ \t]?\r?\n[ \t]?(?=[a-zà-ÿ])")
_SOFT_HYPHENATED = re.compile("\u00ad[ \\t]?\r?\n[ \\t]?")

# Greek letters by ISO 8879 (ISOgrk1), which HTML does not know, and chi as some offices write it.
_GREEK_NAMES = (
    *("a", "b", "g", "d", "e", "z", "ee", "th", "i", "k", "l", "m", "n", "x", "o", "p", "r"),
    *("sf", "s", "t", "u", "ph", "kh", "ps", "oh", "ch"),
)
_GREEK = dict(zip(_GREEK_NAMES, "αβγδεζηθικλμνξοπρςστυφχψωχ", strict=True))
_GREEK |= {name.upper(): letter.upper() for name, letter in _GREEK.items() if name != "sf"}
_GREEK_ENTITY = re.compile("&([A-Za-z]{1,2})gr;")

# A cell that may be a list, a record or bytes as a program wrote them, or a formula.
_LITERAL = re.compile(r"[\[{]|b['\"]|=HYPERLINK\(", re.IGNORECASE)
# A formula of a worksheet that shows a label for an address.
_HYPERLINK = re.compile(
    r'=HYPERLINK\(\s*+"(?:[^"]|"")*+"\s*+[;,]\s*+"((?:[^"]|"")*+)"\s*+\)', re.IGNORECASE
)
_TOKEN = re.compile(
    r"((?:'[^'\\]*+(?:\\.[^'\\]*+)*+'?|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|[\]}]))"
    r"(\s++(?=['\"\[{]))?",
    re.DOTALL,
)
# Python's parser takes a thousand times the memory of a text, and tens of milliseconds, in which no
# other thread runs: for what is outside of strings, as a string is one part however long it is.
_MAX_LITERAL, _MAX_OUTSIDE = 200_000, 10_000

# What databases write in front of a title: its number (Orbit) and its language (DEPATISnet).
_NUMBER = re.compile(r"(?:\([A-Z]{2}\d{5,14}(?:[A-Z]\d?)?\)\s*+)++")
_IN_LANGUAGE = re.compile(r"(?<!\S)\[(DE|EN|ES|FR|IT|JA|KO|NL|PT|RU|ZH)\](?!\S)")

# Where records hold their text: of databases, of XML as JSON, and of Parquet without lists.
_TEXT_KEYS = (
    *("text", "value", "en", "EN", "content", "$", "#text", "claim_text", "claims", "p"),
    *("list", "element", "item"),
)
# In which patents are published; no word that a field could have as its name.
_LANGUAGES = frozenset(
    (
        *("ar", "bg", "ca", "cn", "cs", "cz", "da", "de", "dk", "ee", "el", "en", "es", "et", "fi"),
        *("fr", "gr", "he", "hr", "hu", "it", "ja", "jp", "ko", "kr", "lt", "lv", "nl", "nb", "nn"),
        *("pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "tw", "uk", "vi", "zh"),
    )
)

# Entities may be escaped again, and an unescaped one may be a tag.
_PASSES = 3


def clean(value: object) -> str:
    """Plain text with single spaces; empty for a field without a value.

    Entities and tags are resolved, compatibility characters and ligatures are replaced (Unicode
    NFKC), and words that are divided at the end of a line are joined. Of a list, the parts are
    joined; of a list of translations, the English one is taken; the same for a list that a cell
    holds as text. Overlong text stays overlong for the caller.

    :raises DataError: if the value is no text.
    """
    text = _text_of_literal(as_text(value))
    if len(text) > MAX_CHARS:
        return text
    plain = " ".join(_without_markup(text).split())
    if not plain.isprintable() or "_x" in plain:
        plain = " ".join(_CONTROL.sub(" ", plain).split())
    if plain[:1] in ("(", "["):
        plain = _without_origin(plain)
    return "" if plain.lower() in _EMPTY else plain


def _without_origin(text: str) -> str:
    """The text without number and language in front; of several languages, the English one."""
    while True:
        before = text
        if number := _NUMBER.match(text):
            text = text[number.end() :]
        if _IN_LANGUAGE.match(text):
            parts = _IN_LANGUAGE.split(text)
            named = zip(parts[1::2], map(str.strip, parts[2::2]), strict=True)
            found = [(language, part) for language, part in named if part] or [("", "")]
            text = dict(reversed(found)).get("EN", found[0][1])
        if text == before:
            return text


def _without_markup(text: str) -> str:
    if text.isascii() and "<" not in text and "&" not in text and "-" not in text:
        return text
    for _ in range(_PASSES):
        before = text
        if not text.isprintable():
            text = _CONTROL.sub(" ", text)
        if not text.isascii():
            text = _SOFT_HYPHENATED.sub("", text)
            text = _NO_WIDTH.sub("", unicodedata.normalize("NFKC", text))
        if "\n" in text:
            text = _HYPHENATED.sub("", text)
        if "&" in text:
            text = unescaped(text)
        if "<" in text or "]]>" in text:
            text = _TAG.sub(_between, _PROGRAM.sub(" ", text))
        if text == before:
            break
    return text


def unescaped(text: str) -> str:
    """The text with the characters that entities of HTML and of ISO 8879 name."""
    return html.unescape(_GREEK_ENTITY.sub(lambda match: _GREEK.get(match[1], match[0]), text))


def _between(tag: "re.Match[str]") -> str:
    """What stands for a tag; itself if it is none."""
    name = (tag["name"] or "").lower()
    if name in INLINE:
        return ""
    return " " if not name or tag["prefix"] or name in _BLOCK else tag[0]


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
    for key in _TEXT_KEYS:
        if key in record:
            return _text_of(record[key])
    if all(str(key).lower() in _LANGUAGES for key in record):
        return _text_of(next(iter(record.values()), None))
    raise DataError(f"not a text but a record of {', '.join(map(str, list(record)[:5]))}")


def _text_of_list(parts: list[Any] | tuple[Any, ...]) -> str:
    parts = [_element(part) for part in parts]
    languages = [_language(part) for part in parts]
    if any(languages):
        parts = [parts[languages.index("en")]] if "en" in languages else parts[:1]
    return " ".join(filter(None, map(_text_of, parts)))


def _element(part: Any) -> Any:
    """What an element of a list holds where Parquet has a record around it."""
    if isinstance(part, Mapping) and len(part) == 1:
        return part.get("element", part.get("item", part))
    return part


def _language(part: object) -> str | None:
    """The language of a translation: of a list of these, one is taken."""
    if not isinstance(part, Mapping):
        return None
    found = next((part[key] for key in ("language", "lang", "@lang") if part.get(key)), None)
    return None if found is None else str(found).lower()[:2]


def _text_of_literal(text: str) -> str:
    """The text of a list, a record or bytes that a cell holds as JSON or Python wrote them.

    Of a formula with an address, its label; the text itself if it is none of these.
    """
    for _ in range(_PASSES):
        literal = text.strip()
        if len(text) > MAX_CHARS or not _LITERAL.match(literal) or literal[-1] not in "]}'\")":
            break
        try:
            found = as_text(_literal(literal))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, DataError):
            break
        text = found.encode(errors="replace").decode()  # JSON may state half a surrogate pair
    return text


def _literal(text: str) -> Any:
    """:raises ValueError, SyntaxError, TypeError, MemoryError, RecursionError: if it is none."""
    if text[0] == "=":
        if label := _HYPERLINK.fullmatch(text):
            return label[1].replace('""', '"')
        raise ValueError("another formula")
    if text[0] != "b":
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            pass
    inside = sum(len(token[0]) for token in _TOKEN.finditer(text))
    if len(text) > _MAX_LITERAL or len(text) - inside > _MAX_OUTSIDE:
        raise ValueError("too long for a literal")
    return ast.literal_eval(_TOKEN.sub(_divided, text))


def _divided(token: "re.Match[str]") -> str:
    """A token with a comma before the next element, which arrays of NumPy leave out."""
    return f"{token[1]}, " if token[2] else token[1]
