"""One patent document in XML or SGML: all that offices publish, by the names of its elements.

Formats differ in a prefix (``us-``, ``cn-``), in case (``InventionTitle`` of WIPO ST.96), and in a
few names of their own; folded, the same table of names reads them all. Nothing is loaded that a
document refers to: document types and entities are never resolved, and size and depth are bounded.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from patclass.cpc.records import Scheme
from patclass.data.documents.document import (
    Code,
    Document,
    RejectedDocument,
    UnreadableError,
    checked,
    codes_of_text,
    iso_date,
    publication_number,
    unique,
    wants,
)
from patclass.data.documents.elements import (
    Element,
    attribute,
    emptied,
    leaves_of,
    name_of,
    parse,
    plain_text,
    text_of,
    without,
)
from patclass.data.documents.uspto import with_slash

# The elements that hold one document each, with any prefix of a namespace.
ROOTS = rb"""(?:[a-z]{2}-)?(?:ocr-)?patent-(?:document|grant|application|publication)
    | (?:[a-z]{2}-)?(?:ocr-)?published-application | patent-application-publication | PATDOC
    | exchange-document | fulltext-document | wo-international-publication | jp-official-gazette
    | \w{0,30}Patent(?:Grant|Application)?(?:Publication|Document) | PatentDocumentAndRelated"""

# What no field is read from, and is most of many documents, by how the record begins.
_UNREAD: dict[bytes, tuple[bytes, ...]] = {
    b"<us-": (b"us-references-cited", b"us-field-of-classification-search", b"drawings"),
    b"<PATDOC": (b"SDODR", b"B560"),
    b"<": (b"references-cited", b"exch:references-cited", b"search-report-data", b"drawings"),
}
_DESCRIPTIONS = (b"description", b"subdoc-description", b"SDODE")

# Of elements, by their folded names.
_TITLE = ("invention-title", "title-of-invention", "b540")
_ABSTRACT = ("abstract", "subdoc-abstract", "sdoab")
_CLAIMS = ("claims", "subdoc-claims", "sdocl")
_DESCRIPTION = ("description", "subdoc-description", "sdode")
_PUBLICATION = (
    *("publication-reference", "patent-publication-identification", "document-id"),
    *("patent-grant-identification", "publication-identification"),
)
_APPLICATION = (
    *("application-reference", "domestic-filing-data", "b220", "application-identification"),
)
_CPC = ("classification-cpc", "cpc-classification")
_IPC = (
    *("classification-ipcr", "classification-ipc", "ipcr-classification", "ipc-classification"),
    *("b511", "b512"),
)
_MAIN_CODES = ("main-classification", "classification-ipc-primary")
_PLAIN_CODES = (*_MAIN_CODES, "further-classification", "classification-ipc-secondary")
_FIELDS = {
    *(*_TITLE, *_ABSTRACT, *_CLAIMS, *_DESCRIPTION, *_PUBLICATION, *_APPLICATION, *_CPC, *_IPC),
    *("patent-classification", "b110", "b130", "b140", "b190"),
}
# Other documents and persons, whose numbers, dates and codes are not those of this document.
_SKIPPED = {
    *("references-cited", "citations", "parties", "priority-claims", "related-documents"),
    *("drawings", "search-report-data", "foreign-priority-data", "continuity-data", "inventors"),
    *("pct-or-regional-filing-data", "pct-or-regional-publishing-data", "b300", "b560", "b600"),
    *("b700", "b800", "b000", "citation", "patcit", "related-publication", "applicants", "figures"),
    *("field-of-classification-search", "classification-ecla", "dates-of-public-availability"),
    *("previously-published-application", "cited-patent-literature", "reference-citation-bag"),
    *("priority-claim-bag", "party-bag", "related-document-bag", "classification-national"),
}


def read_xml(record: bytes, columns: Collection[str] | None = None) -> Document | RejectedDocument:
    """Read one document.

    :param record: in UTF-8, from the start tag of one of ``ROOTS`` to its end.
    :param columns: what is needed of it; the rest may be left empty.
    :raises UnreadableError: if it is not well-formed, or has no publication number.
    """
    unread = next(names for start, names in _UNREAD.items() if record.startswith(start))
    record, content = emptied(without(record, unread), _DESCRIPTIONS)
    root = parse(record)
    parts = _Parts(attribute(root, "lang"))
    _collect(root, parts)
    document = _document(root, parts, columns)
    if content and wants(columns, "description"):
        document = replace(document, description=plain_text(content))
    status = attribute(root, "status").lower()
    return checked(document, status in ("d", "deleted", "withdrawn"))


@dataclass
class _Parts:
    """The elements of a document by what is read from them."""

    language: str
    found: dict[str, list[Element]] = field(default_factory=dict)

    def of(self, names: Collection[str]) -> list[Element]:
        return [element for name in names for element in self.found.get(name, ())]

    def best(self, names: Collection[str]) -> Element | None:
        """Of translations the English one, else that in the language of the document."""
        elements = [element for element in self.of(names) if len(element) or element.text]
        order = {"en": 0, self.language.lower()[:2]: 1, "": 2}
        elements.sort(key=lambda element: order.get(_language(element), 3))
        return elements[0] if elements else None


def _language(element: Element | None) -> str:
    found = "" if element is None else attribute(element, "lang", "language")
    return found.lower()[:2]


def _collect(element: Element, parts: _Parts) -> None:
    for child in element:
        name = name_of(child)
        if name in _FIELDS:
            parts.found.setdefault(name, []).append(child)
        elif name not in _SKIPPED and len(child):
            _collect(child, parts)


def _document(root: Element, parts: _Parts, columns: Collection[str] | None) -> Document:
    country, number, kind, date = _publication(root, parts)
    title, abstract = parts.best(_TITLE), parts.best(_ABSTRACT)
    claims, description = parts.best(_CLAIMS), parts.best(_DESCRIPTION)
    described = next(iter(parts.of(_DESCRIPTION)), None)
    languages = [_language(part) for part in (abstract, title, claims, described)]
    languages += [parts.language.lower()[:2], "en" if country == "US" else ""]
    applications = (_date(element) for element in parts.of(_APPLICATION))
    return Document(
        id=publication_number(country, number, kind),
        kind=kind,
        title=_title_of(title),
        abstract=text_of(abstract),
        claims=tuple(_claims(claims)) if wants(columns, "claims", "first_claim") else (),
        description=text_of(description) if wants(columns, "description") else "",
        codes=unique(_codes(parts)) if wants(columns, "codes") else (),
        publication_date=iso_date(date),
        application_date=next(filter(None, applications), ""),
        language=next(filter(None, languages), ""),
    )


def _publication(root: Element, parts: _Parts) -> tuple[str, str, str, str]:
    """Country, number, kind and date of the document."""
    country, number, kind, date = (
        attribute(root, *names)
        for names in (("country",), ("doc-number",), ("kind",), ("date-publ", "date-publication"))
    )
    date = date or attribute(root, "date")
    leaves = [leaves_of(element) for element in parts.of(_PUBLICATION)]
    # A document is referred to in several forms; the one that has most of them comes first.
    leaves.sort(key=lambda leaf: -sum(name in leaf for name in ("country", "kind", "doc-number")))
    tags = {name: text_of(parts.of((name,))[0]) for name in parts.found if name.startswith("b1")}
    for leaf in (*leaves, tags):
        number = number or _first(leaf, "doc-number", "publication-number", "b110")
        country = country or _first(leaf, "country", "country-code", "ip-office-code", "b190")
        country = country or _first(leaf, "wipost3-code", "wipo-st3-code")
        kind = kind or _first(leaf, "kind", "kind-code", "patent-document-kind-code", "b130")
        date = date or _first(leaf, "date", "document-date", "publication-date", "b140")
    if not number:
        raise UnreadableError("no publication number")
    if not country and name_of(root) == "patent-application-publication":
        country = "US"  # these state no country
    return country.strip().upper(), number, _kind(kind), date


def _kind(text: str) -> str:
    """The kind code, also of a text that has it in parentheses, as that of the JPO does."""
    plain = text.strip().upper()
    found = re.fullmatch(r"[A-Z]\d?", plain) or re.search(r"(?<=[(（])[A-Z]\d?(?=[)）])", plain)
    return found.group() if found else ""


def _first(leaf: Mapping[str, str], *names: str) -> str:
    for name in names:
        if found := leaf.get(name):
            return found
    return ""


def _date(element: Element) -> str:
    found = leaves_of(element)
    return iso_date(_first(found, "date", "filing-date", "pdat") or text_of(element))


def _title_of(element: Element | None) -> str:
    """The title; B540 lists languages (B541) and titles (B542) in turns."""
    if element is None or name_of(element) != "b540":
        return text_of(element)
    titles: dict[str, str] = {}
    language = ""
    for child in element:
        if name_of(child) == "b541":
            language = text_of(child)
        elif name_of(child) == "b542":
            titles.setdefault(language, text_of(child))
    return titles.get("en") or next(iter(titles.values()), "") or text_of(element)


def _claims(element: Element | None) -> Iterator[str]:
    if element is None:
        return
    claims = [child for child in element.iter() if name_of(child) in ("claim", "clm")]
    if len(claims) == 1:
        # Some documents have one claim element with a text element for each claim.
        texts = [child for child in claims[0] if name_of(child) == "claim-text"]
        numbered = [text for text in texts if re.match(r"\s*\d+\s*[.)]", text.text or "")]
        claims = texts if len(numbered) > 1 else claims
    yield from filter(None, map(text_of, claims or [element]))


def _codes(parts: _Parts) -> Iterator[Code]:
    for element in parts.of(_CPC):
        yield from _code(element, "CPC")
    for element in parts.of(("patent-classification",)):
        scheme = next((attribute(child, "scheme") for child in element), "").upper()
        if scheme.startswith(("CPC", "IPC")):
            value = {"CPCI": True, "CPCA": False}.get(scheme)
            yield from _code(element, "CPC" if scheme.startswith("CPC") else "IPC", value)
    for element in parts.of(_IPC):
        yield from _code(element, "IPC")


def _code(element: Element, scheme: Scheme, inventive: bool | None = None) -> Iterator[Code]:
    leaves = leaves_of(element)
    section = _first(leaves, "section", "cpc-section")
    if section:
        yield _code_of_parts(leaves, section, scheme, inventive)
        return
    main = name_of(element) == "b511" or None
    if text := _first(leaves, "classification-symbol", "text", "pdat"):
        position = leaves.get("symbol-position")
        first = main if position is None else position == "F"
        for code in codes_of_text(with_slash(text), scheme, first):
            yield Code(
                code.code,
                code.first,
                _value(leaves, code.inventive, inventive),
                scheme,
                code.version or _version(leaves),
            )
        return
    yield from _plain_codes(element, scheme, main)


def _plain_codes(element: Element, scheme: Scheme, main: bool | None) -> Iterator[Code]:
    """The oldest documents have a main symbol and further ones."""
    for inner in element.iter():
        name = name_of(inner)
        around = name_of(inner.getparent()) if name == "ipc" else name
        if inner.text and (inner is element or around in _PLAIN_CODES):
            first = True if around in _MAIN_CODES else main
            yield from codes_of_text(with_slash(inner.text.strip()), scheme, first)


def _code_of_parts(
    leaves: Mapping[str, str], section: str, scheme: Scheme, inventive: bool | None
) -> Code:
    class_ = _first(leaves, "class", "main-class")
    text = f"{section}{class_}{leaves.get('subclass', '')}"
    if group := leaves.get("main-group"):
        text += f"{group.lstrip('0') or '0'}/{_first(leaves, 'subgroup', 'sub-group') or '00'}"
    position = _first(leaves, "symbol-position", "symbol-position-code")
    return Code(
        text.upper().replace(" ", ""),
        position == "F" if position else None,
        _value(leaves, None, inventive),
        scheme,
        _version(leaves),
    )


def _value(leaves: Mapping[str, str], stated: bool | None, default: bool | None) -> bool | None:
    value = _first(leaves, "classification-value", "cpc-classification-value-code")
    value = value or _first(leaves, "ipc-classification-value-code")
    if value:
        return value == "I"
    return default if stated is None else stated


def _version(leaves: Mapping[str, str]) -> str | None:
    """``2013.01`` of the date of the scheme, which comes before that of the assignment."""
    date = iso_date(_first(leaves, "date", "classification-version-date", "ipc-version-date"))
    return date[:7].replace("-", ".") or None
