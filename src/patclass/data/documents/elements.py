"""Elements of XML and SGML: parsed safely, found by folded names, read as text. Knows no fields."""

import html
import re
from collections.abc import Collection
from typing import TypeAlias

from lxml import etree
from lxml.etree import _Element

from patclass.data.cleaning import INLINE, unescaped
from patclass.data.documents.document import UnreadableError

Element: TypeAlias = _Element

# Only what is named in the document itself, as nothing outside of it is loaded.
_ENTITY = re.compile(rb"&(?!amp;|lt;|gt;|quot;|apos;|#)([A-Za-z][\w.-]{0,40});")
_PREFIXES = re.compile(rb"[<\s/]([A-Za-z_][\w.-]{0,30}):[A-Za-z]")
_PREFIX_OF_OFFICE = re.compile(r"^(?:us|ep|wo|cn|jp|kr|tw|de|gb|fr)-(?=[a-z])")
_TAG = re.compile(rb"<([^<>]*)>")
_TAG_NAME = re.compile(rb"/?([\w:.-]*)")
_REFERENCE = re.compile(rb"&#?\w{1,40};")

# White space is single spaces by substitution of what is not: three times as fast as splitting the
# text into words.
_ASCII_SPACES = bytes.maketrans(b"\t\n\v\f\r\x1c\x1d\x1e\x1f", b" " * 9)
_DOUBLE_SPACE = re.compile(rb"  +")
_OTHER_SPACE = re.compile(
    rb"[\xc2\xe1-\xe3](?:(?<=\xc2)[\x85\xa0]|(?<=\xe1)\x9a\x80|(?<=\xe3)\x80\x80"
    rb"|(?<=\xe2)(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f))"
)

# Each element and each attribute takes a hundred bytes; the longest sequence listings have fewer.
_MAX_PARTS = 6_000_000

# Hostile documents have any number of names; only so many are remembered, and no long ones.
_MAX_TAGS, _MAX_REMEMBERED = 10_000, 100
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _place(record: bytes, name: bytes, start: int = 0) -> tuple[int, int, int] | None:
    """Where the first element of a name begins, its content begins, and its content ends."""
    while (start := record.find(b"<" + name, start)) >= 0:
        follows = record[start + len(name) + 1 : start + len(name) + 2]
        content = record.find(b">", start) + 1
        is_empty = record[content - 2 : content - 1] == b"/"
        if follows and follows in b"> \t\r\n" and content and not is_empty:
            end = record.find(b"</" + name + b">", content)
            return (start, content, end) if end >= 0 else None
        start += 1
    return None


def without(record: bytes, names: Collection[bytes]) -> bytes:
    """The record without the first element of each name; its content is not looked at."""
    for name in names:
        if place := _place(record, name):
            record = record[: place[0]] + record[place[2] + len(name) + 3 :]
    return record


def emptied(record: bytes, names: Collection[bytes]) -> tuple[bytes, bytes]:
    """The record with its only element of the names made empty, and what was in that.

    Nothing is taken out if there are several of them, or comments or the like in it.
    """
    for name in names:
        if place := _place(record, name):
            _, start, end = place
            if _place(record, name, end) is None and record.find(b"<!", start, end) < 0:
                return record[:start] + record[end:], record[start:end]
    return record, b""


class _Between(dict[bytes, bytes]):
    """What stands for a tag in the text, by what is in its angle brackets."""

    def __missing__(self, tag: bytes) -> bytes:
        name = _TAG_NAME.match(tag)
        folded = _FOLDED[name[1].decode("utf-8", errors="replace")] if name else ""
        between = b"" if folded in INLINE else b" "
        if len(self) < _MAX_TAGS and len(tag) <= _MAX_REMEMBERED:
            self[tag] = between
        return between


class _Characters(dict[bytes, bytes]):
    """What references to characters stand for."""

    def __missing__(self, reference: bytes) -> bytes:
        plain = html.unescape(reference.decode("utf-8", errors="replace")).encode(errors="replace")
        if len(self) < _MAX_TAGS:
            self[reference] = plain
        return plain


_BETWEEN, _CHARACTERS = _Between(), _Characters()


def plain_text(content: bytes) -> str:
    """The text of what is in an element, as ``text_of`` gives it; several times as fast."""
    parts = _TAG.split(_without_entities(content))
    parts[1::2] = [_BETWEEN[tag] for tag in parts[1::2]]
    text = b"".join(parts)
    if b"&" in text:
        text = _REFERENCE.sub(lambda reference: _CHARACTERS[reference[0]], text)
    text = _OTHER_SPACE.sub(b" ", text.translate(_ASCII_SPACES))
    return _DOUBLE_SPACE.sub(b" ", text).decode("utf-8", errors="replace").strip()


def parse(record: bytes) -> Element:
    """The root element, without comments, processing instructions and entities.

    :raises UnreadableError: if it is not well-formed, nested too deeply, or of too many elements.
    """
    record = _without_entities(record)
    if sum(map(record.count, (b"<", b'="', b"='"))) > 2 * _MAX_PARTS:  # most have an end tag
        raise UnreadableError("too many elements", f"more than {_MAX_PARTS:,}")
    try:
        return etree.fromstring(record, _parser())
    except etree.XMLSyntaxError as problem:
        # Prefixes are often declared by an element around the documents.
        prefixes = {prefix.decode() for prefix in _PREFIXES.findall(record)} - {"xml", "xmlns"}
        stated = "".join(f' xmlns:{prefix}="{prefix}"' for prefix in sorted(prefixes)[:100])
        loose = record.startswith(b"<PATDOC")  # SGML leaves out end tags
        try:
            around = b"<document" + stated.encode() + b">" + record + b"</document>"
            return etree.fromstring(around, _parser(loose))[0]
        except (etree.XMLSyntaxError, IndexError):
            raise UnreadableError("not well-formed XML", problem.msg) from problem


def _parser(recover: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )


def _without_entities(record: bytes) -> bytes:
    return _ENTITY.sub(_character, record) if b"&" in record else record


def _character(match: "re.Match[bytes]") -> bytes:
    """A named character of SGML or HTML; of any other entity, a space is left."""
    plain = unescaped(match.group().decode())
    if plain.endswith(";") and len(plain) > 2:
        return b" "
    return b"".join(f"&#{ord(char)};".encode() for char in plain)


class _Folded(dict[object, str]):
    """Folded names by tag: ``invention-title`` of itself and of ``{namespace}InventionTitle``."""

    def __missing__(self, tag: object) -> str:
        # A tag that is no text stands for an entity.
        name = str(tag).rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""
        lower = name.lower() if name.isupper() else _WORDS.sub("-", name).lower()
        folded = _PREFIX_OF_OFFICE.sub("", lower)
        if len(self) < _MAX_TAGS:
            self[tag] = folded
        return folded


_FOLDED = _Folded()


def name_of(element: Element) -> str:
    """The folded name; empty for an entity."""
    return _FOLDED[element.tag]


def attribute(element: Element, *names: str) -> str:
    """The first attribute of a folded name; empty without one."""
    for key, value in element.attrib.items():
        name = _FOLDED[key]
        if name in names or name.removesuffix("-code") in names:
            return str(value)
    return ""


def leaves_of(element: Element) -> dict[str, str]:
    """The text of each innermost element by its folded name, the first of a name."""
    found: dict[str, str] = {}
    for inner in element.iter():
        text = inner.text
        if text and not len(inner):
            found.setdefault(_FOLDED[inner.tag], text.strip())
    return found


def text_of(element: Element | None) -> str:
    """The text with single spaces; only inline elements leave the text on both sides together."""
    if element is None:
        return ""
    for inner in element.iter("*"):
        if _FOLDED[inner.tag] not in INLINE:
            inner.text = " " + (inner.text or "")
            inner.tail = " " + (inner.tail or "")
    text = etree.tostring(element, method="text", encoding="unicode", with_tail=False)
    return " ".join(text.split())
