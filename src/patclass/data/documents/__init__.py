"""Patent documents as offices publish them, one at a time. Knows no labels and no models."""

from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path

from patclass.data.documents.document import COLUMNS as DOCUMENT_COLUMNS
from patclass.data.documents.document import Document, RejectedDocument, UnreadableError
from patclass.data.documents.split import RawDocument, forms_of, raw_documents, split_file
from patclass.data.documents.uspto import read_greenbook, read_odp
from patclass.data.documents.xml import read_xml
from patclass.data.packed import damage_named

__all__ = [
    "DOCUMENT_COLUMNS",
    "Document",
    "RejectedDocument",
    "documents_of",
    "forms_of",
    "read_documents",
]


def read_documents(
    path: Path, columns: Collection[str] | None = None
) -> Iterator[Document | RejectedDocument]:
    """Stream the documents of a file or archive; memory does not depend on its size.

    :param columns: the fields of ``Document`` that are needed; others may be empty.
    :raises DataError: if the file cannot be read or is damaged.
    """
    for raw in raw_documents(path):
        yield from documents_of_raw(raw, columns)


def documents_of(content: bytes, name: str = "") -> Iterator[Document | RejectedDocument]:
    """The documents of a file or archive in memory; none if it holds no patent documents.

    :param name: of the file, for archives, and for a document that states no number.
    :raises DataError: if it is damaged.
    """
    with damage_named(name):
        for raw in split_file(name, BytesIO(content)):
            yield from documents_of_raw(raw)


def documents_of_raw(
    raw: RawDocument, columns: Collection[str] | None = None
) -> Iterator[Document | RejectedDocument]:
    """Read what was split off a file; of the Open Data Portal, that has several documents."""
    try:
        if raw.error is not None:
            yield RejectedDocument(raw.source, raw.error)
        elif raw.form == "XML":
            yield read_xml(raw.content, columns)
        elif raw.form == "Green Book":
            yield read_greenbook(raw.content)
        elif raw.form == "PDF":
            # Where no PDF is read, its library need not be there.
            from patclass.data.documents.pdf import read_pdf

            yield read_pdf(raw.content, raw.source)
        else:
            yield from read_odp(raw.content)
    except UnreadableError as problem:
        yield RejectedDocument(raw.source, problem.reason, problem.detail)
