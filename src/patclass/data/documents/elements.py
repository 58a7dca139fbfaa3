"""Elements of XML and SGML: parsed safely, found by folded names, read as text. Knows no fields."""

import html
import re
from collections.abc import Collection
from functools import lru_cache
from typing import TypeAlias

from lxml import etree
from lxml.etree import _Element

Element: TypeAlias = _Element

# Elements within a word or formula; text on both sides of any other is apart.
_INLINE = frozenset(
    (
        *("sub", "sup", "b", "i", "u", "o", "s", "sub2", "sup2", "smallcaps", "figref", "a"),
        *("claim-ref", "crossref", "patcit", "text", "pdat", "hil", "sb", "sp", "bold", "italic"),
        *("ulink", "ptext", "fgref", "clref", "highlight", "subscript", "superscript", "em"),
        *("claim-reference", "figure-reference", "cross-reference", "dependent-claim-reference"),
        *("bold-italic", "underline", "math", "mi", "mn", "mo", "mrow", "maths", "o-line", "font"),
    )
)

# Only what is named in the document itself, as nothing outside of it is loaded.
_ENTITY = re.compile(rb"&(?!amp;|lt;|gt;|quot;|apos;|#)([A-Za-z][\w.-]{0,40});")
_PREFIXES = re.compile(rb"[<\s/]([A-Za-z_][\w.-]{0,30}):[A-Za-z]")
_PREFIX_OF_OFFICE = re.compile(r"^(?:us|ep|wo|cn|jp|kr|tw|de|gb|fr)-(?=[a-z])")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def without(record: bytes, names: Collection[bytes]) -> bytes:
    """The record without the elements of some names; their content is not looked at."""
    for name in names:
        start = record.find(b"<" + name)
        end = record.find(b"</" + name + b">", start) if start >= 0 else -1
        follows = record[start + len(name) + 1 : start + len(name) + 2]
        if end >= 0 and follows in b"> \t\r\n":
            record = record[:start] + record[end + len(name) + 3 :]
    return record


def parse(record: bytes) -> Element:
    """The root element, without comments, processing instructions and entities.

    :raises ValueError: if it is not well-formed, or nested too deeply.
    """
    if b"&" in record:
        record = _ENTITY.sub(_character, record)
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
            raise ValueError(f"not well-formed XML ({problem.msg})") from problem


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


def _character(match: "re.Match[bytes]") -> bytes:
    """A named character of SGML or HTML; of any other entity, a space is left."""
    plain = html.unescape(match.group().decode())
    if plain.endswith(";") and len(plain) > 2:
        return b" "
    return b"".join(f"&#{ord(char)};".encode() for char in plain)


@lru_cache(maxsize=4096)
def fold(tag: str) -> str:
    """``invention-title`` of itself, ``InventionTitle`` and ``{namespace}InventionTitle``."""
    name = tag.rpartition("}")[2].rpartition(":")[2]
    lower = name.lower() if name.isupper() else _WORDS.sub("-", name).lower()
    return _PREFIX_OF_OFFICE.sub("", lower)


def name_of(element: Element) -> str:
    """The folded name; empty for an entity."""
    return fold(element.tag) if isinstance(element.tag, str) else ""


def attribute(element: Element, *names: str) -> str:
    """The first attribute of a folded name; empty without one."""
    for key, value in element.attrib.items():
        if fold(str(key)) in names or fold(str(key)).removesuffix("-code") in names:
            return str(value)
    return ""


def leaves_of(element: Element) -> dict[str, str]:
    """The text of each innermost element by its folded name, the first of a name."""
    found: dict[str, str] = {}
    for inner in element.iter():
        if not len(inner) and inner.text:
            found.setdefault(name_of(inner), inner.text.strip())
    return found


def text_of(element: Element | None) -> str:
    """The text with single spaces; only inline elements leave the text on both sides together."""
    if element is None:
        return ""
    for inner in element.iter():
        if not isinstance(inner.tag, str):  # an entity that stands for nothing
            inner.text = " "
        elif fold(inner.tag) not in _INLINE:
            inner.text = " " + (inner.text or "")
            inner.tail = " " + (inner.tail or "")
    text = etree.tostring(element, method="text", encoding="unicode", with_tail=False)
    return " ".join(text.split())
