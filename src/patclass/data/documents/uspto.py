"""Documents of the USPTO that are no XML: the Green Book, and answers of the Open Data Portal.

Grants from 1976 to 2001 are text with a tag of four characters in front of each line (USPTO,
"Patent Grant Full Text Data (APS)", the Green Book). Of applications, the portal answers with
bibliographic data in JSON, without any text.
"""

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from patclass.data.cells import json_value
from patclass.data.columns import DESIGN
from patclass.data.documents.document import (
    PLANT,
    Code,
    Document,
    RejectedDocument,
    UnreadableError,
    checked,
    codes_of_text,
    iso_date,
    publication_number,
    unique,
)

# Kind codes of the USPTO by the letters of a number; before 2001 documents had none.
_KINDS = {"D": "S", "PP": "P", "RE": "E", "H": "H", "T": "H"}

# A line that continues the one before has a blank tag.
_TAG = re.compile(r"(?P<tag>[A-Z][A-Z0-9]{1,3}) *(?: {1,2}(?P<text>.*))?$")

# Characters are named between full stops, capital letters in capitals; .sub. and .sup. begin
# indices, which plain text leaves unmarked.
_CHARACTERS = {
    **{"sub": "", "sup": "", "+-": "±", "-+": "∓", "degree": "°", "ANG": "Å", "RTM": "®"},
    **{"TM": "™", "ltoreq": "≤", "gtoreq": "≥", "noteq": "≠", "about": "~", "apprxeq": "≈"},
    **{"congruent": "≅", "ident": "≡", "tbd": "≡", "dbd": "=", "multidot": "·", "cndot": "·"},
    **{"infin": "∞", "perp": "⊥", "parallel": "∥", "angle": "∠", "varies": "∝", "intg": "∫"},
    **{"sqroot": "√", "gradient": "∇", "differential": "∂", "thrfore": "∴", "sctn": "§"},
    **{"fwdarw": "→", "rarw": "←", "uparw": "↑", "dwnarw": "↓", "revreaction": "⇌"},
    **{"vertline": "|", "times": "×", "div": "÷", "prime": "′", "pounds": "£", "cent": "¢"},
}
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi"),
    *("chi", "psi", "omega"),
)
_CHARACTERS |= {name: html.unescape(f"&{name};") for name in _GREEK}
_CHARACTERS |= {name.upper(): _CHARACTERS[name].upper() for name in _GREEK}
_MARK = re.compile(rf"\.({'|'.join(map(re.escape, _CHARACTERS))})\.(?:(?<=\.su[bp]\.) )?")

_Line = tuple[str, str, str]  # section, tag, text


def read_greenbook(record: bytes) -> Document | RejectedDocument:
    """Read one document, from ``PATN`` to before the next.

    :raises UnreadableError: if it has no number.
    """
    lines = list(_lines(record.decode("latin-1")))
    head = {tag: text for section, tag, text in reversed(lines) if section == "PATN"}
    number = head.get("WKU", "")
    letters = re.match(r"[A-Z]*", number.strip())
    prefix = letters.group() if letters else ""
    digits = re.sub(r"\D", "", number)[: 8 - len(prefix)]  # the last one is a check digit
    if not digits:
        raise UnreadableError("no publication number", "no WKU")
    kind = _KINDS.get(prefix, "A")
    document = Document(
        id=publication_number("US", prefix + digits, kind),
        kind=kind,
        title=_plain(head.get("TTL", "")),
        abstract=_text(lines, "ABST"),
        claims=tuple(_claims(lines)),
        description=_text(lines, "PARN", "GOVT", "BSUM", "DRWD", "DETD"),
        codes=unique(_codes(lines)),
        publication_date=iso_date(head.get("ISD", "")),
        application_date=iso_date(head.get("APD", "")),
        language="en",
    )
    return checked(document)


def _lines(text: str) -> Iterator[_Line]:
    """Each tagged line, with what continues it."""
    section, tag, parts = "", "", [""]
    for line in text.splitlines():
        match = _TAG.match(line)
        if match is None:
            parts.append(line.strip())
            continue
        if tag:
            yield section, tag, " ".join(filter(None, parts))
        tag, parts = match["tag"], [(match["text"] or "").strip()]
        if len(tag) == 4 and not match["text"]:
            section = tag
    if tag:
        yield section, tag, " ".join(filter(None, parts))


def _text(lines: list[_Line], *sections: str) -> str:
    return _plain(" ".join(text for section, tag, text in lines if section in sections and text))


def _plain(text: str) -> str:
    return _MARK.sub(lambda mark: _CHARACTERS[mark[1]], text)


def _claims(lines: list[_Line]) -> Iterator[str]:
    parts: list[str] = []
    for section, tag, text in lines:
        if section not in ("CLMS", "DCLM") or tag == "STM":
            continue
        if tag == "NUM":
            if parts:
                yield _plain(" ".join(parts))
            parts = []
        elif text:
            parts.append(text)
    if parts:
        yield _plain(" ".join(parts))


def _codes(lines: list[_Line]) -> Iterator[Code]:
    symbols = [text for section, tag, text in lines if section == "CLAS" and tag == "ICL"]
    for place, text in enumerate(symbols):
        yield from codes_of_text(with_slash(text), "IPC", place == 0)


def with_slash(text: str) -> str:
    """A symbol in columns, ``G06F  728`` or ``G01G 1904``, with its slash: G06F 7/28, G01G 19/04.

    The main group has three columns, right-aligned; what follows is the subgroup.
    """
    group, subgroup = text[4:7].strip(), text[7:].strip()
    if "/" in text or not (group.isdigit() and subgroup.isdigit()):
        return text
    return f"{text[:4]} {group}/{subgroup}"


BAG = "patentFileWrapperDataBag"
_REFUSED = {"DSN": DESIGN, "DES": DESIGN, "PLT": PLANT}


def read_odp(content: bytes) -> Iterator[Document | RejectedDocument]:
    """Read the applications of an answer; the number is that of the grant, if there is one.

    :raises UnreadableError: if it is not JSON, or no such answer.
    """
    try:
        value = json_value(content)
    except (ValueError, RecursionError) as problem:
        raise UnreadableError("not JSON", problem) from problem
    bag = value.get(BAG) if isinstance(value, dict) else None
    if not isinstance(bag, list):
        raise UnreadableError(f"no list {BAG}")
    for number, item in enumerate(bag, 1):
        data = item.get("applicationMetaData") if isinstance(item, dict) else None
        if not isinstance(data, dict):
            yield RejectedDocument(f"application {number}", "no applicationMetaData")
            continue
        yield _document(data, str(item.get("applicationNumberText") or ""))


def _document(data: Mapping[str, Any], application: str) -> Document | RejectedDocument:
    grant = data.get("patentNumber")
    published = data.get("earliestPublicationNumber")
    number = f"US{grant}" if grant else str(published or f"US{application}")
    codes = data.get("cpcClassificationBag")
    codes = codes if isinstance(codes, list) else []
    document = Document(
        id=publication_number("US", number, ""),
        title=str(data.get("inventionTitle") or ""),
        codes=unique(code for text in codes for code in codes_of_text(str(text), "CPC")),
        publication_date=iso_date(
            str(data.get("grantDate") or data.get("earliestPublicationDate") or "")
        ),
        application_date=iso_date(str(data.get("filingDate") or "")),
        language="en",
    )
    refused = _REFUSED.get(str(data.get("applicationTypeCode")))
    return RejectedDocument(document.id, refused) if refused else checked(document)
