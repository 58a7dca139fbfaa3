"""Answers of the USPTO's Open Data Portal in JSON: bibliographic data of applications, no text."""

from collections.abc import Iterator, Mapping
from typing import Any

from patclass.data.cells import json_value
from patclass.data.documents.document import (
    DESIGN,
    PLANT,
    Document,
    RejectedDocument,
    UnreadableError,
    checked,
    codes_of_text,
    iso_date,
    publication_number,
    unique,
)

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
